"""Rows and columns in other places: chosen by number, put in the place of others, split apart, counted otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from hearth.compiler.gpu.kernels.gather import gather_rows, replace_rows
from hearth.compiler.gpu.rules.elementwise import map_call
from hearth.compiler.gpu.selection import GpuSelection, Rule
from hearth.compiler.passes.rewrite import Graph, arguments, dtype_of, is_op, operands
from hearth.compiler.physical import call, is_padded, last_size, like, product, rows, sizes, stride, strides, width
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
from hearth.errors import Unsupported

COPY = ("copy", 0)


def copied(var: Any, start: Size, along: Sequence[Size], value: Any, s: GpuSelection, *, padded: bool = False) -> Any:
    """The call that copies, to a new result of the type of `value`, what `var` holds along these strides."""
    view = View(var, start, tuple(along), element_type(var.ty), padded and not is_dense(var))
    work = Work.of("move", product(list(value.ty.shape)[:-1]))
    return map_call(COPY, [view], list(value.ty.shape), result_of(value), whole_of(value), s, work)


def pad_inputs(graph: Graph, s: GpuSelection) -> None:
    """Inputs of numbers get padded rows, as everything has that is made of them; but for rows that take others'
    places, which are read as they lie."""
    for var in graph.params[: int(graph.function.attrs["num_input"])]:
        if dtype_of(var.ty) != "float32" or is_padded(last_size(var)):
            continue
        if not all(is_op(value, "hearth.replace_rows") for _, value in graph.bindings if var in operands(value)):
            graph.bind(var, graph.emit(copied(var, 0, strides(var.ty.shape, dense=True), var, s)))


def _take(graph: Graph, value: Any, s: GpuSelection) -> Any:
    x, ids = value.args
    if len(x.ty.shape) != 2 or len(ids.ty.shape) != 1 or int(value.attrs.axis) != 0 or dtype_of(x.ty) != "float32":
        raise Unsupported("Only rows of a matrix can be taken on GPUs yet.")
    kernel = s.use("gather_rows", lambda: [gather_rows()])
    work = Work.of("gather", rows(value), width(x), gathers=True)
    return call(kernel, [x, ids], like(value), rows(value), [stride(width(x))], work=work)


def _replace_rows(graph: Graph, value: Any, s: GpuSelection) -> Any:
    """In place, so that where nothing is given nothing is done."""
    x, given, places = arguments(value)
    if not graph.only_use(x):
        x = graph.emit(copied(x, 0, steps_of(x), value, s, padded=True))
    kernel = s.use("replace_rows", lambda: [replace_rows()])
    columns = width(given)
    work = Work.of("embedding", rows(given), columns)
    scalars = [columns, stride(columns)]
    return call(kernel, [given, places, x], like(value), rows(given), scalars, work=work, in_place=True)


def _reshape(graph: Graph, value: Any, s: GpuSelection) -> Any:
    """The same memory where rows keep their length or have no padding; else rows are divided, or put together again."""
    x = value.args[0]
    before, after = sizes(x.ty.shape), sizes(value.ty.shape)
    if (is_dense(x) and is_dense(value)) or equal_sizes(before[-1], after[-1]):
        return x
    if is_padded(before[-1]) and is_padded(after[-1]):
        return x
    if _divides(before, after):
        along = [*steps_of(x)[:-1], *strides(after[len(before) - 1 :], dense=True)]
        return copied(x, 0, along, value, s)
    if _divides(after, before):
        there = whole_of(value)
        along = [*there.along[:-1], *strides(before[len(after) - 1 :], dense=True)]
        parts = View(x, 0, tuple(steps_of(x)), element_type(x.ty), padded=False)
        to = View(None, 0, tuple(along), there.dtype, padded=False)
        return map_call(COPY, [parts], before, result_of(value), to, s, Work.of("move", product(before[:-1])))
    raise Unsupported("Only rows of an array can be divided or put together on GPUs yet.", why=f"{before} to {after}.")


def _divides(shape: list[Size], parts: list[Size]) -> bool:
    """Whether those shapes are the same but for the last axis, which the second has as several."""
    last = len(shape) - 1
    same = all(equal_sizes(a, b) for a, b in zip(shape[:last], parts[:last], strict=False))
    return last < len(parts) and same and equal_sizes(shape[last], product(parts[last:]))


def _split(graph: Graph, value: Any, s: GpuSelection) -> Any:
    return split(graph, value, partial(copied, s=s))


def _concat(graph: Graph, value: Any, s: GpuSelection) -> Any:
    """Columns beside columns: each part is copied to its place; the first makes the memory that others write into."""
    axis, there = int(value.attrs.axis) % len(value.ty.shape), whole_of(value)
    if axis != len(value.ty.shape) - 1:
        raise Unsupported("Only columns can be put beside each other on GPUs yet.")
    begin: Size = 0
    joined: Any = None
    for part in value.args[0].fields:
        shape = list(part.ty.shape)
        to = View(joined, begin, there.along, there.dtype, False)
        work = Work.of("move", product(shape[:-1]))
        joined = graph.emit(map_call(COPY, [broadcast_view(part, shape)], shape, result_of(value), to, s, work))
        begin = begin + sizes(shape)[axis]
    return joined


RULES: dict[str, Rule] = {
    "concat": _concat,
    "take": _take,
    "hearth.replace_rows": _replace_rows,
    "split": _split,
    "reshape": _reshape,
    "expand_dims": _reshape,
}
