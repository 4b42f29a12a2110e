"""Tables that depend on where something is: position embeddings resized as torch does it, sines, distances.

All are computed once, when a model is loaded for a size of pictures.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hearth.model.vision.resampling import cubic_matrix

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


def resized_table(table: F32, grid: tuple[int, int], *, antialias: bool = False) -> F32:
    """A table of positions (h, w, c) for another grid, bicubic, as torch's `interpolate(size=..., mode="bicubic")`."""
    if table.shape[:2] == grid:
        return table  # bicubic to the same size changes nothing
    rows, columns = (cubic_matrix(n, m, antialias=antialias) for n, m in zip(table.shape[:2], grid, strict=True))
    resized: F64 = np.einsum("yh,xw,hwc->yxc", rows, columns, table.astype(np.float64), optimize=True)
    return resized.astype(np.float32)


def relative_index(window: tuple[int, int]) -> NDArray[np.int64]:
    """For each pair of places of a window the row of a table of (2h - 1)(2w - 1) distances: (h w, h w)."""
    h, w = window
    y, x = (axis.reshape(-1) for axis in np.meshgrid(np.arange(h), np.arange(w), indexing="ij"))
    return (y[:, None] - y[None] + h - 1) * (2 * w - 1) + x[:, None] - x[None] + w - 1


def sine_positions(height: int, width: int, size: int, *, temperature: float = 10000.0) -> F32:
    """DETR's positions of a map, all of it picture: (height width, size), the row's half first.

    Rows and columns count from 1 and are scaled to 2 pi; pairs of sine and cosine stand one after another.
    """
    half = size // 2
    wavelength = temperature ** (2 * (np.arange(half) // 2) / half)
    halves = []
    for count, along_rows in ((height, True), (width, False)):
        place = np.arange(1, count + 1) / (count + 1e-6) * (2 * math.pi)
        angles = place[:, None] / wavelength
        values = np.where(np.arange(half) % 2 == 0, np.sin(angles), np.cos(angles))
        shaped = values[:, None] if along_rows else values[None]
        halves.append(np.broadcast_to(shaped, (height, width, half)))
    return np.concatenate(halves, -1).reshape(height * width, size).astype(np.float32)


def plain_sine_positions(height: int, width: int, size: int, *, temperature: float = 10000.0) -> F32:
    """RT-DETR's positions: sines of the row, cosines of the row, sines and cosines of the column; counted from 0."""
    frequency = 1 / temperature ** (np.arange(size // 4) / (size // 4))
    y, x = (axis.reshape(-1, 1) * frequency for axis in np.meshgrid(np.arange(height), np.arange(width), indexing="ij"))
    return np.concatenate([np.sin(y), np.cos(y), np.sin(x), np.cos(x)], 1).astype(np.float32)
