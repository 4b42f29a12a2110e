"""Elements in another order or another shape: without a step where the memory is the same, else copied by a map."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from hearth.compiler.cpu.inputs import is_dense_input
from hearth.compiler.cpu.kernels.count import count_up
from hearth.compiler.cpu.kernels.patches import patches
from hearth.compiler.cpu.kernels.reshape import reshape
from hearth.compiler.cpu.rules.elementwise import map_call
from hearth.compiler.cpu.selection import Rule, Selection
from hearth.compiler.passes.rewrite import Graph, arguments, attribute, scalar
from hearth.compiler.physical import call, is_padded, like, product, sizes, stride, strides
from hearth.compiler.symbolic import equal_sizes
from hearth.compiler.views import (
    Size,
    View,
    broadcast_view,
    element_type,
    is_dense,
    result_of,
    split,
    steps_of,
    whole_of,
)
from hearth.compiler.work import Work

COPY = ("copy", 0)


def _work(value: Any) -> Work:
    return Work.of("move", product(list(value.ty.shape)[:-1]))


def copied(var: Any, start: Size, along: Sequence[Size], value: Any, s: Selection, *, padded: bool = False) -> Any:
    """The call that copies, to a new result of the type of `value`, what `var` holds along these strides."""
    view = View(var, start, tuple(along), element_type(var.ty), padded and not is_dense(var))
    return map_call(COPY, [view], list(value.ty.shape), result_of(value), whole_of(value), s, _work(value))


def _reshape(graph: Graph, value: Any, s: Selection) -> Any:
    """The same memory wherever rows keep their length, or have no padding before and after."""
    x = value.args[0]
    if is_dense(x) and is_dense(value):
        return x
    before, after = sizes(x.ty.shape), sizes(value.ty.shape)
    old, new = (shape[-1] if shape else 1 for shape in (before, after))
    if not is_dense(x) and (equal_sizes(old, new) or (is_padded(old) and is_padded(new))):
        return x
    if is_dense(x) and equal_sizes(old, new):
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
    for i, (axis, begin) in enumerate(zip(_sizes(axes), _sizes(begins), strict=True)):
        step = _sizes(rest[0])[i] if rest else 1
        at = begin + shape[axis] if isinstance(begin, int) and begin < 0 else begin
        if step < 0 and isinstance(shape[axis], int) and isinstance(at, int):
            at = min(at, shape[axis] - 1)
        start = start + at * steps[axis] if not (isinstance(start, int) and start == 0) else at * steps[axis]
        strided[axis] = steps[axis] * step
    whole_rows = len(shape) - 1 not in _sizes(axes)
    return copied(x, start, strided, value, s, padded=whole_rows)


def _sizes(values: Any) -> list[Any]:
    """The fields of a tuple of sizes: numbers, and expressions of open sizes."""
    return sizes([getattr(v, "value", v) for v in (values.fields if hasattr(values, "fields") else values)])


def _flip(graph: Graph, value: Any, s: Selection) -> Any:
    x = value.args[0]
    steps, shape = steps_of(x), sizes(x.ty.shape)
    axis = int(value.attrs.axis) % len(shape)
    start = (shape[axis] - 1) * steps[axis]
    return copied(x, start, [-step if i == axis else step for i, step in enumerate(steps)], value, s)


def _broadcast_to(graph: Graph, value: Any, s: Selection) -> Any:
    return copied(value.args[0], 0, broadcast_view(value.args[0], list(value.ty.shape)).along, value, s)


def _repeat(graph: Graph, value: Any, s: Selection) -> Any:
    """Along an axis each element several times: the result's axis as two, along the second of which x stands still."""
    x, times = value.args[0], int(value.attrs.repeats)
    if value.attrs.axis is None:
        return None
    axis = int(value.attrs.axis) % len(x.ty.shape)
    shape, steps, to = sizes(x.ty.shape), steps_of(x), list(whole_of(value).along)
    shape.insert(axis + 1, times)
    steps.insert(axis + 1, 0)
    to.insert(axis, to[axis] * times)
    view = View(x, 0, tuple(steps), element_type(x.ty), padded=False)
    there = View(None, 0, tuple(to), element_type(value.ty), padded=False)
    return map_call(COPY, [view], shape, result_of(value), there, s, _work(value))


