"""Rows and columns in other places: chosen by number, put in the place of others, split apart."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from hearth.compiler.gpu.kernels.gather import gather_rows, replace_rows
from hearth.compiler.gpu.rules.elementwise import map_call
from hearth.compiler.gpu.selection import GpuSelection, Rule
from hearth.compiler.passes.rewrite import Graph, arguments, dtype_of
from hearth.compiler.physical import call, like, product, rows, stride, width
from hearth.compiler.views import Size, View, element_type, is_dense, result_of, split, steps_of, whole_of
from hearth.compiler.work import Work
from hearth.errors import Unsupported

COPY = ("copy", 0)


def copied(var: Any, start: Size, along: Sequence[Size], value: Any, s: GpuSelection, *, padded: bool = False) -> Any:
    """The call that copies, to a new result of the type of `value`, what `var` holds along these strides."""
    view = View(var, start, tuple(along), element_type(var.ty), padded and not is_dense(var))
    work = Work.of("move", product(list(value.ty.shape)[:-1]))
    return map_call(COPY, [view], list(value.ty.shape), result_of(value), whole_of(value), s, work)


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


def _split(graph: Graph, value: Any, s: GpuSelection) -> Any:
    return split(graph, value, partial(copied, s=s))


RULES: dict[str, Rule] = {"take": _take, "hearth.replace_rows": _replace_rows, "split": _split}
