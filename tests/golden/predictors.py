"""Golden models with the blocks that predict further tokens (`make_predictors.py`)."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint import open_checkpoint

from . import _HERE, CASES
from .vision import write_safetensors

NAMES = ("qwen3_5", "qwen3_5_moe", "qwen3_next", "glm4_moe")


def tensors(name: str) -> dict[str, NDArray[np.float16]]:
    """What the golden model's checkpoint lacks, as files call it."""
    with np.load(_HERE / "predictors" / f"{name}-weights.npz") as arrays:
        return dict(arrays)


def expected(name: str) -> dict[str, NDArray[np.float32]]:
    """token_ids (n,); and, of each of them but the last, `before`, the hidden state that the model has there, and of
    the block, with the token that follows: logits, normed and residual, f32 (n - 1, columns)."""
    with np.load(_HERE / "predictors" / f"{name}.npz") as arrays:
        return dict(arrays)


def with_predictor(name: str, folder: Path) -> Path:
    """Writes the golden model with its block into a folder, as it would be published."""
    case = next(case for case in CASES if case.name == name)
    folder.mkdir(parents=True)
    shutil.copy(case.path / "config.json", folder)
    checkpoint = open_checkpoint(case.path)
    weights = {
        tensor: checkpoint.raw(tensor).view(np.float16).reshape(info.shape)
        for tensor, info in checkpoint.tensors.items()
    }
    write_safetensors(folder / "model.safetensors", {**weights, **tensors(name)})
    return folder
