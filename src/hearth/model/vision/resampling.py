"""Resizing of maps of numbers as torch's `interpolate` does it, as matrices: one for the rows, one for the columns."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def linear_matrix(size: int, wanted: int) -> F64:
    """What each of `wanted` samples takes of `size`, linear, centres aligned by half pixels: (wanted, size)."""
    at = np.clip((np.arange(wanted) + 0.5) * size / wanted - 0.5, 0, size - 1)
    matrix: F64 = np.maximum(1 - np.abs(at[:, None] - np.arange(size)), 0.0)
    return matrix


def cubic_matrix(size: int, wanted: int, *, antialias: bool) -> F64:
    """What each of `wanted` samples takes of `size`: (wanted, size), centres aligned by half pixels.

    Plain: Keys' kernel with a = -0.75 over four samples, those beyond the border being the border's. With `antialias`:
    a = -0.5, widened when the picture shrinks, and what lies beyond the border is left out (Pillow's way).
    """
    scale = size / wanted
    matrix = np.zeros((wanted, size))
    a, stretch = (-0.5, max(scale, 1.0)) if antialias else (-0.75, 1.0)
    for i in range(wanted):
        centre = (i + 0.5) * scale
        if antialias:
            first = max(int(centre - 2 * stretch + 0.5), 0)
            taken = np.arange(first, min(int(centre + 2 * stretch + 0.5), size))
            weights = _keys((taken - centre + 0.5) / stretch, a)
            matrix[i, taken] = weights / weights.sum()
        else:
            taken = math.floor(centre - 0.5) + np.arange(-1, 3)
            np.add.at(matrix[i], taken.clip(0, size - 1), _keys(taken + 0.5 - centre, a))
    return matrix


def _keys(distance: NDArray[np.floating], a: float) -> F64:
    """Keys' cubic convolution kernel."""
    x = np.abs(distance)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
