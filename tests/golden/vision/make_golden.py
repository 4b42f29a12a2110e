"""Makes the numbers that the golden vision models are to give. Needs `pip install -e '.[reference]' timm`.

    cd tests && python -m golden.vision.make_golden [NAME...]

Each folder gets `config.json`, the names and shapes of the tensors that transformers publishes (`tensors.json`; their
values are drawn from the names, `draws.py`) and what transformers' own classes compute of them in f64, rounded to f32
(`expected.npz`).
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

from . import HERE, draw_text
from .draws import draw_pixels, draw_tensor
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
    pixels = torch.from_numpy(draw_pixels(recipe.name, 2, *recipe.size)).permute(0, 3, 1, 2).contiguous().double()
    inputs: dict[str, Any] = {"pixel_values": pixels, **recipe.options}
    if recipe.text:
        inputs["input_ids"] = torch.from_numpy(draw_text(recipe).astype(np.int64))
    with torch.no_grad():
        result = model(**inputs)
    outputs = {}
    for name, field in recipe.outputs.items():
        value = getattr(result, field)
        outputs[name] = (
            (value.permute(0, 2, 3, 1) if name in recipe.channels_last else value).numpy().astype(np.float32)
        )
    return outputs


def write(target: Path, tensors: dict[str, tuple[list[int], str]], outputs: dict[str, Any]) -> None:
    """The files that every golden model has besides its configuration."""
    rows = (f"  {json.dumps(name)}: {json.dumps(kind)}" for name, kind in tensors.items())
    (target / "tensors.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")
    np.savez_compressed(target / "expected.npz", **outputs)
    for file in target.iterdir():
        file.chmod(0o644)
    size = sum(file.stat().st_size for file in target.iterdir())
    spread = ", ".join(f"{name} {value.shape} {value.std():.2f}" for name, value in outputs.items())
    sys.stdout.write(f"{target.name}: {size // 1024} KiB, {spread}\n")


def make(recipe: Recipe) -> None:
    target = HERE / recipe.name
    target.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        tensors = published(recipe, folder)
        outputs = expected(recipe, folder)
        (target / "config.json").write_text((folder / "config.json").read_text())
    write(target, tensors, outputs)


if __name__ == "__main__":
    for recipe in RECIPES:
        if len(sys.argv) < 2 or recipe.name in sys.argv[1:]:
            make(recipe)
