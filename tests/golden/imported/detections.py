"""Graphs as detectors end: what is sure enough, boxes that do not overlap. Written node by node, since exporters need
torchvision for them; onnxruntime computes what comes out."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.checkpoint import onnx_builders as onnx

Built = tuple[bytes, list[Any]]
"""An ONNX file and its inputs."""
_NUMBERS = {
    "first": np.array([0]), "second": np.array([1]), "corners": np.array([4]), "object": np.array([5]),
    "all": np.array([8]), "third": np.array([2]), "fourth": np.array([3]), "most": np.array([5]),
    "iou": np.array([0.3], np.float32), "score": np.array([0.2], np.float32),
}  # fmt: skip


def _boxes(rng: np.random.Generator, count: int, classes: int) -> Any:
    """(count, 5 + classes): a centre, sizes, how sure it is that there is something, and of what."""
    places = rng.uniform(0, 6, (count, 2)), rng.uniform(0.5, 3, (count, 2))
    return np.concatenate([*places, np.round(rng.uniform(0, 1, (count, 1 + classes)), 1)], 1).astype(np.float32)


def detections() -> Built:
    """Rows that are sure enough, by NonZero; of those the boxes of each class; what there is to tell of these."""
    nodes = [
        onnx.node("Slice", ["x", "corners", "object", "second"], ["sure"]),
        onnx.node("Greater", ["sure", "half"], ["is_sure"]),
        onnx.node("Squeeze", ["is_sure", "second"], ["kept"]),
        onnx.node("NonZero", ["kept"], ["places"]),
        onnx.node("Squeeze", ["places", "first"], ["rows"]),
        onnx.node("Gather", ["x", "rows"], ["likely"]),
        onnx.node("Slice", ["likely", "first", "corners", "second"], ["flat"]),
        onnx.node("Unsqueeze", ["flat", "first"], ["boxes"]),
        onnx.node("Slice", ["likely", "object", "all", "second"], ["of_class"]),
        onnx.node("Slice", ["likely", "corners", "object", "second"], ["of_all"]),
        onnx.node("Mul", ["of_class", "of_all"], ["chances"]),
        onnx.node("Transpose", ["chances"], ["by_class"], perm=[1, 0]),
        onnx.node("Unsqueeze", ["by_class", "first"], ["scores"]),
        onnx.node("NonMaxSuppression", ["boxes", "scores", "most", "iou", "score"], ["found"], center_point_box=1),
        onnx.node("Slice", ["found", "third", "fourth", "second"], ["numbers"]),
        onnx.node("Squeeze", ["numbers", "second"], ["number"]),
        onnx.node("Gather", ["likely", "number"], ["chosen"]),
        onnx.node("Cast", ["found"], ["told"], to=1),
        onnx.node("Concat", ["told", "chosen"], ["detected"], axis=1),
        onnx.node("ReduceMax", ["chosen", "first"], ["largest"], keepdims=0),
        onnx.node("Shape", ["found"], ["shape"]),
    ]
    outputs = [onnx.value("detected", ["n", 11]), onnx.value("largest", [8]), onnx.value("found", ["n", 3], "int64")]
    numbers = {**_NUMBERS, "half": np.array(0.3, np.float32)}
    return onnx.model(nodes, [onnx.value("x", [40, 8])], outputs, numbers), [_boxes(np.random.default_rng(4), 40, 3)]


def suppressed() -> Built:
    """Two images, corners in any order, a batch that is open, equal scores."""
    rng = np.random.default_rng(1)
    nodes = [onnx.node("NonMaxSuppression", ["boxes", "scores", "most", "iou"], ["found"])]
    inputs = [onnx.value("boxes", ["batch", 30, 4]), onnx.value("scores", ["batch", 2, 30])]
    boxes = rng.uniform(0, 4, (2, 30, 4)).astype(np.float32)
    scores = np.round(rng.uniform(0, 1, (2, 2, 30)), 1).astype(np.float32)
    numbers = {"most": np.array([11]), "iou": np.array([0.15], np.float32)}
    return onnx.model(nodes, inputs, [onnx.value("found", ["n", 3], "int64")], numbers), [boxes, scores]


BUILT = {"detections": detections, "suppressed": suppressed}
