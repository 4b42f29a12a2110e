"""Adapters for tests: random ones as peft writes them, and models that they are merged into."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.checkpoint.builders import entry, safetensors_bytes

from hearth.checkpoint.adapter import Adapter, LowRank
from hearth.checkpoint.floats import STORED_TYPES, to_f32
from hearth.checkpoint.safetensors import SafetensorsFile
from hearth.errors import HearthError
from hearth.model.text.adapter_places import AdapterPlaces

Arrays = Mapping[str, NDArray[Any]]


def weights_of(folder: Path) -> dict[str, NDArray[np.float32]]:
    """The tensors of a model's folder."""
    file = SafetensorsFile(folder / "model.safetensors")
    return {
        name: to_f32(file.raw(name).view(STORED_TYPES[info.dtype]), info.dtype).reshape(info.shape)
        for name, info in file.tensors.items()
    }


def write_safetensors(path: Path, arrays: Arrays) -> None:
    """In f32."""
    header, data = {}, b""
    for name, array in arrays.items():
        raw = np.ascontiguousarray(array, "<f4").tobytes()
        header[name] = entry("F32", array.shape, len(data), len(data) + len(raw))
        data += raw
    path.write_bytes(safetensors_bytes(header, data))


def adapter_pairs(
    shapes: Mapping[str, tuple[int, int]], rank: int, seed: int
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """A random A and B for each module of [out, in]."""
    rng = np.random.default_rng(seed)
    return {
        module: (
            rng.standard_normal((rank, columns)).astype(np.float32) * np.float32(0.3),
            rng.standard_normal((rows, rank)).astype(np.float32) * np.float32(0.1),
        )
        for module, (rows, columns) in shapes.items()
    }


def write_peft(
    folder: Path, shapes: Mapping[str, tuple[int, int]], *, rank: int = 8, alpha: float = 16, seed: int = 0, **more: Any
) -> Path:
    """A folder as peft writes it, with a random adapter beside each module."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, NDArray[np.float32]] = {}
    for module, (a, b) in adapter_pairs(shapes, rank, seed).items():
        tensors[f"base_model.model.{module}.lora_A.weight"] = a
        tensors[f"base_model.model.{module}.lora_B.weight"] = b
    write_safetensors(folder / "adapter_model.safetensors", tensors)
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "bias": "none", **more}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def write_merged(folder: Path, base: Path, pairs: Mapping[str, Any], scale: float, *, transposed: bool = False) -> Path:
    """The model with scale B A added to its matrices."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(base / "config.json", folder)
    weights = dict(weights_of(base))
    for module, (a, b) in pairs.items():
        added = np.float32(scale) * (b.astype(np.float64) @ a).astype(np.float32)
        weights[f"{module}.weight"] = weights[f"{module}.weight"] + (added.T if transposed else added)
    write_safetensors(folder / "model.safetensors", weights)
    return folder


def changeable_shapes(base: Path, places: AdapterPlaces, *, transposed: bool = False) -> dict[str, tuple[int, int]]:
    """[out, in] of all modules of a model that an adapter may change."""

    def can_be(module: str, rows: int, columns: int) -> bool:
        lone = {f"{module}.weight": LowRank(1, rows, columns, 1.0, lambda: pytest.fail("numbers are read"))}
        try:
            return bool(places.find(Adapter(base, "safetensors", "", "", lone)))
        except HearthError:
            return False

    every = {
        name.removesuffix(".weight"): array.shape[::-1] if transposed else array.shape
        for name, array in weights_of(base).items()
        if name.endswith(".weight") and array.ndim == 2
    }
    return {module: (shape[0], shape[1]) for module, shape in every.items() if can_be(module, *shape)}


def linear_shapes(base: Path, names: Sequence[str], *, transposed: bool = False) -> dict[str, tuple[int, int]]:
    """[out, in] of the modules of a model whose names end so."""
    shapes: dict[str, tuple[int, int]] = {}
    for name, array in weights_of(base).items():
        module = name.removesuffix(".weight")
        if name.endswith(".weight") and array.ndim == 2 and module.rpartition(".")[2] in names:
            rows, columns = array.shape[::-1] if transposed else array.shape
            shapes[module] = (rows, columns)
    return shapes
