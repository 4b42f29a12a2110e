"""What detectors do with their boxes at the end, in the words of both formats. How many results there are depends on
values: they become a size of its own (`chain.py`)."""

from __future__ import annotations

from typing import Any

from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model import ops
from hearth.model.imported.graph import Graph
from hearth.model.imported.moves import binary, part, permute, reshape


def non_max_suppression(g: Graph, boxes: Any, scores: Any, most: int, iou: float, score: float | None) -> Any:
    """Image, class and number of each box that is kept, i32 (boxes, 3): boxes (b, n, 4) as opposite corners with the
    lesser coordinates first, scores (b, k, n)."""
    n = g.shape(scores)[2]
    most = min(most, n) if isinstance(n, int) else most
    if most < 1:
        raise Unsupported("it keeps no box")
    found, count = g.emit(ops.non_max_suppression(boxes, scores, most=most, iou=iou, score=score))
    return g.first_rows(found, count, "boxes")


def corners(g: Graph, boxes: Any, *, centred: bool) -> Any:
    """Boxes (b, n, 4) as two opposite corners, the lesser coordinates first: given as two opposite corners, or as a
    centre and its sizes."""
    first, second = (part(g, boxes, 2, i, i + 2) for i in (0, 2))
    if centred:
        half = binary(g, "divide", second, g.constant(2.0))
        first, second = binary(g, "subtract", first, half), binary(g, "add", first, half)
    least, most = binary(g, "minimum", first, second), binary(g, "maximum", first, second)
    return g.emit(op.concat([least, most], 2))


def places_that_count(g: Graph, x: Any) -> Any:
    """The places of the elements that are not 0: i32 (found, axes)."""
    if not g.shape(x):
        raise Unsupported("it looks for places in a single number")
    found, count = g.emit(ops.non_zero(g.emit(op.astype(x, "bool"))))
    return g.first_rows(found, count, "found")


def turned(g: Graph, places: Any) -> Any:
    """Places (found, axes) axis by axis: (axes, found)."""
    return permute(g, places, (1, 0))


def one_image(g: Graph, boxes: Any, scores: Any) -> tuple[Any, Any]:
    """Boxes (n, 4) and scores (n,) as those of one class in one image."""
    n = g.shape(boxes)[0]
    return reshape(g, boxes, [1, n, 4]), reshape(g, scores, [1, 1, n])
