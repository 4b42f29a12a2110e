"""Small random vision models, with what transformers computes for them. `make_golden.py` makes the numbers."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .draws import draw_pixels, draw_tensor
from .recipes import RECIPES, Recipe

HERE = Path(__file__).parent


def draw_text(recipe: Recipe) -> NDArray[np.int32]:
    """Token ids of a text tower's inputs; each row ends with the end token somewhere and is padded with it."""
    assert recipe.text is not None
    rows, length = recipe.text
    vocab = recipe.config["text_config"]["vocab_size"]
    ids = np.random.RandomState(zlib.crc32(recipe.name.encode()) + 2).randint(3, vocab - 2, (rows, length))
    for row in range(rows):
        ids[row, length - 1 - 2 * row :] = vocab - 1
    return ids.astype(np.int32)


def text_inputs(tower: Any, token_ids: NDArray[np.int32]) -> dict[str, NDArray[np.generic]]:
    """Inputs of a text tower (`hearth.model.vision.TextTower`)."""
    if not tower.pooled:
        return {"token_ids": token_ids}
    where = token_ids.argmax(1) if tower.highest else (token_ids == tower.end_id).argmax(1)
    return {"token_ids": token_ids, "pooling": np.eye(token_ids.shape[1], dtype=np.float32)[where]}


@dataclass(frozen=True)
class Case:
    """One golden model."""

    recipe: Recipe

    @property
    def path(self) -> Path:
        """Where its configuration and the shapes of its tensors are."""
        return HERE / self.recipe.name

    def write(self, folder: Path) -> Path:
        """The model as it would be published: a folder with its configuration and its weights."""
        tensors = {}
        for name, (shape, dtype) in json.loads((self.path / "tensors.json").read_text()).items():
            is_float = dtype.startswith("float")
            tensors[name] = draw_tensor(name, tuple(shape)) if is_float else np.zeros(shape, dtype)
        write_safetensors(folder / "model.safetensors", tensors)
        (folder / "config.json").write_text((self.path / "config.json").read_text())
        return folder

    def pixels(self) -> NDArray[np.float32]:
        """Two pictures: (2, height, width, 3)."""
        return draw_pixels(self.recipe.name, 2, *self.recipe.size)

    def expected(self) -> dict[str, NDArray[np.float32]]:
        with np.load(self.path / "expected.npz") as arrays:
            return dict(arrays)


CASES = [Case(recipe) for recipe in RECIPES]


def write_safetensors(path: Path, tensors: dict[str, NDArray[np.generic]]) -> None:
    """A safetensors file."""
    kinds = {"float32": "F32", "float16": "F16", "int64": "I64", "int32": "I32"}
    header, begin = {}, 0
    for name, value in tensors.items():
        offsets = [begin, begin + value.nbytes]
        header[name] = {"dtype": kinds[value.dtype.name], "shape": list(value.shape), "data_offsets": offsets}
        begin += value.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(v.tobytes() for v in tensors.values()))
