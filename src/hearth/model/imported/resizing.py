"""Resizing and sampling, whose conventions differ between formats.

What kernels do is left to them: nearest by the lower place, linear and cubic by the sizes. Everything else, of maps of
a fixed size, is a product with a matrix of weights for each axis: of which places of the map one of the result is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model.evaluate.images import ROUNDED, cubic
from hearth.model.imported.graph import Array, Graph
from hearth.model.imported.moves import NCHW_TO_NHWC, NHWC_TO_NCHW, permute

Coordinates = Callable[[Array, int, int, float], Array]

# Where place i of the result lies in the map: (i, size, size of the result, scale).
_COORDINATES: Mapping[str, Coordinates] = {
    "half_pixel": lambda i, size, out, scale: (i + 0.5) / scale - 0.5,
    "half_pixel_symmetric": lambda i, size, out, scale: size / 2 * (1 - out / (size * scale)) + (i + 0.5) / scale - 0.5,
    "pytorch_half_pixel": lambda i, size, out, scale: (i + 0.5) / scale - 0.5 if out > 1 else 0.0 * i,
    "align_corners": lambda i, size, out, scale: i * (size - 1) / max(out - 1, 1),
    "asymmetric": lambda i, size, out, scale: i / scale,
    "tf_half_pixel_for_nn": lambda i, size, out, scale: (i + 0.5) / scale,
}
_OF_KERNELS = ("half_pixel", "align_corners", "asymmetric")
_KERNEL_ALPHA = -0.75


@dataclass(frozen=True)
class Resizing:
    """How a map is brought to another size.

    Attributes:
        method: `nearest_neighbor`, `linear` or `cubic`.
        coordinates: where a place of the result lies, a name of `_COORDINATES`.
        rounding: of nearest, a name of `ROUNDED`.
        alpha: of the cubic kernel.
        scales: of height and width, where these are not what the sizes say.
        inside: places outside of the map have no weight; else the border goes on there.
        antialias: what is made smaller is made of all places that it covers.
    """

    method: str
    coordinates: str
    rounding: str = "floor"
    alpha: float = _KERNEL_ALPHA
    scales: Sequence[float] | None = None
    inside: bool = False
    antialias: bool = False

    def is_of_kernels(self) -> bool:
        """Whether kernels compute it, whose places follow from the sizes."""
        if self.scales is not None or self.inside or self.antialias or self.coordinates not in _OF_KERNELS:
            return False
        if self.method == "nearest_neighbor":
            return self.coordinates == "asymmetric" and self.rounding == "floor"
        return self.method == "linear" or self.alpha == _KERNEL_ALPHA


def resize_nchw(g: Graph, x: Any, size: Sequence[Any], how: Resizing) -> Any:
    """x (b, c, h, w) to (b, c, *size)."""
    if how.coordinates not in _COORDINATES:
        raise Unsupported(f"its coordinates are {how.coordinates}")
    have = g.shape(x)[2:]
    if not how.is_of_kernels() and all(isinstance(dim, int) for dim in (*have, *size)):
        for axis, (dim, out) in enumerate(zip(have, size, strict=True)):
            g.require_small(out, dim)
            scale = out / dim if how.scales is None else how.scales[axis]
            x = _weighted(g, x, 2 + axis, weights(dim, out, scale, how))
        return x
    coordinates = how.coordinates
    if coordinates == "pytorch_half_pixel" and all(not isinstance(dim, int) or dim > 1 for dim in size):
        coordinates = "half_pixel"
    same = Resizing(how.method, coordinates, how.rounding, how.alpha, None, how.inside, how.antialias)
    if not same.is_of_kernels():
        raise Unsupported(f"it resizes a map whose size is not fixed by {how.method} with {how.coordinates}")
    y = op.image.resize2d(
        permute(g, x, NCHW_TO_NHWC), g.sizes(size), layout="NHWC", method=how.method,
        coordinate_transformation_mode=coordinates,
        rounding_method=how.rounding if how.method == "nearest_neighbor" else "", cubic_alpha=how.alpha,
    )  # fmt: skip
    return permute(g, g.emit(y), NHWC_TO_NCHW)


def weights(size: int, out: int, scale: float, how: Resizing) -> Array:
    """(out, size): what each place of a map weighs in each of the result."""
    at = np.asarray(_COORDINATES[how.coordinates](np.arange(out), size, out, scale), np.float64)
    matrix, rows = np.zeros((out, size)), np.arange(out)
    if how.method == "nearest_neighbor":
        nearest = np.clip(ROUNDED[how.rounding](at), 0, size - 1).astype(np.int64)
        matrix[rows, nearest] = 1.0
        return matrix
    stretch = max(1 / scale, 1.0) if how.antialias else 1.0
    reach = int(np.ceil((1 if how.method == "linear" else 2) * stretch))
    first = np.floor(at).astype(np.int64) + 1 - reach
    for tap in range(2 * reach + 1):
        place = first + tap
        away = (at - place) / stretch
        weight = np.maximum(1 - np.abs(away), 0) if how.method == "linear" else cubic(away, how.alpha)
        if how.inside:
            weight = np.where((place >= 0) & (place < size), weight, 0.0)
        np.add.at(matrix, (rows, np.clip(place, 0, size - 1)), weight)
    return matrix / matrix.sum(1, keepdims=True) if how.inside or how.antialias else matrix


def _weighted(g: Graph, x: Any, axis: int, matrix: Array) -> Any:
    """The product of an axis of x (b, c, h, w), 2 or 3, with a matrix, which stays as exact as it is."""
    if matrix.shape[0] == matrix.shape[1] and np.array_equal(matrix, np.eye(len(matrix))):
        return x
    known = g.constant(matrix.astype(np.float32), "resizing")
    if axis == 2:
        return g.emit(op.matmul(known, x))
    return permute(g, g.emit(op.matmul(known, permute(g, x, (0, 1, 3, 2)))), (0, 1, 3, 2))


def grid_sample_nchw(g: Graph, x: Any, grid: Any, method: str, padding: str, align_corners: bool) -> Any:
    """x (b, c, h, w), grid (b, n, m, 2) as ONNX and torch have it: Relax wants its coordinates before its places."""
    if g.rank(x) != 4:
        raise Unsupported("it samples volumes")
    places = permute(g, grid, (0, 3, 1, 2))
    y = op.image.grid_sample(permute(g, x, NCHW_TO_NHWC), places, method, "NHWC", padding, align_corners)
    return permute(g, g.emit(y), NHWC_TO_NCHW)
