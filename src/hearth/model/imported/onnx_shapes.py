"""ONNX operations that make, move and pick elements."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tvm import relax
from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model.imported.indices import from_front, joined_numbers, take, written
from hearth.model.imported.moves import binary, broadcast, largest, part, permute, reshape, tile, without_axis
from hearth.model.imported.onnx_context import Context, Converter
from hearth.model.imported.onnx_sizes import shape, size

_TO_THE_END = (1 << 31) - 1


def _constant(c: Context) -> Any:
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if name in c.node.attributes:
            return c.g.constant(np.asarray(c.attr(name)), c.node.outputs[0])
    raise Unsupported("its value is no tensor")


def _reshape(c: Context) -> Any:
    x = c.x()
    have = c.g.shape(x)
    wanted = c.sizes(1) if c.has(1) else list(c.attr("shape", []))
    if not c.attr("allowzero", 0):
        wanted = [have[i] if dim == 0 and i < len(have) else dim for i, dim in enumerate(wanted)]
    return reshape(c.g, x, _inferred(c, have, wanted))


def _inferred(c: Context, have: list[Any], wanted: list[Any]) -> list[Any]:
    """Sizes in which at most one was -1: the rest of the elements."""
    if not any(isinstance(dim, int) and dim == -1 for dim in wanted):
        return wanted
    total: Any = 1
    given: Any = 1
    for dim in have:
        total = total * dim
    for dim in wanted:
        given = given if isinstance(dim, int) and dim == -1 else given * dim
    if isinstance(given, int) and given == 0:
        return [0 if isinstance(dim, int) and dim == -1 else dim for dim in wanted]
    rest = c.g.simplified(total // given)
    return [rest if isinstance(dim, int) and dim == -1 else dim for dim in wanted]


def _flatten(c: Context) -> Any:
    have = c.g.shape(c.x())
    axis = c.attr("axis", 1)
    axis = axis + len(have) if axis < 0 else axis
    first: Any = 1
    for dim in have[:axis]:
        first = first * dim
    return reshape(c.g, c.x(), _inferred(c, have, [first, -1]))


def _squeeze(c: Context) -> Any:
    have = c.g.shape(c.x())
    axes = c.axes(len(have), 1, 13)
    # PyTorch's exporter also names axes of other sizes, which squeeze leaves there.
    gone = [i for i, dim in enumerate(have) if dim == 1 and (axes is None or i in axes)]
    return reshape(c.g, c.x(), [dim for i, dim in enumerate(have) if i not in gone])


def _unsqueeze(c: Context) -> Any:
    have = c.g.shape(c.x())
    given = c.known(1, "axes").reshape(-1).tolist() if c.opset >= 13 else c.attr("axes")
    rank = len(have) + len(given)
    new = {axis % rank for axis in given}
    rest = iter(have)
    return reshape(c.g, c.x(), [1 if i in new else next(rest) for i in range(rank)])


def _transpose(c: Context) -> Any:
    return permute(c.g, c.x(), c.attr("perm") or list(range(c.g.rank(c.x())))[::-1])


def _concat(c: Context) -> Any:
    parts = [c.x(i) for i in range(len(c.inputs))]
    parts = [x for x in parts if math.prod(d for d in c.g.shape(x) if isinstance(d, int)) != 0] or parts[:1]
    return parts[0] if len(parts) == 1 else c.g.emit(op.concat(parts, c.attr("axis", 0)))


def _split(c: Context) -> Any:
    x, count = c.x(), len(c.node.outputs)
    axis = c.attr("axis", 0) % c.g.rank(x)
    dim = c.g.shape(x)[axis]
    sizes = c.sizes(1) if c.has(1) else c.attr("split")
    if sizes is None:
        if not isinstance(dim, int):
            raise Unsupported("it splits an axis that is not fixed")
        each = -(-dim // count)
        sizes = [min(each, dim - each * i) for i in range(count)]
    ends = np.cumsum([int(n) for n in sizes]).tolist()
    return [part(c.g, x, axis, begin, end) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


def _slice(c: Context) -> Any:
    x = c.x()
    have = c.g.shape(x)
    if c.opset < 10:
        begins, ends = c.attr("starts"), c.attr("ends")
        axes, steps = c.attr("axes") or list(range(len(begins))), [1] * len(begins)
    else:
        begins, ends = c.sizes(1), c.sizes(2)
        axes = [int(axis) for axis in c.sizes(3)] if c.has(3) else list(range(len(begins)))
        steps = [int(step) for step in c.sizes(4)] if c.has(4) else [1] * len(begins)
    for axis, begin, end, step in zip(axes, begins, ends, steps, strict=True):
        axis %= len(have)
        x = part(c.g, x, axis, *_span(c, have[axis], begin, end, step), step)
    return x


def _span(c: Context, dim: Any, begin: Any, end: Any, step: int) -> tuple[Any, Any]:
    if all(isinstance(n, int) for n in (dim, begin, end)):
        first, last, _ = slice(begin, end, step).indices(dim)
        return first, last if last >= 0 else -dim - 1
    if step < 0:
        raise Unsupported("it turns an axis round that is not fixed")
    if isinstance(begin, int) and begin < 0:
        begin = dim + begin
    if isinstance(end, int) and end >= _TO_THE_END:
        end = dim
    elif isinstance(end, int) and end < 0:
        end = dim + end
    return begin, c.g.simplified(end)


def _gather(c: Context) -> Any:
    x, axis = c.x(0), c.attr("axis", 0) % c.g.rank(c.x(0))
    dim = c.g.shape(x)[axis]
    index = c.g.value(c.x(1))
    if index is not None and not isinstance(dim, int) and index.ndim == 0 and index < 0:
        return without_axis(c.g, part(c.g, x, axis, dim + int(index), dim + int(index) + 1), axis)
    return take(c.g, x, c.x(1), axis)


def _gather_elements(c: Context) -> Any:
    axis = c.attr("axis", 0) % c.g.rank(c.x(0))
    return c.g.emit(op.gather_elements(c.x(0), from_front(c.g, c.x(1), c.g.shape(c.x(0))[axis]), axis))


def _gather_nd(c: Context) -> Any:
    """Several indices are one into the joined axes; places of a batch are joined with its number."""
    x, indices, batch = c.x(0), c.x(1), c.attr("batch_dims", 0)
    have, count = c.g.shape(x), c.g.shape(indices)[-1]
    if not isinstance(count, int):
        raise Unsupported("how many axes it takes from is not fixed")
    lead = c.g.shape(indices)[:-1]
    each = [_numbers_of(c, indices, i) for i in range(count)]
    for axis in reversed(range(batch)):
        numbers = c.g.emit(op.arange(0, have[axis], 1, "int32"))
        beside = reshape(c.g, numbers, [have[axis] if i == axis else 1 for i in range(len(lead))])
        each.insert(0, broadcast(c.g, beside, lead))
    count += batch
    total: Any = 1
    for dim in have[:count]:
        total = total * dim
    joined = reshape(c.g, x, [total, *have[count:]])
    return c.g.emit(op.take(joined, joined_numbers(c.g, each, have[:count]), 0, mode="clip"))


def _numbers_of(c: Context, indices: Any, axis: int) -> Any:
    """Of the last axis of indices, those along one axis."""
    last = c.g.rank(indices) - 1
    return without_axis(c.g, part(c.g, indices, last, axis, axis + 1), last)


_REDUCTIONS = {"none": "update", "add": "add", "mul": "mul", "max": "max", "min": "min"}


def _scatter_elements(c: Context) -> Any:
    how, axis = _REDUCTIONS[c.attr("reduction", "none")], c.attr("axis", 0) % c.g.rank(c.x(0))
    places = from_front(c.g, c.x(1), c.g.shape(c.x(0))[axis])
    return c.g.emit(op.scatter_elements(c.x(0), places, c.x(2), axis, how))


def _scatter_nd(c: Context) -> Any:
    x, indices, updates = c.x(0), c.x(1), c.x(2)
    count = c.g.shape(indices)[-1]
    if not isinstance(count, int):
        raise Unsupported("how many axes it writes to is not fixed")
    each = [_numbers_of(c, indices, i) for i in range(count)]
    return written(c.g, x, each, updates, _REDUCTIONS[c.attr("reduction", "none")])


def _expand(c: Context) -> Any:
    have, wanted = c.g.shape(c.x()), c.sizes(1)
    rank = max(len(have), len(wanted))
    have, wanted = [1] * (rank - len(have)) + have, [1] * (rank - len(wanted)) + wanted
    sizes = [b if isinstance(a, int) and a == 1 else a for a, b in zip(have, wanted, strict=True)]
    return broadcast(c.g, c.x(), sizes)


def _tile(c: Context) -> Any:
    return tile(c.g, c.x(), c.sizes(1))


def _constant_of_shape(c: Context) -> Any:
    value = np.asarray(c.attr("value", np.zeros(1, np.float32))).reshape(())
    dtype = "float32" if value.dtype.kind == "f" else "bool" if value.dtype == bool else "int32"
    filler = relax.const(value.astype(dtype), dtype)
    return c.g.emit(op.full(c.g.sizes(c.sizes(0)), filler, dtype))


def _range(c: Context) -> Any:
    if all(not isinstance(c.inputs[i], np.ndarray) for i in range(3)):
        start, limit, step = (c.known(i, "bounds").reshape(-1)[0] for i in range(3))
        if step == 0 or not np.isfinite([start, limit, step]).all():
            raise Unsupported("its numbers do not count up or down to an end")
        c.g.require_small(max(0, math.ceil((float(limit) - float(start)) / float(step))))
        return c.g.constant(np.arange(start, limit, step))
    start, limit, step = (c.sizes(i)[0] for i in range(3))
    return c.g.emit(op.arange(start, limit, step, "int32"))


_PAD_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def _pad(c: Context) -> Any:
    x = c.x()
    rank = c.g.rank(x)
    if c.opset < 11:
        width, value = c.attr("pads"), c.attr("value", 0.0)
    else:
        width = [int(n) for n in c.sizes(1)]
        value = float(c.known(2, "value").reshape(-1)[0]) if c.has(2) else 0.0
    axes = [int(axis) % rank for axis in c.sizes(3)] if c.has(3) else list(range(rank))
    pairs = [0] * (2 * rank)
    for i, axis in enumerate(axes):
        pairs[2 * axis], pairs[2 * axis + 1] = width[i], width[len(axes) + i]
    if not any(pairs):
        return x
    return c.g.emit(op.nn.pad(x, pairs, _PAD_MODES[c.attr("mode", "constant")], value))


def _depth_to_space(c: Context) -> Any:
    b, depth, h, w = c.g.shape(c.x())
    r = c.attr("blocksize")
    if c.attr("mode", "DCR") == "DCR":
        split, order = [b, r, r, depth // (r * r), h, w], (0, 3, 4, 1, 5, 2)
    else:
        split, order = [b, depth // (r * r), r, r, h, w], (0, 1, 4, 2, 5, 3)
    moved = permute(c.g, reshape(c.g, c.x(), split), order)
    return reshape(c.g, moved, [b, depth // (r * r), h * r, w * r])


def _space_to_depth(c: Context) -> Any:
    b, depth, h, w = c.g.shape(c.x())
    r = c.attr("blocksize")
    order = (0, 3, 5, 1, 2, 4) if c.attr("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    moved = permute(c.g, reshape(c.g, c.x(), [b, depth, h // r, r, w // r, r]), order)
    return reshape(c.g, moved, [b, depth * r * r, h // r, w // r])


def _one_hot(c: Context) -> Any:
    depth = int(c.known(1, "depth").reshape(-1)[0])
    c.g.require_small(max(depth, 0))
    off, on = c.known(2, "values").reshape(-1)
    have, axis = c.g.shape(c.x(0)), c.attr("axis", -1) % (c.g.rank(c.x(0)) + 1)
    index = from_front(c.g, reshape(c.g, c.x(0), [*have[:axis], 1, *have[axis:]]), depth)
    row = c.g.constant(np.arange(depth).reshape([-1 if i == axis else 1 for i in range(len(have) + 1)]))
    hot = binary(c.g, "equal", index, row)
    return c.g.emit(op.where(hot, c.g.constant(np.array(on)), c.g.constant(np.array(off))))


def _trilu(c: Context) -> Any:
    k = int(c.known(1, "diagonal").reshape(-1)[0]) if c.has(1) else 0
    *_, rows, columns = c.g.shape(c.x())
    if not isinstance(rows, int) or not isinstance(columns, int):
        raise Unsupported("it takes a triangle of a matrix that is not fixed")
    c.g.require_small(rows, columns)
    kept = np.triu(np.ones((rows, columns), bool), k) if c.attr("upper", 1) else np.tri(rows, columns, k, bool)
    zero = c.g.constant(np.zeros((), str(c.x().ty.dtype)))
    return c.g.emit(op.where(c.g.constant(kept), c.x(), zero))


def _running(name: str) -> Converter:
    def convert(c: Context) -> Any:
        axis = int(c.known(1, "axis").reshape(-1)[0]) % c.g.rank(c.x())
        about = {"axis": axis, "exclusive": bool(c.attr("exclusive", 0))}
        if not c.attr("reverse", 0):
            return c.g.emit(getattr(op, name)(c.x(), **about))
        back = c.g.emit(getattr(op, name)(c.g.emit(op.flip(c.x(), axis)), **about))
        return c.g.emit(op.flip(back, axis))

    return convert


def _eye_like(c: Context) -> Any:
    rows, columns = c.g.shape(c.x())
    if not isinstance(rows, int) or not isinstance(columns, int):
        raise Unsupported("it makes a matrix whose size is not fixed")
    c.g.require_small(rows, columns)
    kind = np.float32 if c.attr("dtype", 1) in (1, 10, 11) else np.int32
    return c.g.constant(np.eye(rows, columns, c.attr("k", 0), dtype=kind))


def _top_k(c: Context) -> Any:
    k = int(c.known(1, "number").reshape(-1)[0]) if c.opset >= 10 else c.attr("k")
    return largest(c.g, c.x(), k, c.attr("axis", -1), bool(c.attr("largest", 1)))


def _extreme(name: str) -> Converter:
    def convert(c: Context) -> Any:
        x, axis, keep = c.x(), c.attr("axis", 0) % c.g.rank(c.x()), bool(c.attr("keepdims", 1))
        if not c.attr("select_last_index", 0):
            return c.g.emit(op.astype(c.g.emit(getattr(op, name)(x, axis, keep)), "int32"))
        size = c.g.shape(x)[axis]
        if not isinstance(size, int):
            raise Unsupported("it looks for the last of equal values along an axis that is not fixed")
        found = c.g.emit(op.astype(c.g.emit(getattr(op, name)(c.g.emit(op.flip(x, axis)), axis, keep)), "int32"))
        return binary(c.g, "subtract", c.g.constant(np.array(size - 1)), found)

    return convert


SHAPES: dict[str, Converter] = {
    "Constant": _constant,
    "Shape": shape,
    "Size": size,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "ScatterElements": _scatter_elements,
    "Scatter": _scatter_elements,
    "ScatterND": _scatter_nd,
    "Expand": _expand,
    "Tile": _tile,
    "ConstantOfShape": _constant_of_shape,
    "Range": _range,
    "Pad": _pad,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "OneHot": _one_hot,
    "Trilu": _trilu,
    "CumSum": _running("cumsum"),
    "CumProd": _running("cumprod"),
    "EyeLike": _eye_like,
    "TopK": _top_k,
    "ArgMax": _extreme("argmax"),
    "ArgMin": _extreme("argmin"),
}
