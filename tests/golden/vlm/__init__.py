"""Small random language models that see, with what transformers computes for them. `make_golden.py` makes the numbers;
weights, pictures and prompts are drawn (`golden/vision/draws.py`), so that little has to be stored."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..vision import write_safetensors
from ..vision.draws import draw_pixels, draw_tensor
from .recipes import RECIPES, Recipe

HERE = Path(__file__).parent


def draw_prompt(recipe: Recipe) -> NDArray[np.int32]:
    """Token ids; those of tiles are the model's placeholder."""
    random = np.random.RandomState(zlib.crc32(recipe.name.encode()) + 2)
    ids: list[int] = []
    counts = iter(recipe.counts)
    for part in recipe.prompt:
        # Tokens above stand for pictures and what is around them.
        ids += [recipe.token_id] * next(counts) if isinstance(part, str) else random.randint(3, 128, part).tolist()
    return np.array(ids, np.int32)


def draw_tiles(recipe: Recipe) -> list[NDArray[np.float32]]:
    """The normalised pixels (height, width, 3) of the tiles of the prompt."""
    if recipe.sizes:
        return [draw_pixels(f"{recipe.name}{i}", 1, *size)[0] for i, size in enumerate(recipe.sizes)]
    size = recipe.config["vision_config"]["image_size"]
    return list(draw_pixels(recipe.name, len(recipe.counts), size, size))


def vocabulary(recipe: Recipe) -> list[str]:
    """Tokens by their numbers: characters, and what stands for pictures, where the file of the family has that."""
    size = recipe.config["text_config"]["vocab_size"]
    tokens = [chr(0x100 + i) for i in range(size)]
    stands = {"gemma3": {recipe.token_id: "<image_soft_token>"}, "llava": {0: "<unk>"}}
    marks = {1: "<s>", 2: "</s>", 129: tokens[3] + tokens[4]}
    marks |= stands.get(recipe.name, {recipe.token_id: "<|image_pad|>" if recipe.sizes else "<image>"})
    return [marks.get(i, token) for i, token in enumerate(tokens)]


@dataclass(frozen=True)
class Case:
    """One golden model."""

    recipe: Recipe

    @property
    def path(self) -> Path:
        """Where its configuration and the shapes of its tensors are."""
        return HERE / self.recipe.name

    def write(self, folder: Path, *, names: Mapping[str, str] | None = None, **files: Any) -> Path:
        """The model as it would be published.

        Args:
            names: beginnings of tensor names and what the file is to have instead.
            files: further JSON files, by their names without ending.
        """
        tensors = {}
        for name, (shape, dtype) in json.loads((self.path / "tensors.json").read_text()).items():
            prefix = next((p for p in names or () if name.startswith(p)), "")
            stored = (names or {}).get(prefix, "") + name.removeprefix(prefix)
            is_float = dtype.startswith("float")
            tensors[stored] = draw_tensor(name, tuple(shape)) if is_float else np.zeros(shape, dtype)
        write_safetensors(folder / "model.safetensors", tensors)
        (folder / "config.json").write_text((self.path / "config.json").read_text())
        for name, content in {"preprocessor_config": dict(self.recipe.processor), **files}.items():
            (folder / f"{name}.json").write_text(json.dumps(content))
        return folder

    def expected(self) -> dict[str, NDArray[np.float32]]:
        """embeddings (rows of all tiles, hidden) and logits (tokens, vocab)."""
        with np.load(self.path / "expected.npz") as arrays:
            embeddings = arrays["embeddings"]
            return {**arrays, "embeddings": embeddings.reshape(-1, embeddings.shape[-1])}


CASES = [Case(recipe) for recipe in RECIPES]
