"""PyTorch's operators that take parts of arrays, and write them: by places, by numbers, by masks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model.imported.aten_context import Context, Converter
from hearth.model.imported.indices import from_front, joined_numbers, take, written
from hearth.model.imported.moves import (
    broadcast,
    broadcast_shape,
    part,
    permute,
    reshape,
    where,
    without_axis,
)

_TO_THE_END = (1 << 31) - 1


def _slice(c: Context) -> Any:
    axis = c.axis()
    return part(c.g, c.x(), axis, *_span(c, c.shape()[axis]), c.get("step", 1))


def _span(c: Context, dim: Any) -> tuple[Any, Any]:
    begin, end = c.get("start", 0), c.get("end", _TO_THE_END)
    if all(isinstance(n, int) for n in (dim, begin, end)):
        first, last, _ = slice(begin, end).indices(dim)
        return first, max(last, first)
    if isinstance(begin, int) and begin < 0:
        begin = dim + begin
    if isinstance(end, int):
        end = dim if end >= _TO_THE_END else dim + end if end < 0 else end
    return begin, c.g.simplified(end)


def _select(c: Context) -> Any:
    axis, index = c.axis(), c.get("index")
    if isinstance(index, int) and index < 0:
        index = c.shape()[axis] + index
    return without_axis(c.g, part(c.g, c.x(), axis, index, index + 1), axis)


def _narrow(c: Context) -> Any:
    axis, begin = c.axis(), c.get("start", 0)
    return part(c.g, c.x(), axis, begin, begin + c.get("length"))


def _scattered(c: Context, axis: int, begin: int, end: int, source: Any) -> Any:
    """x with the elements [begin, end) of an axis replaced."""
    x = c.x()
    dim = c.shape()[axis]
    parts = [part(c.g, x, axis, 0, begin)] if begin else []
    parts += [source, *([part(c.g, x, axis, end, dim)] if not c.g.same(end, dim) else [])]
    return source if len(parts) == 1 else c.g.emit(op.concat(parts, axis))


def _slice_scatter(c: Context) -> Any:
    if c.get("step", 1) != 1:
        raise Unsupported("it writes in steps")
    axis = c.axis()
    begin, end = _span(c, c.shape()[axis])
    have = c.shape()
    return _scattered(c, axis, begin, end, broadcast(c.g, c.x("src"), [*have[:axis], end - begin, *have[axis + 1 :]]))


def _select_scatter(c: Context) -> Any:
    axis, index = c.axis(), c.get("index")
    have = c.shape()
    index = index % have[axis] if isinstance(have[axis], int) else index
    source = broadcast(c.g, c.x("src"), [*have[:axis], *have[axis + 1 :]])
    return _scattered(c, axis, index, index + 1, reshape(c.g, source, [*have[:axis], 1, *have[axis + 1 :]]))


def _copy(c: Context) -> Any:
    return broadcast(c.g, c.cast(c.x("src"), str(c.x().ty.dtype)), c.shape())


def _embedding(c: Context) -> Any:
    return take(c.g, c.x("weight"), c.x("indices"), 0)


def _index_select(c: Context) -> Any:
    return take(c.g, c.x(), c.x("index"), c.axis())


def _index(c: Context) -> Any:
    """x[i, :, j]: one index array, or several beside each other."""
    x, given = c.x(), c.get("indices")
    places = [axis for axis, index in enumerate(given) if index is not None]
    arrays = [c.tensor(given[axis]) for axis in places]
    if any(str(array.ty.dtype) == "bool" for array in arrays):
        return _masked(c, x, places, arrays)
    have, rank = c.g.shape(x), c.g.rank(x)
    # Indices that stand apart are brought to the front, where torch puts the result of theirs too.
    first = places[0] if places == list(range(places[0], places[-1] + 1)) else 0
    order = [*range(first), *places, *(axis for axis in range(first, rank) if axis not in places)]
    moved = permute(c.g, x, order) if order != list(range(rank)) else x
    lead = broadcast_shape(c.g, arrays)
    arrays = [broadcast(c.g, array, lead) for array in arrays] if len(arrays) > 1 else arrays
    have = [have[axis] for axis in order]
    behind = first + len(places)
    flat = joined_numbers(c.g, arrays, have[first:behind]) if len(arrays) > 1 else arrays[0]
    joined = reshape(c.g, moved, [*have[:first], math.prod(have[first:behind]), *have[behind:]])
    return take(c.g, joined, flat, first)


def _masked(c: Context, x: Any, places: list[int], arrays: list[Any]) -> Any:
    mask = c.g.value(arrays[0])
    if len(arrays) != 1 or mask is None:
        raise Unsupported("it picks by a mask that depends on the inputs")
    rest = c.g.shape(x)[places[0] + mask.ndim :]
    flat = reshape(c.g, x, [*c.g.shape(x)[: places[0]], mask.size, *rest])
    return c.g.emit(op.take(flat, c.g.constant(np.flatnonzero(mask)), places[0], mode="clip"))


def _gather(c: Context) -> Any:
    return c.g.emit(op.gather_elements(c.x(), from_front(c.g, c.x("index"), c.shape()[c.axis()]), c.axis()))


_SCATTERED = {
    None: "update",
    "add": "add",
    "multiply": "mul",
    "sum": "add",
    "prod": "mul",
    "amax": "max",
    "amin": "min",
}


def _scatter(c: Context) -> Any:
    """Elements of an axis replaced, or changed, at the places that an array of their numbers gives."""
    how, x, index = c.get("reduce"), c.x(), c.x("index")
    if c.node.target.startswith("aten.scatter_add"):
        how = "add"
    if how not in _SCATTERED or c.get("include_self", True) is False:
        raise Unsupported(f"it reduces by {how}")
    source = c.x("src") if c.get("src") is not None else c.x("value")
    source = c.cast(source, str(x.ty.dtype))
    shape = c.g.shape(index)
    if c.rank("index") != c.g.rank(source):
        source = broadcast(c.g, source, shape)
    for axis, size in enumerate(shape):  # what the source has more is not read
        source = part(c.g, source, axis, 0, size)
    places = from_front(c.g, index, c.shape()[c.axis()])
    return c.g.emit(op.scatter_elements(x, places, source, c.axis(), _SCATTERED[how]))


def _index_put(c: Context) -> Any:
    """x[i, j] = values: by arrays of numbers, or by a mask of all of x."""
    x, given = c.x(), c.get("indices")
    places = [axis for axis, index in enumerate(given) if index is not None]
    arrays = [c.tensor(given[axis]) for axis in places]
    values = c.cast(c.x("values"), str(x.ty.dtype))
    if len(arrays) == 1 and str(arrays[0].ty.dtype) == "bool":
        return _put_masked(c, x, places[0], arrays[0], values)
    if any(str(array.ty.dtype) == "bool" for array in arrays):
        raise Unsupported("it writes by a mask and by numbers")
    rank = c.rank()
    if places != list(range(places[0], places[-1] + 1)):
        raise Unsupported("its indices stand apart")
    order = [*places, *(axis for axis in range(rank) if axis not in places)]
    lead = broadcast_shape(c.g, arrays)
    arrays = [broadcast(c.g, array, lead) for array in arrays]
    have = c.shape()
    # Values have the axes of the indices in the place of those that these are of.
    first, count = places[0], len(lead)
    whole = [*have[:first], *lead, *have[places[-1] + 1 :]]
    values = broadcast(c.g, values, whole)
    to_front = [*range(first, first + count), *range(first), *range(first + count, len(whole))]
    moved = written(
        c.g, permute(c.g, x, order), arrays, permute(c.g, values, to_front), "add" if c.get("accumulate", False) else
        "update",
    )  # fmt: skip
    return permute(c.g, moved, [order.index(axis) for axis in range(rank)])


def _put_masked(c: Context, x: Any, first: int, mask: Any, values: Any) -> Any:
    have, shape = c.g.shape(x), c.g.shape(mask)
    if c.get("accumulate", False) or (c.g.scalar(values) is None and c.g.rank(values) > 0):
        raise Unsupported("it writes several values by a mask")
    wide = reshape(c.g, mask, [*[1] * first, *shape, *[1] * (len(have) - first - len(shape))])
    return where(c.g, broadcast(c.g, wide, have), broadcast(c.g, values, have), x)


PARTS: dict[str, Converter] = {
    "slice": _slice, "select": _select, "narrow": _narrow, "slice_scatter": _slice_scatter,
    "select_scatter": _select_scatter, "copy": _copy, "embedding": _embedding, "index_select": _index_select,
    "index": _index, "gather": _gather, "scatter": _scatter, "scatter_add": _scatter, "scatter_reduce": _scatter,
    "index_put": _index_put,
}  # fmt: skip
