"""Makes the numbers that the golden language models that see are to give. Needs `pip install -e '.[reference]'`.

    cd tests && python -m golden.vlm.make_golden [NAME...]

Each folder gets `config.json`, the names and shapes of the tensors that transformers publishes (`tensors.json`) and
what transformers' own classes compute of the drawn pictures and prompts in f64, rounded to f32 (`expected.npz`).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from ..vision.draws import draw_tensor
from ..vision.make_golden import published, write
from . import HERE, draw_prompt, draw_tiles, vocabulary
from .gguf_twins import write_twins
from .recipes import RECIPES, Recipe


def expected(recipe: Recipe, folder: Path) -> dict[str, Any]:
    model = getattr(transformers, recipe.model).from_pretrained(folder, attn_implementation="eager").eval().double()
    ids = torch.from_numpy(draw_prompt(recipe).astype(np.int64))[None]
    types = (ids == recipe.token_id).long()
    if recipe.sizes:
        pictures, more = patches(recipe), {"mm_token_type_ids": types}
    else:
        pixels = torch.from_numpy(np.stack(draw_tiles(recipe))).permute(0, 3, 1, 2).contiguous().double()
        nested = "Idefics" in recipe.model or "SmolVLM" in recipe.model
        pictures, more = {"pixel_values": pixels[None] if nested else pixels}, {}
    if recipe.ahead:
        more = {"token_type_ids": types}
    with torch.no_grad():
        features = model.get_image_features(**pictures).pooler_output
        logits = model(input_ids=ids, use_cache=False, **pictures, **more).logits[0]
    embeddings = torch.cat([part.reshape(-1, part.shape[-1]) for part in features])
    return {"embeddings": embeddings.numpy().astype(np.float32), "logits": logits.numpy().astype(np.float32)}


def patches(recipe: Recipe) -> dict[str, Any]:
    """The tiles as Qwen's own processor lays them out."""
    processor, cut, grids = Qwen2VLImageProcessorPil(), [], []
    for tile in draw_tiles(recipe):
        rows, height, width = processor.patchify(
            tile.transpose(2, 0, 1), patch_size=recipe.processor["patch_size"], merge_size=2, temporal_patch_size=2
        )
        cut.append(rows)
        grids.append([1, height, width])
    return {
        "pixel_values": torch.from_numpy(np.concatenate(cut)).double(),
        "image_grid_thw": torch.tensor(grids),
    }


def make(recipe: Recipe) -> None:
    target = HERE / recipe.name
    target.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        tensors = published(recipe, folder)
        outputs = expected(recipe, folder)
        if recipe.gguf:
            weights = {name: draw_tensor(name, tuple(shape)) for name, (shape, _) in tensors.items()}
            config = getattr(transformers, recipe.model).config_class.from_pretrained(folder)
            write_twins(recipe.model, config, weights, vocabulary(recipe), dict(recipe.processor), target)
        (target / "config.json").write_text((folder / "config.json").read_text())
    write(target, tensors, outputs)


if __name__ == "__main__":
    for recipe in RECIPES:
        if len(sys.argv) < 2 or recipe.name in sys.argv[1:]:
            make(recipe)
