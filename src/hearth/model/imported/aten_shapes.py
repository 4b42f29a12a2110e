"""PyTorch's operators that make, move and pick elements."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tvm import relax
from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model.imported.aten_context import Context, Converter
from hearth.model.imported.indices import from_front, joined_numbers, take, written
from hearth.model.imported.moves import (
    binary,
    broadcast,
    broadcast_shape,
    part,
    permute,
    reshape,
    tile,
    where,
    without_axis,
)

_TO_THE_END = (1 << 31) - 1


def _total(sizes: Sequence[Any]) -> Any:
    total: Any = 1
    for size in sizes:
        total = total * size
    return total


def _view(c: Context) -> Any:
    have, wanted = c.shape(), list(c.get("size", c.get("shape", [])))
    if any(isinstance(dim, int) and dim == -1 for dim in wanted):
        given = _total([dim for dim in wanted if not (isinstance(dim, int) and dim == -1)])
        rest = c.g.simplified(_total(have) // given)
        wanted = [rest if isinstance(dim, int) and dim == -1 else dim for dim in wanted]
    return reshape(c.g, c.x(), wanted)


def _flatten(c: Context) -> Any:
    have = c.shape()
    begin, end = c.axis("start_dim", 0), c.axis("end_dim", -1)
    return reshape(c.g, c.x(), [*have[:begin], _total(have[begin : end + 1]), *have[end + 1 :]])


def _unflatten(c: Context) -> Any:
    have, axis, sizes = c.shape(), c.axis(), list(c.get("sizes"))
    given = _total([size for size in sizes if size != -1])
    sizes = [c.g.simplified(have[axis] // given) if size == -1 else size for size in sizes]
    return reshape(c.g, c.x(), [*have[:axis], *sizes, *have[axis + 1 :]])


def _transpose(c: Context) -> Any:
    rank = c.rank()
    a, b = (c.axis(name if name in c.node.arguments else f"axis{name[-1]}") for name in ("dim0", "dim1"))
    order = list(range(rank))
    order[a], order[b] = b, a
    return permute(c.g, c.x(), order)


def _permute(c: Context) -> Any:
    return permute(c.g, c.x(), [axis % c.rank() for axis in c.get("dims")])


def _t(c: Context) -> Any:
    return permute(c.g, c.x(), list(range(c.rank()))[::-1])


def _unsqueeze(c: Context) -> Any:
    have, axis = c.shape(), c.axis(more=1)
    return reshape(c.g, c.x(), [*have[:axis], 1, *have[axis:]])


def _squeeze(c: Context) -> Any:
    have = c.shape()
    axes = c.axes() if c.get("dim") is not None else range(len(have))
    return reshape(c.g, c.x(), [dim for i, dim in enumerate(have) if not (i in axes and dim == 1)])


def _expand(c: Context) -> Any:
    have, wanted = c.shape(), list(c.get("size"))
    have = [1] * (len(wanted) - len(have)) + have
    sizes = [a if isinstance(b, int) and b == -1 else b for a, b in zip(have, wanted, strict=True)]
    return broadcast(c.g, c.x(), sizes)


def _like(c: Context) -> Any:
    other = c.shape("other")
    return broadcast(c.g, c.x(), other) if "expand" in c.node.target else reshape(c.g, c.x(), other)


def _move(c: Context) -> Any:
    source, destination = ([at] if isinstance(at, int) else at for at in (c.get("source"), c.get("destination")))
    return permute(c.g, c.x(), _order(c.rank(), source, destination))


def _order(rank: int, source: Sequence[int], destination: Sequence[int]) -> list[int]:
    places = {to % rank: axis % rank for axis, to in zip(source, destination, strict=True)}
    rest = iter(axis for axis in range(rank) if axis not in places.values())
    return [places[i] if i in places else next(rest) for i in range(rank)]


def _repeat(c: Context) -> Any:
    counts = list(c.get("repeats", c.get("dims")))
    have = [1] * (len(counts) - c.rank()) + c.shape()
    x = reshape(c.g, c.x(), have)
    return tile(c.g, x, counts)


def _repeat_interleave(c: Context) -> Any:
    if not isinstance(c.get("repeats"), int) or c.get("dim") is None:
        raise Unsupported("its repeats differ")
    return c.g.emit(op.repeat(c.x(), c.get("repeats"), c.axis()))


def _concat(c: Context) -> Any:
    parts = [c.tensor(x) for x in c.get("tensors")]
    parts = [x for x in parts if c.g.shape(x) != [0]]  # torch lets empty vectors go with anything
    rank = c.g.rank(parts[0])
    kinds = {str(x.ty.dtype) for x in parts}
    if len(kinds) > 1:
        parts = [c.cast(x, "float32" if "float32" in kinds else "int32") for x in parts]
    return parts[0] if len(parts) == 1 else c.g.emit(op.concat(parts, int(c.get("dim", 0)) % rank))


def _stack(c: Context) -> Any:
    parts = [c.tensor(x) for x in c.get("tensors")]
    shape = c.g.shape(parts[0])
    axis = int(c.get("dim", 0)) % (len(shape) + 1)
    new = [reshape(c.g, x, [*shape[:axis], 1, *shape[axis:]]) for x in parts]
    return new[0] if len(new) == 1 else c.g.emit(op.concat(new, axis))


def _split(c: Context) -> Any:
    axis = c.axis()
    dim = c.shape()[axis]
    sizes = c.get("split_size", c.get("split_sizes", c.get("split_size_or_sections")))
    if isinstance(sizes, int):
        if not isinstance(dim, int):
            raise Unsupported("it splits an axis that is not fixed")
        sizes = [min(sizes, dim - begin) for begin in range(0, dim, sizes)]
    ends = np.cumsum(sizes).tolist()
    return [[part(c.g, c.x(), axis, begin, end) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]]


def _chunk(c: Context) -> Any:
    axis, count = c.axis(), c.get("chunks")
    dim = c.shape()[axis]
    if not isinstance(dim, int):
        raise Unsupported("it splits an axis that is not fixed")
    each = -(-dim // count)
    return [[part(c.g, c.x(), axis, begin, min(begin + each, dim)) for begin in range(0, dim, each)]]


def _unbind(c: Context) -> Any:
    axis = c.axis()
    dim = c.shape()[axis]
    if not isinstance(dim, int):
        raise Unsupported("it splits an axis that is not fixed")
    return [[without_axis(c.g, part(c.g, c.x(), axis, i, i + 1), axis) for i in range(dim)]]


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
    joined = reshape(c.g, moved, [*have[:first], _total(have[first:behind]), *have[behind:]])
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


def _full(c: Context) -> Any:
    value = c.get("fill_value")
    return _filled(c, c.get("size"), value, c.dtype("float32" if isinstance(value, float) else _kind(value)))


def _kind(value: Any) -> str:
    return "bool" if isinstance(value, bool) else "int32"


def _filled(c: Context, sizes: Sequence[Any], value: Any, dtype: str | None) -> Any:
    dtype = dtype or "float32"
    return c.g.emit(op.full(c.g.sizes(list(sizes)), relax.const(np.array(value, dtype), dtype), dtype))


def _made(value: int) -> Converter:
    return lambda c: _filled(c, c.get("size"), value, c.dtype())


def _made_like(value: int) -> Converter:
    return lambda c: _filled(c, c.shape(), value, c.dtype(str(c.x().ty.dtype)))


def _new(value: int) -> Converter:
    return lambda c: _filled(c, c.get("size"), value, c.dtype(str(c.x().ty.dtype)))


def _full_like(c: Context) -> Any:
    return _filled(c, c.shape(), c.get("fill_value"), c.dtype(str(c.x().ty.dtype)))


def _fill(c: Context) -> Any:
    return broadcast(c.g, c.cast(c.x("value"), str(c.x().ty.dtype)), c.shape())


def _arange(c: Context) -> Any:
    start, end, step = c.get("start", 0), c.get("end"), c.get("step", 1)
    floats = any(isinstance(n, float) for n in (start, end, step))
    dtype = c.dtype("float32" if floats else "int32") or "int32"
    if all(isinstance(n, int | float) for n in (start, end, step)):
        if step == 0 or not all(map(math.isfinite, (start, end, step))):
            raise Unsupported("its numbers do not count up or down to an end")
        c.g.require_small(max(0, math.ceil((end - start) / step)))
        return c.g.constant(np.arange(start, end, step).astype(dtype))
    return c.cast(c.g.emit(op.arange(start, end, step, "int32")), dtype)


def _linspace(c: Context) -> Any:
    c.g.require_small(max(0, c.get("steps")))
    return c.g.constant(np.linspace(c.get("start"), c.get("end"), c.get("steps")).astype(np.float32))


def _scalar_tensor(c: Context) -> Any:
    value = c.get("s", c.get("data"))
    return c.g.constant(np.array(value, c.dtype("float32" if isinstance(value, float) else _kind(value))))


def _meshgrid(c: Context) -> Any:
    parts = [c.tensor(x) for x in c.get("tensors")]
    sizes = [c.g.shape(x)[0] for x in parts]
    order = [1, 0, *range(2, len(parts))] if c.get("indexing", "ij") == "xy" and len(parts) > 1 else range(len(parts))
    whole = [sizes[i] for i in order]
    found = []
    for i, x in enumerate(parts):
        place = list(order).index(i)
        row = reshape(c.g, x, [sizes[i] if axis == place else 1 for axis in range(len(parts))])
        found.append(broadcast(c.g, row, whole))
    return [found]


def _roll(c: Context) -> Any:
    x = c.x()
    shifts = c.get("shifts") if isinstance(c.get("shifts"), list) else [c.get("shifts")]
    if not c.get("dims"):
        raise Unsupported("it rolls all axes as one")
    for shift, axis in zip(shifts, c.axes("dims"), strict=True):
        dim = c.shape()[axis]
        if not isinstance(dim, int) and not c.g.analyzer.can_prove(dim > abs(shift)):
            raise Unsupported("it rolls an axis by more than that may have")
        cut = -shift % dim if isinstance(dim, int) else dim - shift if shift > 0 else -shift
        if not c.g.same(cut, 0):
            x = c.g.emit(op.concat([part(c.g, x, axis, cut, dim), part(c.g, x, axis, 0, cut)], axis))
    return x


def _diff(c: Context) -> Any:
    """Each element less the one before it."""
    axis, x = c.axis(default=-1), c.x()
    parts = [x if part == "self" else c.cast(c.x(part), str(x.ty.dtype)) for part in ("prepend", "self", "append")
             if part == "self" or c.get(part) is not None]  # fmt: skip
    x = parts[0] if len(parts) == 1 else c.g.emit(op.concat(parts, axis))
    for _ in range(int(c.get("n", 1))):
        size = c.g.shape(x)[axis]
        x = binary(c.g, "subtract", part(c.g, x, axis, 1, size), part(c.g, x, axis, 0, size - 1))
    return x


def _flip(c: Context) -> Any:
    x = c.x()
    for axis in c.axes("dims"):
        x = c.g.emit(op.flip(x, axis))
    return x


_PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


def _pad(c: Context) -> Any:
    given, rank = [int(n) for n in c.get("pad", c.get("padding"))], c.rank()
    pairs = [0] * (2 * rank)
    for i in range(len(given) // 2):  # from the last axis on
        axis = rank - 1 - i
        pairs[2 * axis], pairs[2 * axis + 1] = given[2 * i], given[2 * i + 1]
    value = float(c.get("value", 0.0))
    return c.g.emit(op.nn.pad(c.x(), pairs, _PAD_MODES[c.get("mode", "constant")], value)) if any(pairs) else c.x()


def _triangle(upper: bool) -> Converter:
    def convert(c: Context) -> Any:
        *_, rows, columns = c.shape()
        if not isinstance(rows, int) or not isinstance(columns, int):
            raise Unsupported("it takes a triangle of a matrix that is not fixed")
        c.g.require_small(rows, columns)
        k = c.get("diagonal", 0)
        kept = np.triu(np.ones((rows, columns), bool), k) if upper else np.tri(rows, columns, k, bool)
        zero = c.g.constant(np.zeros((), str(c.x().ty.dtype)))
        return c.g.emit(op.where(c.g.constant(kept), c.x(), zero))

    return convert


def _pixel_shuffle(c: Context) -> Any:
    r = c.get("upscale_factor")
    b, depth, h, w = c.shape()
    moved = permute(c.g, reshape(c.g, c.x(), [b, depth // (r * r), r, r, h, w]), (0, 1, 4, 2, 5, 3))
    return reshape(c.g, moved, [b, depth // (r * r), h * r, w * r])


def _pixel_unshuffle(c: Context) -> Any:
    r = c.get("downscale_factor")
    b, depth, h, w = c.shape()
    moved = permute(c.g, reshape(c.g, c.x(), [b, depth, h // r, r, w // r, r]), (0, 1, 3, 5, 2, 4))
    return reshape(c.g, moved, [b, depth * r * r, h // r, w // r])


def _sym_size(c: Context) -> Any:
    return c.shape()[c.axis()]


def _getitem(c: Context) -> Any:
    a, b = (c.get(name) for name in c.node.arguments)
    return a[b]


def _sizes(function: Callable[[Any, Any], Any]) -> Converter:
    """Python's operators on sizes and numbers."""

    def convert(c: Context) -> Any:
        a, b = (c.get(name) for name in c.node.arguments)
        if isinstance(a, int | float) and isinstance(b, int | float):
            return function(a, b)
        return c.g.simplified(function(a, b))

    return convert


