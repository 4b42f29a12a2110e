"""Arithmetic over elements, with broadcasting; and maps over views of memory, which moves are made of too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hearth.compiler.gpu.kernels.elementwise import FUNCTIONS, THREADS, ElementwiseSpec, elementwise, functions_of
from hearth.compiler.gpu.selection import GpuSelection, Rule, ceil_div
from hearth.compiler.passes.elementwise import map_term
from hearth.compiler.passes.rewrite import Graph, arguments
from hearth.compiler.physical import call, product, sizes
from hearth.compiler.views import (
    Size,
    Term,
    View,
    broadcast_view,
    join_axes,
    nodes,
    result_of,
    scalars_of,
    whole_of,
)
from hearth.compiler.work import Work
from hearth.errors import Unsupported

_DTYPES = {"float32", "int32"}


def map_call(
    term: Term, operands: Sequence[View], shape: Sequence[Size], out: Any, to: View, s: GpuSelection, work: Work
) -> Any:
    """The call that computes `term` for each place of `shape` and puts it where `to` says.

    Args:
        out: physical type of the result.
        to: the result's memory; with a variable, the call works in place on it.

    Raises:
        Unsupported: a function or a type of elements that GPUs' kernels do not know.
    """
    views = [*operands, to]
    unknown = functions_of(term) - set(FUNCTIONS)
    if unknown or not {view.dtype for view in views} <= _DTYPES:
        raise Unsupported(
            "An expression over elements cannot be compiled for GPUs yet.",
            why=f"It has {', '.join(sorted(unknown | {view.dtype for view in views} - _DTYPES))}.",
        )
    joined, along = join_axes(sizes(shape), [view.along for view in views])
    walks = tuple(view.walk for view in views)
    padded = "g" not in walks and all(view.padded for view in views if view.walk == "v")
    spec = ElementwiseSpec(term, walks, tuple(view.dtype for view in operands), len(joined) - 1, padded, to.dtype)
    kernel = s.use(spec.name, lambda: [elementwise(spec)])
    rows = product(joined[:-1])
    scalars = [rows, *scalars_of(views, joined, along)]
    buffers = [view.var for view in views if view.var is not None]
    units = ceil_div(rows * ceil_div(joined[-1], spec.lanes), THREADS)
    return call(kernel, buffers, out, units, scalars, work=work, in_place=to.var is not None)


def _map(graph: Graph, value: Any, s: GpuSelection) -> Any:
    term, shape = map_term(value), list(value.ty.shape)
    views = [broadcast_view(var, shape) for var in arguments(value)]
    work = Work.of("map", product(shape[:-1]), nodes(term) * (sizes(shape)[-1] if shape else 1))
    return map_call(term, views, shape, result_of(value), whole_of(value), s, work)


RULES: dict[str, Rule] = {"hearth.map": _map}
