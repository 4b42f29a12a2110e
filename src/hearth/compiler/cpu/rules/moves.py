"""Elements in another order or another shape: without a step where the memory is the same, else copied by a map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import relax

from hearth.compiler.cpu.kernels.reshape import reshape
from hearth.compiler.cpu.rules.elementwise import (
    Size,
    View,
    broadcast_view,
    is_dense,
    map_call,
    result_of,
    steps_of,
    whole,
)
from hearth.compiler.cpu.selection import LANES, Rule, Selection, call, like, product, sizes, stride, strides, tensor
from hearth.compiler.passes.rewrite import Graph, dtype_of
from hearth.compiler.work import Work
from hearth.errors import Unsupported

COPY = ("copy", 0)


def _work(value: Any) -> Work:
    return Work.of("move", product(list(value.ty.shape)[:-1]))


def copied(var: Any, start: Size, along: Sequence[Size], value: Any, s: Selection, *, padded: bool = False) -> Any:
    """The call that copies, to a new result of the type of `value`, what `var` holds along these strides."""
    dtype = dtype_of(value.ty)
    if dtype not in ("float32", "int32"):
        raise Unsupported(f"Arrays of {dtype} cannot be moved yet.", why=f"It is asked for in {value}.")
    view = View(var, start, tuple(along), dtype_of(var.ty), padded and not is_dense(var))
    shape = list(value.ty.shape)
    return map_call(COPY, [view], shape, result_of(value), whole(shape, dtype), s, _work(value))


def _reshape(graph: Graph, value: Any, s: Selection) -> Any:
    """The same memory wherever rows keep their length, or have no padding before and after."""
    x = value.args[0]
    if dtype_of(x.ty) != "float32":  # which has no padding
        return x
    before, after = sizes(x.ty.shape), sizes(value.ty.shape)
    old, new = (shape[-1] if shape else 1 for shape in (before, after))
    if not is_dense(x) and (old == new or (old % LANES == 0 and new % LANES == 0)):
        return x
    if is_dense(x) and old == new:
        return copied(x, 0, strides(value.ty.shape, dense=True), value, s)
    kernel = s.use("", lambda isa: reshape())
    m = product(after[:-1])
    scalars = [new, stride(new), old, old if is_dense(x) else stride(old)]
    return call(kernel, [x], like(value), m, scalars, grain=4, work=_work(value))


def _permute_dims(graph: Graph, value: Any, s: Selection) -> Any:
    x = value.args[0]
    rank = len(x.ty.shape)
    axes = [int(a) for a in value.attrs.axes] if value.attrs.axes is not None else list(range(rank))[::-1]
    steps = steps_of(x)
    return copied(x, 0, [steps[a] for a in axes], value, s, padded=axes[-1] == rank - 1)


def _strided_slice(graph: Graph, value: Any, s: Selection) -> Any:
    x, axes, begins, _, *rest = value.args
    steps, shape = steps_of(x), sizes(x.ty.shape)
    start: Size = 0
    strided = list(steps)
    for i, (axis, begin) in enumerate(zip(_numbers(axes), _numbers(begins), strict=True)):
        step = _numbers(rest[0])[i] if rest else 1
        at = begin + shape[axis] if begin < 0 else begin
        if step < 0 and isinstance(shape[axis], int):
            at = min(at, shape[axis] - 1)
        start = start + at * steps[axis] if not (isinstance(start, int) and start == 0) else at * steps[axis]
        strided[axis] = steps[axis] * step
    whole_rows = len(shape) - 1 not in _numbers(axes)
    return copied(x, start, strided, value, s, padded=whole_rows)


def _numbers(values: Any) -> list[int]:
    return [
        int(v.value if hasattr(v, "value") else v) for v in (values.fields if hasattr(values, "fields") else values)
    ]


def _broadcast_to(graph: Graph, value: Any, s: Selection) -> Any:
    return copied(value.args[0], 0, broadcast_view(value.args[0], list(value.ty.shape)).along, value, s)


def _repeat(graph: Graph, value: Any, s: Selection) -> Any:
    """Along an axis each element several times: the result's axis as two, along the second of which x stands still."""
    x, times = value.args[0], int(value.attrs.repeats)
    if value.attrs.axis is None:
        return None
    axis = int(value.attrs.axis) % len(x.ty.shape)
    shape, steps, to = sizes(x.ty.shape), steps_of(x), strides(value.ty.shape)
    shape.insert(axis + 1, times)
    steps.insert(axis + 1, 0)
    to.insert(axis, to[axis] * times)
    view = View(x, 0, tuple(steps), dtype_of(x.ty), padded=False)
    return map_call(COPY, [view], shape, like(value), View(None, 0, tuple(to), padded=False), s, _work(value))


def _split(graph: Graph, value: Any, s: Selection) -> Any:
    x, axis = value.args[0], int(value.attrs.axis) % len(value.args[0].ty.shape)
    steps, parts, begin = steps_of(x), [], 0
    for ty in value.ty.fields:
        shape = list(ty.shape)
        view = View(x, begin * steps[axis], tuple(steps), dtype_of(x.ty), axis != len(shape) - 1 and not is_dense(x))
        out = tensor(*shape[:-1], stride(int(shape[-1])))
        parts.append(
            graph.emit(map_call(COPY, [view], shape, out, whole(shape), s, Work.of("move", product(shape[:-1]))))
        )
        begin += int(shape[axis])
    return relax.Tuple(parts)


def _concat(graph: Graph, value: Any, s: Selection) -> Any:
    """Each part is copied to its place; the first makes the memory, the others write into it."""
    axis = int(value.attrs.axis) % len(value.ty.shape)
    steps = tuple(strides(value.ty.shape))
    begin: Size = 0
    joined: Any = None
    for part in value.args[0].fields:
        shape = list(part.ty.shape)
        to = View(joined, begin * steps[axis], steps, padded=axis != len(shape) - 1)
        work = Work.of("move", product(shape[:-1]))
        joined = graph.emit(map_call(COPY, [broadcast_view(part, shape)], shape, like(value), to, s, work))
        begin = begin + sizes(shape)[axis]
    return joined


def _pad(graph: Graph, value: Any, s: Selection) -> Any:
    """The constant everywhere, then what is within it."""
    if value.attrs.pad_mode != "constant":
        return None
    x, shape = value.args[0], list(value.ty.shape)
    before = [int(count) for count in list(value.attrs.pad_width)[::2]]
    steps, inner = strides(shape), list(x.ty.shape)
    fill = ("copy", float(value.attrs.pad_value))
    blank = graph.emit(map_call(fill, [], shape, like(value), whole(shape), s, _work(value)))
    start: Size = 0
    for count, step in zip(before, steps, strict=True):
        start = start + count * step if count else start
    to = View(blank, start, tuple(steps), padded=sizes(inner)[-1] == sizes(shape)[-1])
    work = Work.of("move", product(inner[:-1]))
    return map_call(COPY, [broadcast_view(x, inner)], inner, like(value), to, s, work)


RULES: dict[str, Rule] = {
    "nn.pad": _pad,
    "reshape": _reshape,
    "expand_dims": _reshape,
    "squeeze": _reshape,
    "flatten": _reshape,
    "permute_dims": _permute_dims,
    "strided_slice": _strided_slice,
    "broadcast_to": _broadcast_to,
    "repeat": _repeat,
    "split": _split,
    "concat": _concat,
}
