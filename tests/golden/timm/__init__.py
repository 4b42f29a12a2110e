"""Models as timm publishes them, at their real sizes with drawn weights, and what timm computes. `make_golden.py`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from golden.vision import write_safetensors
from golden.vision.draws import draw_tensor

HERE = Path(__file__).parent
NAMES = {
    "vit_tiny_patch16_224": 224,
    "deit_tiny_distilled_patch16_224": 224,
    "deit3_small_patch16_224": 224,
    "vit_base_patch32_clip_quickgelu_224": 224,
    "vit_small_patch14_dinov2": 518,
    "vit_small_patch14_reg4_dinov2": 518,
    "swin_tiny_patch4_window7_224": 224,
    "swinv2_tiny_window8_256": 256,
    "convnext_tiny": 224,
    "convnext_atto": 224,
    "convnextv2_atto": 224,
    "resnet18": 224,
    "resnet26d": 224,
    "efficientnet_b0": 224,
    "tf_efficientnet_lite0": 224,
    "mobilevit_xxs": 256,
}
"""One or two of each line, and the size of their pictures."""
EMBED = ("vit_base_patch32_clip_quickgelu_224", "vit_small_patch14_dinov2", "vit_small_patch14_reg4_dinov2")
"""These have no classes: a projection, or nothing."""
LABELS = 5


def labels_of(name: str) -> int:
    """Rows of the head."""
    return 0 if "dino" in name else LABELS


def draw(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return draw_tensor(name.replace("gamma", "lambda"), shape)


def write(name: str, folder: Path, *, empty: bool = False) -> Path:
    """The model as it would be published. `empty`: with zeros for weights, which take no room on the disk."""
    tensors = json.loads((HERE / f"{name}.json").read_text())
    config = json.loads((HERE / "config.json").read_text())
    config["pretrained_cfg"]["input_size"] = [3, NAMES[name], NAMES[name]]
    (folder / "config.json").write_text(json.dumps({**config, "architecture": name, "num_classes": labels_of(name)}))
    if not empty:
        drawn = {
            key: draw(key, tuple(shape)) if kind == "float32" else np.zeros(shape, kind)
            for key, (shape, kind) in tensors.items()
        }
        write_safetensors(folder / "model.safetensors", drawn)
        return folder
    header, begin = {}, 0
    for key, (shape, kind) in tensors.items():
        end = begin + int(np.prod(shape, dtype=int)) * np.dtype(kind).itemsize
        spelt = {"float32": "F32", "int64": "I64"}[kind]
        header[key] = {"dtype": spelt, "shape": shape, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + begin)
    return folder


def expected(name: str) -> NDArray[np.float32]:
    """Logits of one picture (1, labels), or its vector."""
    with np.load(HERE / "expected.npz") as arrays:
        return arrays[name]
