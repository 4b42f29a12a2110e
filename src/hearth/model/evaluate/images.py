"""Operations that read between the elements of a map: resizing and sampling."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hearth.model.evaluate.neural import reordered
from hearth.model.evaluate.values import Array, Attributes, Operation, wide

# Where the middle of output element i lies in the input, counted in input elements; `i`, sizes in and out.
_COORDINATES: dict[str, Callable[[Array, int, int], Array]] = {
    "half_pixel": lambda i, size, out: (2 * i + 1) * size / (2 * out) - 0.5,
    "pytorch_half_pixel": lambda i, size, out: (2 * i + 1) * size / (2 * out) - 0.5 if out > 1 else 0.0 * i,
    "align_corners": lambda i, size, out: i * (size - 1) / max(out - 1, 1),
    "asymmetric": lambda i, size, out: i * size / out,
    "tf_half_pixel_for_nn": lambda i, size, out: (2 * i + 1) * size / (2 * out),
}
ROUNDED: dict[str, Callable[[Array], Array]] = {
    "round": np.rint,
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def cubic(distance: Array, alpha: float) -> Array:
    """Keys' cubic kernel, 0 from a distance of 2 on."""
    d = np.abs(distance)
    near = (alpha + 2) * d**3 - (alpha + 3) * d**2 + 1
    far = alpha * (d**3 - 5 * d**2 + 8 * d - 4)
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def _weights(attrs: Attributes, size: int, out: int) -> Array:
    """(out, size): of which input elements an output element is made."""
    mode = attrs.coordinate_transformation_mode
    at = _COORDINATES[mode](np.arange(out), size, out)
    matrix = np.zeros((out, size))
    rows = np.arange(out)
    if attrs.method == "nearest_neighbor":
        rounding = attrs.rounding_method or ("floor" if mode in ("asymmetric", "tf_half_pixel_for_nn") else "round")
        np.add.at(matrix, (rows, np.clip(ROUNDED[rounding](at), 0, size - 1).astype(np.int64)), 1.0)
        return matrix
    reach = 1 if attrs.method == "linear" else 2
    first = np.floor(at).astype(np.int64) + 1 - reach
    for tap in range(2 * reach):
        place = first + tap
        weight = np.maximum(1 - np.abs(at - place), 0) if reach == 1 else cubic(at - place, attrs.cubic_alpha)
        if attrs.cubic_exclude and reach == 2:
            weight = np.where((place >= 0) & (place < size), weight, 0.0)
        np.add.at(matrix, (rows, np.clip(place, 0, size - 1)), weight)
    return matrix / matrix.sum(1, keepdims=True) if attrs.cubic_exclude else matrix


def _resize(attrs: Attributes, x: Array, size: tuple[int, ...]) -> Array:
    layout = attrs.layout
    last = "NC" + "".join(axis for axis in layout if axis in "DHW")
    x = reordered(wide(x), layout, last)
    for i, out in enumerate(size):
        moved = np.moveaxis(x, 2 + i, -1) @ _weights(attrs, x.shape[2 + i], out).T
        x = np.moveaxis(moved, -1, 2 + i)
    return reordered(x, last, layout)


def _reflected(at: Array, low: float, high: float) -> Array:
    """Coordinates mirrored into [low, high]."""
    if high <= low:
        return np.zeros_like(at)
    span = high - low
    turn = np.mod(at - low, 2 * span)
    return np.minimum(turn, 2 * span - turn) + low


def sample(x: Array, grid: Array, method: str, padding: str, align_corners: bool) -> Array:
    """torch's grid_sample: x (b, c, h, w), grid (b, n, m, 2) with x before y, -1 to 1 across the map; (b, c, n, m)."""
    b, c, h, w = x.shape
    x, grid = wide(x), wide(grid)
    at = []
    for axis, size in ((1, h), (0, w)):
        place = (grid[..., axis] + 1) / 2 * (size - 1) if align_corners else ((grid[..., axis] + 1) * size - 1) / 2
        at.append(_into_map(place, size, padding, align_corners) if method != "bicubic" else place)
    if method == "nearest":
        taps = [((np.rint(at[0]), np.rint(at[1])), np.ones_like(at[0]))]
    else:
        reach = 1 if method == "bilinear" else 2
        low = [np.floor(place) + 1 - reach for place in at]
        taps = []
        for i in range(2 * reach):
            for j in range(2 * reach):
                y, z = low[0] + i, low[1] + j
                if reach == 1:
                    weight = (1 - np.abs(at[0] - y)) * (1 - np.abs(at[1] - z))
                else:
                    weight = cubic(at[0] - y, -0.75) * cubic(at[1] - z, -0.75)
                    y, z = (_into_map(p, size, padding, align_corners) for p, size in ((y, h), (z, w)))
                taps.append(((y, z), weight))
    batch = np.arange(b)[:, None, None]
    out = np.zeros((b, *grid.shape[1:3], c))
    for (y, z), weight in taps:
        inside = (y >= 0) & (y < h) & (z >= 0) & (z < w)
        rows, columns = (np.clip(np.nan_to_num(p), 0, s - 1).astype(np.int64) for p, s in ((y, h), (z, w)))
        out += np.where(inside, weight, 0.0)[..., None] * x[batch, :, rows, columns]
    return out.transpose(0, 3, 1, 2)


def _into_map(place: Array, size: int, padding: str, align_corners: bool) -> Array:
    if padding == "border":
        return np.clip(place, 0, size - 1)
    if padding == "reflection":
        reflected = _reflected(place, 0, size - 1) if align_corners else _reflected(place, -0.5, size - 0.5)
        return np.clip(reflected, 0, size - 1)
    return place


def _grid_sample(attrs: Attributes, x: Array, grid: Array) -> Array:
    """Relax has the coordinates of the grid before its places: (b, 2, n, m)."""
    x = reordered(x, attrs.layout or "NCHW", "NCHW")
    out = sample(x, grid.transpose(0, 2, 3, 1), attrs.method, attrs.padding_mode, bool(attrs.align_corners))
    return reordered(out, "NCHW", attrs.layout or "NCHW")


IMAGES: dict[str, Operation] = {
    "image.resize2d": _resize,
    "image.grid_sample": _grid_sample,
}
