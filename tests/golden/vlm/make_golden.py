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

from ..vision.draws import draw_tensor
from ..vision.make_golden import published, write
from . import HERE, draw_prompt, draw_tiles, vocabulary
from .gguf_twins import write_twins
from .recipes import RECIPES, Recipe


def expected(recipe: Recipe, folder: Path) -> dict[str, Any]:
    model = getattr(transformers, recipe.model).from_pretrained(folder, attn_implementation="eager").eval().double()
    pixels = torch.from_numpy(draw_tiles(recipe)).permute(0, 3, 1, 2).contiguous().double()
    ids = torch.from_numpy(draw_prompt(recipe).astype(np.int64))[None]
    given = pixels[None] if "Idefics" in recipe.model or "SmolVLM" in recipe.model else pixels
    with torch.no_grad():
        features = model.get_image_features(pixel_values=given).pooler_output
        types = {"token_type_ids": (ids == recipe.token_id).long()} if recipe.ahead else {}
        logits = model(input_ids=ids, pixel_values=given, use_cache=False, **types).logits[0]
    rows = torch.cat([part.reshape(-1, part.shape[-1]) for part in features])
    embeddings = rows.reshape(len(pixels), recipe.rows, -1)
    return {"embeddings": embeddings.numpy().astype(np.float32), "logits": logits.numpy().astype(np.float32)}


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
