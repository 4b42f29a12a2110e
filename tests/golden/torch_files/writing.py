"""Writes files as torch.save does, without torch: what tests make of models that stand as safetensors.

The form is that of torch/serialization.py (version 3 of its archive); a test marked `reference` has torch read it.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint import open_checkpoint

Stored = tuple[str, tuple[int, ...], bytes]
"""Type (f32, f16, bf16, i64), shape, bytes."""
_CLASSES = {
    "f32": ("FloatStorage", 4),
    "f16": ("HalfStorage", 2),
    "bf16": ("BFloat16Storage", 2),
    "i64": ("LongStorage", 8),
}


class _Name:
    """A name of torch's, which a pickle refers to."""

    def __init__(self, module: str, name: str) -> None:
        self.line = f"{module}\n{name}\n".encode()

    def __call__(self) -> None:
        """Only what can be called may stand before arguments."""


class _Storage:
    def __init__(self, key: str, dtype: str, size: int) -> None:
        kind, item = _CLASSES[dtype]
        self.id = ("storage", _Name("torch", kind), key, "cpu", size // item)


class _Tensor:
    def __init__(self, storage: _Storage, shape: tuple[int, ...]) -> None:
        self.storage, self.shape = storage, shape

    def __reduce__(self) -> Any:
        steps = [1] * len(self.shape)
        for axis in range(len(self.shape) - 2, -1, -1):
            steps[axis] = steps[axis + 1] * self.shape[axis + 1]
        return _Name("torch._utils", "_rebuild_tensor_v2"), (self.storage, 0, self.shape, tuple(steps), False, {})


class _Pickler(pickle._Pickler):  # type: ignore[name-defined]  # the one in Python can be told how names are written
    def persistent_id(self, obj: Any) -> Any:
        return obj.id if isinstance(obj, _Storage) else None

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, _Name):
            self.write(pickle.GLOBAL + obj.line)
        else:
            super().save(obj, save_persistent_id)


def write_torch(path: Path, tensors: Mapping[str, Stored]) -> None:
    """A state dict."""
    described = {
        name: _Tensor(_Storage(str(key), dtype, len(data)), shape)
        for key, (name, (dtype, shape, data)) in enumerate(tensors.items())
    }
    stream = BytesIO()
    _Pickler(stream, 2).dump(described)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", stream.getvalue())
        archive.writestr("archive/byteorder", b"little")
        for key, (_, _, data) in enumerate(tensors.values()):
            archive.writestr(f"archive/data/{key}", data)
        archive.writestr("archive/version", b"3\n")


def turn_to_torch(folder: Path, *, shards: int = 1) -> Path:
    """Writes the weights of a model folder as models from before 2023 have them, instead of safetensors."""
    checkpoint = open_checkpoint(folder)
    stored = {name: (info.dtype, info.shape, _bytes(checkpoint, name)) for name, info in checkpoint.tensors.items()}
    for file in folder.glob("*.safetensors"):
        file.unlink()
    if shards == 1:
        write_torch(folder / "pytorch_model.bin", stored)
        return folder
    where = {name: f"pytorch_model-{1 + i % shards:05d}-of-{shards:05d}.bin" for i, name in enumerate(stored)}
    for file_name in set(where.values()):
        write_torch(folder / file_name, {name: stored[name] for name in stored if where[name] == file_name})
    index = {"metadata": {"total_size": 0}, "weight_map": where}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return folder


def _bytes(checkpoint: Any, name: str) -> bytes:
    if checkpoint.tensors[name].dtype == "i64":  # positions, which old models keep beside their weights
        return np.zeros(checkpoint.tensors[name].shape, np.int64).tobytes()
    raw: NDArray[np.uint8] = checkpoint.raw(name)
    return raw.tobytes()
