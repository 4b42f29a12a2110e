"""What is picked by values: boxes that do not overlap, places that are true."""

from __future__ import annotations

from typing import Any

import numpy as np

from hearth.model.evaluate.values import Array, Attributes


def non_max_suppression(attrs: Attributes, boxes: Array, scores: Array) -> Any:
    images, classes, _ = scores.shape
    found = [
        (image, kind, number)
        for image in range(images)
        for kind in range(classes)
        for number in _kept(boxes[image].astype(np.float32), scores[image, kind], attrs)
    ]
    return _filled(found, images * classes * attrs.most, 3)


def _kept(boxes: Array, scores: Array, attrs: Attributes) -> list[int]:
    least = getattr(attrs, "score", None)
    left = [int(i) for i in np.argsort(-scores, kind="stable") if least is None or scores[i] > np.float32(least)]
    kept: list[int] = []
    while left and len(kept) < attrs.most:
        best, *left = left
        kept.append(best)
        left = [i for i in left if not _overlap(boxes[best], boxes[i]) > np.float32(attrs.iou)]
    return kept


def _overlap(a: Array, b: Array) -> Any:
    """Intersection over union, in f32 as detectors compute it: a step more or less decides which box goes."""
    sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), np.float32(0))
    inner = sides[0] * sides[1]
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    with np.errstate(invalid="ignore", divide="ignore"):
        return inner / (areas[0] + areas[1] - inner)


def non_zero(attrs: Attributes, x: Array) -> Any:
    return _filled(np.argwhere(x).tolist(), x.size, x.ndim)


def _filled(found: list[Any], rows: int, columns: int) -> list[Array]:
    whole = np.zeros((rows, columns), np.int32)
    if found:
        whole[: len(found)] = found
    return [whole, np.array([len(found)], np.int32)]
