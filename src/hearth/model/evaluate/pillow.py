"""Pillow's resizing of 8-bit images, integer for integer.

Along rows, then along columns, each rounded to 8 bits; weights have 22 bits behind the point. A filter spans its
support times the reduction, so that reducing averages (antialiasing). Columns come first where the height shrinks by
more than twice what the width does (since Pillow 13).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from hearth.model.evaluate.images import cubic
from hearth.model.evaluate.values import Array

_BITS = 22


# Filter and its support, in input elements.
_FILTERS: dict[str, tuple[Callable[[Array], Array], float]] = {
    "box": (lambda x: np.where((x > -0.5) & (x <= 0.5), 1.0, 0.0), 0.5),
    "bilinear": (lambda x: np.maximum(1 - np.abs(x), 0.0), 1.0),
    "hamming": (lambda x: np.where(np.abs(x) < 1, np.sinc(x) * (0.54 + 0.46 * np.cos(math.pi * x)), 0.0), 1.0),
    "bicubic": (lambda x: cubic(x, -0.5), 2.0),
    "lanczos": (lambda x: np.where((x >= -3) & (x < 3), np.sinc(x) * np.sinc(x / 3), 0.0), 3.0),
}


def resize(image: Array, size: tuple[int, int], resample: str) -> Array:
    """u8 (..., h, w, c) to u8 (..., *size, c), as `PIL.Image.resize` does it."""
    height, width = size
    if resample == "nearest":
        rows, columns = (
            np.floor((np.arange(out) + 0.5) * (have / out)).astype(np.int64)
            for out, have in zip(size, image.shape[-3:-1], strict=True)
        )
        return image[..., rows[:, None], columns, :]
    shrinks = image.shape[-3] - height
    columns_first = shrinks > 0 and shrinks > 2 * (image.shape[-2] - width)
    for axis in (-3, -2) if columns_first else (-2, -3):
        image = _resample(image, axis, size[axis + 3], resample)
    return image


def _resample(image: Array, axis: int, out: int, resample: str) -> Array:
    size = image.shape[axis]
    if size == out:
        return image
    filter_, support = _FILTERS[resample]
    scale = size / out
    widening = max(scale, 1.0)
    matrix = np.zeros((out, size), np.int64)
    for i in range(out):
        centre = (i + 0.5) * scale
        first = max(int(centre - support * widening + 0.5), 0)
        last = min(int(centre + support * widening + 0.5), size)
        weights = filter_((np.arange(first, last) - centre + 0.5) / widening)
        weights = weights / weights.sum()
        matrix[i, first:last] = np.trunc(weights * (1 << _BITS) + np.copysign(0.5, weights))
    total = np.moveaxis(image, axis, -1).astype(np.int64) @ matrix.T + (1 << (_BITS - 1))
    return np.moveaxis(np.clip(total >> _BITS, 0, 255).astype(np.uint8), -1, axis)