def _whole(function: Callable[[float], int]) -> Converter:
    def convert(c: Context) -> Any:
        (a,) = (c.get(name) for name in c.node.arguments)
        return function(a) if isinstance(a, int | float) else a

    return convert


SHAPES: dict[str, Converter] = {
    "view": _view, "reshape": _view, "_unsafe_view": _view, "view_copy": _view, "flatten": _flatten,
    "unflatten": _unflatten, "transpose": _transpose, "permute": _permute, "t": _t, "numpy_T": _t,
    "movedim": _move, "swapaxes": _transpose, "expand_as": _like, "view_as": _like, "reshape_as": _like,
    "unsqueeze": _unsqueeze, "squeeze": _squeeze, "expand": _expand, "repeat": _repeat, "tile": _repeat,
    "repeat_interleave": _repeat_interleave, "cat": _concat, "concat": _concat, "concatenate": _concat,
    "stack": _stack, "split": _split, "split_with_sizes": _split, "chunk": _chunk, "unbind": _unbind,
    "slice": _slice, "select": _select, "narrow": _narrow, "slice_scatter": _slice_scatter,
    "select_scatter": _select_scatter, "copy": _copy, "embedding": _embedding, "index_select": _index_select,
    "index": _index, "gather": _gather, "scatter": _scatter, "scatter_add": _scatter, "scatter_reduce": _scatter,
    "index_put": _index_put, "full": _full, "full_like": _full_like, "fill": _fill, "zeros": _made(0),
    "ones": _made(1), "empty": _made(0), "zeros_like": _made_like(0), "ones_like": _made_like(1),
    "empty_like": _made_like(0), "new_zeros": _new(0), "new_ones": _new(1), "new_full": _full, "arange": _arange,
    "linspace": _linspace, "scalar_tensor": _scalar_tensor, "meshgrid": _meshgrid, "roll": _roll, "flip": _flip,
    "diff": _diff,
    "pad": _pad, "constant_pad_nd": _pad, "reflection_pad2d": lambda c: _pad_as(c, "reflect"),
    "replication_pad2d": lambda c: _pad_as(c, "replicate"), "tril": _triangle(upper=False),
    "triu": _triangle(upper=True), "pixel_shuffle": _pixel_shuffle, "pixel_unshuffle": _pixel_unshuffle,
    "sym_size": _sym_size, "sym_numel": lambda c: c.g.simplified(_total(c.shape())),
}  # fmt: skip


def _pad_as(c: Context, mode: str) -> Any:
    left, right, top, bottom = (int(n) for n in c.get("padding"))
    pairs = [0] * (2 * (c.rank() - 2)) + [top, bottom, left, right]
    return c.g.emit(op.nn.pad(c.x(), pairs, mode))


SIZES: dict[str, Converter] = {
    "_operator.getitem": _getitem,
    "_operator.add": _sizes(operator.add),
    "_operator.sub": _sizes(operator.sub),
    "_operator.mul": _sizes(operator.mul),
    "_operator.floordiv": _sizes(operator.floordiv),
    "_operator.truediv": _sizes(operator.truediv),
    "_operator.mod": _sizes(operator.mod),
    "math.floor": _whole(math.floor),
    "math.ceil": _whole(math.ceil),
    "math.trunc": _whole(math.trunc),
}
