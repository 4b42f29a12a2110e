"""Resizing and sampling, whose conventions differ between formats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import relax
from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model.imported.graph import Graph
from hearth.model.imported.moves import NCHW_TO_NHWC, NHWC_TO_NCHW, permute

_COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn")


def resize_nchw(
    g: Graph,
    x: Any,
    size: Sequence[Any],
    method: str,
    coordinates: str,
    *,
    rounding: str = "",
    cubic_alpha: float = -0.75,
) -> Any:
    """x (b, c, h, w) to (b, c, *size), in Relax's terms."""
    if coordinates not in _COORDINATES:
        raise Unsupported(f"its coordinates are {coordinates}")
    if coordinates == "pytorch_half_pixel":  # the same, but for a size of 1
        if any(isinstance(dim, int) and dim == 1 for dim in size) and method != "nearest_neighbor":
            raise Unsupported("it resizes to a single place by pytorch_half_pixel")
        coordinates = "half_pixel"
    y = op.image.resize2d(
        permute(g, x, NCHW_TO_NHWC), relax.ShapeExpr(list(size)), layout="NHWC", method=method,
        coordinate_transformation_mode=coordinates, rounding_method=rounding if method == "nearest_neighbor" else "",
        cubic_alpha=cubic_alpha,
    )  # fmt: skip
    return permute(g, g.emit(y), NHWC_TO_NCHW)


def grid_sample_nchw(g: Graph, x: Any, grid: Any, method: str, padding: str, align_corners: bool) -> Any:
    """x (b, c, h, w), grid (b, n, m, 2) as ONNX and torch have it: Relax wants its coordinates before its places."""
    places = permute(g, grid, (0, 3, 1, 2))
    y = op.image.grid_sample(permute(g, x, NCHW_TO_NHWC), places, method, "NHWC", padding, align_corners)
    return permute(g, g.emit(y), NHWC_TO_NCHW)
