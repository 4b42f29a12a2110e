"""Models as torchvision publishes them, files of weights at their real sizes with drawn weights, and what torchvision
computes. `make_golden.py` makes the numbers."""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from golden.vision.draws import draw_tensor

HERE = Path(__file__).parent
NAMES = ("resnet18", "vit_b_16", "swin_t", "swin_v2_t", "convnext_tiny", "efficientnet_b0")
SIZES = {"swin_v2_t": 256}
"""Pictures of those that do not take 224 x 224."""
DRAWN = {**SIZES, "resnet18": 64, "convnext_tiny": 64, "efficientnet_b0": 64}
"""Pictures that logits are compared for: smaller ones where any size will do."""
LABELS = 5
_STORAGES = {"float32": b"FloatStorage", "int64": b"LongStorage"}


def draw(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return draw_tensor(name.replace("self_attention.in_proj_bias", "bias"), shape)


def write(name: str, folder: Path, *, empty: bool = False) -> Path:
    """The file of weights as torch.save writes it. `empty`: with zeros, which take no room on the disk."""
    tensors = json.loads((HERE / f"{name}.json").read_text())
    path = folder / f"{name}-01234567.pth"
    pickled = b"\x80\x02}("
    for number, (key, (shape, kind)) in enumerate(tensors.items()):
        pickled += _text(key) + _tensor(str(number), shape, _STORAGES[kind])
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", pickled + b"u.")
        for number, (key, (shape, kind)) in enumerate(tensors.items()):
            data = np.zeros(shape, kind) if empty or kind != "float32" else draw(key, tuple(shape))
            archive.writestr(f"model/data/{number}", data.tobytes())
    return path


def _tensor(key: str, shape: list[int], storage: bytes) -> bytes:
    """What torch.save writes of a tensor whose numbers are those of the entry `key`."""
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    where = (
        b"(" + _text("storage") + b"ctorch\n" + storage + b"\n" + _text(key) + _text("cpu") + _number(math.prod(shape))
    )
    sizes = b"(" + b"".join(map(_number, shape)) + b"t(" + b"".join(map(_number, strides)) + b"t"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + where + b"tQK\0" + sizes + b"\x89ccollections\nOrderedDict\n)RtR"


def _text(text: str) -> bytes:
    return b"X" + len(text.encode()).to_bytes(4, "little") + text.encode()


def _number(number: int) -> bytes:
    return b"J" + number.to_bytes(4, "little")


def expected(name: str) -> NDArray[np.float32]:
    """Logits of one picture: (1, labels)."""
    with np.load(HERE / "expected.npz") as arrays:
        return arrays[name]
