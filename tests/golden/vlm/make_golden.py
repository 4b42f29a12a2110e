"""Makes the numbers that the golden language models that see are to give. Needs `pip install -e '.[reference]'`.

    cd tests && python -m golden.vlm.make_golden [NAME...]

Each folder gets `config.json`, the names and shapes of the tensors that transformers publishes (`tensors.json`) and
what transformers' own classes compute of the drawn pictures and prompts in f64, rounded to f32 (`expected.npz`).
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors import safe_open
from safetensors.numpy import save_file

from ..vision.draws import draw_tensor
from . import HERE, draw_prompt, draw_tiles, vocabulary
from .gguf_twins import write_twins
from .recipes import RECIPES, Recipe


def published(recipe: Recipe, folder: Path) -> dict[str, tuple[list[int], str]]:
    """Saves a model as transformers publishes it, with the drawn weights; its tensors' shapes and types."""
    model_class = getattr(transformers, recipe.model)
    model = model_class(model_class.config_class(**recipe.config)).eval()
    model.save_pretrained(folder)
    with safe_open(folder / "model.safetensors", "np") as file:
        tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
    drawn = {
        name: draw_tensor(name, value.shape) if value.dtype.kind == "f" else value for name, value in tensors.items()
    }
    save_file(drawn, folder / "model.safetensors", {"format": "pt"})
    return {name: (list(value.shape), value.dtype.name) for name, value in tensors.items()}


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
    rows = (f"  {json.dumps(name)}: {json.dumps(kind)}" for name, kind in tensors.items())
    (target / "tensors.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")
    np.savez_compressed(target / "expected.npz", **outputs)
    for file in target.iterdir():
        file.chmod(0o644)
    size = sum(file.stat().st_size for file in target.iterdir())
    spread = ", ".join(f"{name} {value.shape} {value.std():.2f}" for name, value in outputs.items())
    sys.stdout.write(f"{recipe.name}: {size // 1024} KiB, {spread}\n")


if __name__ == "__main__":
    for recipe in RECIPES:
        if len(sys.argv) < 2 or recipe.name in sys.argv[1:]:
            make(recipe)
