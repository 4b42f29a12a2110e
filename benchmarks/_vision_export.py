"""Makes a vision model of real shapes with random weights, and of it what the peers run, in the peers' environment.

    python benchmarks/_vision_export.py swin-t FOLDER

writes FOLDER/hf (as transformers publishes it), FOLDER/f32.onnx, FOLDER/dynamic.onnx and FOLDER/static.onnx
(onnxruntime's two ways to int8), FOLDER/f32.xml and FOLDER/int8.xml (openvino, the second by NNCF), and last
FOLDER/expected.npz: an input and what torch computes of it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

_IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "resample": 3}
# Name -> class, what differs from its defaults, height and width, the outputs that are used.
SHAPES: dict[str, tuple[str, dict[str, Any], tuple[int, int], tuple[str, ...]]] = {
    "vit-b": ("ViTForImageClassification", {"num_labels": 1000}, (224, 224), ("logits",)),
    "deit-t": (
        "DeiTForImageClassificationWithTeacher",
        {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768, "num_labels": 1000},
        (224, 224),
        ("logits",),
    ),
    "swin-t": ("SwinForImageClassification", {"num_labels": 1000}, (224, 224), ("logits",)),
    "detr-r50": (
        "DetrForObjectDetection",
        {
            "use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None, "num_labels": 91,
            "backbone_config": {"model_type": "resnet", "out_features": ["stage4"]},
        },
        (480, 640),
        ("logits", "pred_boxes"),
    ),
}  # fmt: skip
_CALIBRATION = 4


class Plain(torch.nn.Module):
    """A model whose results are a tuple."""

    def __init__(self, model: torch.nn.Module, outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.outputs = model, outputs

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        result = self.model(pixel_values)
        return tuple(getattr(result, name) for name in self.outputs)


def build(name: str) -> tuple[torch.nn.Module, Plain]:
    class_name, values, _, outputs = SHAPES[name]
    torch.manual_seed(0)
    model_class = getattr(transformers, class_name)
    model = model_class(model_class.config_class(**values)).eval()
    model.set_attn_implementation("eager")  # Swin's other one cannot be exported; runtimes fuse both to the same
    for key, value in model.state_dict().items():
        # Statistics as training leaves them; without them random layers would fade out.
        if key.endswith("running_var"):
            value.uniform_(0.5, 1.5)
    return model, Plain(model, outputs).eval()


def pictures(size: tuple[int, int], count: int) -> Iterator[np.ndarray]:
    """Slopes and noise, as normalised pictures are: (1, 3, h, w)."""
    seed = np.random.default_rng(0)
    slope = np.linspace(-1.5, 1.5, size[1], dtype=np.float32)
    for _ in range(count):
        noise = seed.standard_normal((1, 3, *size)).astype(np.float32)
        yield (0.7 * noise + slope * seed.uniform(-1, 1)).astype(np.float32)


def export(name: str, folder: Path) -> None:
    import nncf
    import openvino
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_dynamic,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    size = SHAPES[name][2]
    model, plain = build(name)
    model.save_pretrained(folder / "hf")
    processor = {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": size[0], "width": size[1]},
        **_IMAGENET,
    }
    (folder / "hf" / "preprocessor_config.json").write_text(json.dumps(processor, indent=1))
    example = torch.from_numpy(next(pictures(size, 1)))
    with torch.no_grad():
        expected = plain(example)
    torch.onnx.export(
        plain, (example,), folder / "f32.onnx", input_names=["pixel_values"], output_names=list(SHAPES[name][3]),
        opset_version=18, dynamo=True, external_data=False,
    )  # fmt: skip

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._left = pictures(size, _CALIBRATION)

        def get_next(self) -> dict[str, np.ndarray] | None:
            picture = next(self._left, None)
            return None if picture is None else {"pixel_values": picture}

    prepared = folder / "prepared.onnx"
    quant_pre_process(str(folder / "f32.onnx"), str(prepared), skip_symbolic_shape=True)
    quantize_dynamic(prepared, folder / "dynamic.onnx", weight_type=QuantType.QInt8)
    quantize_static(
        prepared, folder / "static.onnx", Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    prepared.unlink()
    whole = openvino.convert_model(folder / "f32.onnx", input=[1, 3, *size])
    openvino.save_model(whole, folder / "f32.xml", compress_to_fp16=False)
    transformer = nncf.ModelType.TRANSFORMER
    data = nncf.Dataset(list(pictures(size, _CALIBRATION)))
    openvino.save_model(
        nncf.quantize(whole, data, model_type=transformer, subset_size=_CALIBRATION), folder / "int8.xml"
    )
    results = {key: value.numpy() for key, value in zip(SHAPES[name][3], expected, strict=True)}
    np.savez(folder / "expected.npz", pixel_values=example.numpy(), **results)


if __name__ == "__main__":
    target = Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    export(sys.argv[1], target)
