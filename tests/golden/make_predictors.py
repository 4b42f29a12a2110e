"""Makes blocks that predict further tokens, of golden models, and what they compute.

    cd tests && python -m golden.make_predictors [NAME...]

Needs `pip install -e '.[reference]'`. Transformers leaves such blocks out, but has their layers: a block is a model of
one layer that reads what a matrix makes of a token's embedding and of the hidden state before it, and whose final norm
is the block's. How these are put together is what vLLM does (`qwen3_5_mtp.py`, `glm4_moe_mtp.py`). The folder
`predictors` has of each the tensors that the golden model's checkpoint lacks, and what comes out.
"""

from __future__ import annotations

import sys
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from . import _HERE
from .make_golden import _draw, build_model, state, token_ids_of
from .recipes import RECIPES, Recipe

_QWEN = {
    "model.layers.0.": "mtp.layers.0.",
    "eh_proj.": "mtp.fc.",
    "enorm.": "mtp.pre_fc_norm_embedding.",
    "hnorm.": "mtp.pre_fc_norm_hidden.",
    "model.norm.": "mtp.norm.",
}
_GLM = {
    "model.layers.0.": "model.layers.N.",
    "eh_proj.": "model.layers.N.eh_proj.",
    "enorm.": "model.layers.N.enorm.",
    "hnorm.": "model.layers.N.hnorm.",
    "model.norm.": "model.layers.N.shared_head.norm.",
}
_ATTENDS: dict[str, Any] = {"num_hidden_layers": 1, "layer_types": ["full_attention"]}

BLOCKS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "qwen3_5": (_ATTENDS, _QWEN),
    "qwen3_5_moe": (_ATTENDS, _QWEN),
    "qwen3_next": (_ATTENDS, _QWEN),
    "glm4_moe": ({"num_hidden_layers": 1, "first_k_dense_replace": 0}, _GLM),
    "glm4_moe_lite": ({"num_hidden_layers": 1, "mlp_layer_types": ["sparse"]}, _GLM),
    "deepseek_v3": ({"num_hidden_layers": 1, "first_k_dense_replace": 0}, _GLM),
}
"""What of a golden model's configuration is otherwise in its block, and what files call the tensors, N being the number
of layers."""


def make(recipe: Recipe) -> None:
    folder = _HERE / "predictors"
    folder.mkdir(exist_ok=True)
    changes, names = BLOCKS[recipe.name]
    base = build_model(recipe)
    block = build_model(replace(recipe, name=f"{recipe.name}-predictor", config=recipe.config | changes))
    rng = np.random.default_rng(zlib.crc32(recipe.name.encode()) + 2)
    size = base.config.hidden_size
    shapes = {"eh_proj.weight": (size, 2 * size), "enorm.weight": (size,), "hnorm.weight": (size,)}
    extra = {name: _draw(rng, name, shape, base.config) for name, shape in shapes.items()}
    offset = 1.0 if base.config.model_type.startswith("qwen3") else 0.0

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        scale = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + base.config.rms_norm_eps)
        return x * scale * (torch.from_numpy(extra[name]) + offset)

    token_ids = torch.from_numpy(token_ids_of(recipe).astype(np.int64))
    unnormed: list[torch.Tensor] = []
    block.model.norm.register_forward_pre_hook(lambda module, given: unnormed.append(given[0]))
    with torch.no_grad():
        before = base.model(input_ids=token_ids[None], use_cache=False).last_hidden_state[0, :-1]
        tokens = base.get_input_embeddings()(token_ids[1:])
        both = torch.cat([norm(tokens, "enorm.weight"), norm(before, "hnorm.weight")], -1)
        joined = both @ torch.from_numpy(extra["eh_proj.weight"]).T
        normed = block.model(inputs_embeds=joined[None], use_cache=False).last_hidden_state[0]
        logits = base.get_output_embeddings()(normed)
    stored = {}
    for name, values in (state(block, as_computed=recipe.as_computed) | extra).items():
        if "embed_tokens" in name or "lm_head" in name:
            continue
        usual, own = next((usual, own) for usual, own in names.items() if name.startswith(usual))
        own = own.replace(".N.", f".{base.config.num_hidden_layers}.")
        stored[own + name.removeprefix(usual)] = values.astype(np.float16)
    np.savez_compressed(folder / f"{recipe.name}-weights.npz", **stored)
    np.savez_compressed(
        folder / f"{recipe.name}.npz",
        token_ids=token_ids.numpy().astype(np.int32),
        before=before.numpy(),
        logits=logits.numpy(),
        normed=normed.numpy(),
        residual=unnormed[0][0].numpy(),
    )
    for file in folder.iterdir():
        file.chmod(0o644)


if __name__ == "__main__":
    for recipe in RECIPES:
        if recipe.name in BLOCKS and (len(sys.argv) < 2 or recipe.name in sys.argv[1:]):
            make(recipe)
