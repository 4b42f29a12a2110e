"""Golden models with the blocks that predict further tokens (`make_predictors.py`)."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint import open_checkpoint

from . import _HERE, CASES, Case
from .vision import write_safetensors

NAMES = ("qwen3_5", "qwen3_5_moe", "qwen3_next", "glm4_moe", "glm4_moe_lite", "deepseek_v3")


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
    return _published(name, {**_weights(name), **tensors(name)}, folder)


def foreseeing(folder: Path) -> Path:
    """The same of Qwen 3.5, changed so that its block is right about every token: what follows a token depends on that
    alone, for no layer adds anything, and the block hands its embedding on to a norm that is the model's."""
    block, model = tensors("qwen3_5"), _weights("qwen3_5")
    for name, weight in (*block.items(), *model.items()):
        if name.endswith(("o_proj.weight", "out_proj.weight", "down_proj.weight")):
            weight[:] = 0
    size = block["mtp.norm.weight"].shape[0]
    block["mtp.fc.weight"] = np.eye(size, 2 * size, dtype=np.float16)  # of the token's embedding alone
    block["mtp.pre_fc_norm_embedding.weight"][:] = 0  # and 1 is added to it
    block["mtp.norm.weight"] = model["model.norm.weight"]
    return _published("qwen3_5", {**model, **block}, folder)


def _weights(name: str) -> dict[str, NDArray[np.float16]]:
    checkpoint = open_checkpoint(_case(name).path)
    return {
        tensor: checkpoint.raw(tensor).view(np.float16).reshape(info.shape).copy()
        for tensor, info in checkpoint.tensors.items()
    }


def _published(name: str, weights: dict[str, NDArray[np.float16]], folder: Path) -> Path:
    folder.mkdir(parents=True)
    shutil.copy(_case(name).path / "config.json", folder)
    write_safetensors(folder / "model.safetensors", weights)
    return folder


def _case(name: str) -> Case:
    return next(case for case in CASES if case.name == name)
