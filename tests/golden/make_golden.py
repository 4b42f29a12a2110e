"""Makes the golden models and their expected logits. Needs `pip install -e '.[reference]'`.

    cd tests && python -m golden.make_golden [NAME...]

Weights are random (seeded by the name), drawn wide enough that logits spread, and rounded to f16 so that the stored
file holds them exactly. The logits are those of transformers' own classes, in f32, with eager attention, or of the
program that `rwkv.py` names.
"""

from __future__ import annotations

import sys
import zlib
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from safetensors.numpy import save_file
from transformers.core_model_loading import revert_weight_conversion

from . import _HERE, rwkv
from .gguf_twin import write_twin
from .recipes import RECIPES, Recipe


def build_model(recipe: Recipe) -> torch.nn.Module:
    """The model of a recipe in f32, with its final weights."""
    named = getattr(transformers, recipe.model, None) or getattr(rwkv, recipe.model)
    config = (named if issubclass(named, transformers.PreTrainedConfig) else named.config_class)(**recipe.config)
    config._attn_implementation = "eager"
    made = transformers.AutoModelForCausalLM.from_config(config) if isinstance(config, named) else named(config)
    model = made.eval().float()
    rng = np.random.default_rng(zlib.crc32(recipe.name.encode()))
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            parameter.copy_(torch.from_numpy(_draw(rng, name, tuple(parameter.shape), config)))
        for name, buffer in sorted(model.named_buffers()):
            if name.endswith(("e_score_correction_bias", "expert_bias", "layer_scalar")):
                buffer.copy_(torch.from_numpy(_draw(rng, name, tuple(buffer.shape), config)))
        model.tie_weights()
    return model


def _draw(rng: np.random.Generator, name: str, shape: tuple[int, ...], config: Any) -> NDArray[np.float32]:
    """f32 values that f16 holds exactly."""
    noise = rng.standard_normal(shape)
    if name.endswith("layer_scalar"):
        values = 0.3 * noise + 1.0
    elif name.endswith("weight") and len(shape) == 1:  # of a norm
        offset = config.model_type == "nemotron"
        offset |= "gemma" in config.model_type and not config.model_type.startswith(("gemma4", "gemma3n"))
        offset |= config.model_type.startswith(("qwen3_5", "qwen3_next")) and "linear_attn" not in name
        values = 0.3 * noise + (0.0 if offset else 1.0)
        if config.model_type.startswith(("gemma4", "gemma3n")) and "q_norm" in name:
            values *= 0.3  # its scores are scaled by nothing else
    elif len(shape) == 1 or (name.endswith("A_log") and len(shape) == 4):
        values = 0.3 * noise
    elif shape[:2] == (1, 1):  # shares of the token before
        values = 0.3 * noise + 0.5
    elif any(matrix in name for matrix in ("embed", "lm_head", "wte", "wpe")):
        values = 0.4 * noise
    else:
        values = 1.5 * noise / np.sqrt(shape[-1] if len(shape) == 3 else np.prod(shape[1:]))
    return values.astype(np.float16).astype(np.float32)


def reference_logits(model: torch.nn.Module, token_ids: NDArray[np.int32]) -> NDArray[np.float32]:
    with torch.no_grad():
        output = model(input_ids=torch.from_numpy(token_ids.astype(np.int64))[None], use_cache=False)
    return output.logits[0].numpy()


def state(model: torch.nn.Module, *, as_computed: bool = False) -> dict[str, NDArray[np.float32]]:
    """The weights as transformers would save them: a tied head is not saved."""
    tied = set(getattr(model, "_tied_weights_keys", None) or {}) if model.config.tie_word_embeddings else set()
    # Experts are stored one by one, and computed as one tensor.
    stored = model.state_dict() if as_computed else revert_weight_conversion(model, model.state_dict())
    return {name: np.ascontiguousarray(value.numpy()) for name, value in stored.items() if name not in tied}


def token_ids_of(recipe: Recipe) -> NDArray[np.int32]:
    vocab = recipe.config.get("text_config", recipe.config)["vocab_size"]
    # The last three tokens of the model that also sees stand for images.
    rng = np.random.default_rng(zlib.crc32(recipe.name.encode()) + 1)
    return rng.integers(1, vocab - 3, recipe.tokens).astype(np.int32)


def make(recipe: Recipe) -> None:
    folder = _HERE / recipe.name
    folder.mkdir(exist_ok=True)
    model = build_model(recipe)
    token_ids = token_ids_of(recipe)
    logits = reference_logits(model, token_ids)
    weights = state(model, as_computed=recipe.as_computed)
    save_file({k: v.astype(np.float16) for k, v in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    model.config.save_pretrained(folder)
    np.savez_compressed(folder / "expected.npz", token_ids=token_ids, logits=logits)
    if recipe.gguf:
        model.config.allow_global_per_layer_attribute_access = True  # of Gemma 4: sizes that some layers have otherwise
        write_twin(recipe.gguf, model.config, weights, folder / "twin.gguf")
    for file in folder.iterdir():
        file.chmod(0o644)
    size = sum(file.stat().st_size for file in folder.iterdir())
    sys.stdout.write(f"{recipe.name}: {size // 1024} KiB, logits spread {logits.std():.2f}\n")


if __name__ == "__main__":
    for recipe in RECIPES:
        if len(sys.argv) < 2 or recipe.name in sys.argv[1:]:
            make(recipe)