def _split(graph: Graph, value: Any, s: Selection) -> Any:
    return split(graph, value, partial(copied, s=s))


def _concat(graph: Graph, value: Any, s: Selection) -> Any:
    """Each part is copied to its place; the first makes the memory, the others write into it."""
    axis = int(value.attrs.axis) % len(value.ty.shape)
    there = whole_of(value)
    begin: Size = 0
    joined: Any = None
    for part in value.args[0].fields:
        shape = list(part.ty.shape)
        padded = there.padded and axis != len(shape) - 1
        to = View(joined, begin * there.along[axis], there.along, there.dtype, padded)
        work = Work.of("move", product(shape[:-1]))
        joined = graph.emit(map_call(COPY, [broadcast_view(part, shape)], shape, result_of(value), to, s, work))
        begin = begin + sizes(shape)[axis]
    return joined


def _pad(graph: Graph, value: Any, s: Selection) -> Any:
    """The constant everywhere, then what is within it."""
    x, there = value.args[0], whole_of(value)
    inner = list(x.ty.shape)
    before = [int(count) for count in list(value.attrs.pad_width)[::2]]
    blank = graph.emit(_filled(float(value.attrs.pad_value), value, s))
    start: Size = 0
    for count, step in zip(before, there.along, strict=True):
        start = start + count * step if count else start
    whole_rows = equal_sizes(sizes(inner)[-1], sizes(value.ty.shape)[-1])
    to = View(blank, start, there.along, there.dtype, there.padded and whole_rows)
    work = Work.of("move", product(inner[:-1]))
    return map_call(COPY, [broadcast_view(x, inner)], inner, result_of(value), to, s, work)


def _filled(number: float, value: Any, s: Selection) -> Any:
    shape = list(value.ty.shape)
    return map_call(("copy", number), [], shape, result_of(value), whole_of(value), s, _work(value))


def _full(graph: Graph, value: Any, s: Selection) -> Any:
    number = scalar(value.args[1])
    if number is None:  # made by the graph: spread out
        return copied(value.args[1], 0, [0] * len(value.ty.shape), value, s)
    return _filled(number, value, s)


def _arange(graph: Graph, value: Any, s: Selection) -> Any:
    start, _, step = sizes(value.args)
    count = sizes(value.ty.shape)[0]
    kernel = s.use("", lambda isa: count_up(element_type(value.ty)))
    return call(kernel, [], result_of(value), 1, [start, step, count], work=_work(value))


def _patches(graph: Graph, value: Any, s: Selection) -> Any:
    x = arguments(value)[0]
    (images, height, across, channels), (p, q) = sizes(x.ty.shape), (int(n) for n in attribute(value, "patch"))
    _, rows, columns, size = sizes(value.ty.shape)
    scalars = [height, across, channels, stride(channels), p, q, rows, columns, stride(size)]
    if is_dense_input(graph, x):  # a patch's part of a row is one pixel of many channels
        scalars = [height, across // q, q * channels, q * channels, p, 1, rows, columns, stride(size)]
    units = product([images, rows, columns])
    return call(s.use("", lambda isa: patches()), [x], like(value), units, scalars, grain=4, work=_work(value))


RULES: dict[str, Rule] = {
    "hearth.patches": _patches,
    "nn.pad": _pad,
    "full": _full,
    "arange": _arange,
    "reshape": _reshape,
    "expand_dims": _reshape,
    "squeeze": _reshape,
    "flatten": _reshape,
    "permute_dims": _permute_dims,
    "strided_slice": _strided_slice,
    "flip": _flip,
    "broadcast_to": _broadcast_to,
    "repeat": _repeat,
    "split": _split,
    "concat": _concat,
}
