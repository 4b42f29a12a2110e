"""Arithmetic over elements, with broadcasting; and maps over views of memory, which moves are made of too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hearth.compiler.cpu.kernels.elementwise import ElementwiseSpec, elementwise
from hearth.compiler.cpu.selection import Rule, Selection
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


def map_call(
    term: Term, operands: Sequence[View], shape: Sequence[Size], out: Any, to: View, s: Selection, work: Work
) -> Any:
    """The call that computes `term` for each place of `shape` and puts it where `to` says.

    Args:
        out: physical type of the result.
        to: the result's memory; with a variable, the call works in place on it.
    """
    views = [*operands, to]
    joined, along = join_axes(sizes(shape), [view.along for view in views])
    walks = tuple(view.walk for view in views)
    padded = "g" not in walks and all(view.padded for view in views if view.walk == "v")
    spec = ElementwiseSpec(term, walks, tuple(view.dtype for view in operands), len(joined) - 1, padded, to.dtype)
    kernel = s.use(spec.name, lambda isa: elementwise(spec))
    scalars = scalars_of(views, joined, along)
    buffers = [view.var for view in views if view.var is not None]
    units = product(joined[:-1])
    return call(kernel, buffers, out, units, scalars, grain=4, work=work, in_place=to.var is not None)


def _map(graph: Graph, value: Any, s: Selection) -> Any:
    term, shape = map_term(value), list(value.ty.shape)
    views = [broadcast_view(var, shape) for var in arguments(value)]
    operations = nodes(term) * (sizes(shape)[-1] if shape else 1)
    work = Work.of("map", product(shape[:-1]), operations)
    return map_call(term, views, shape, result_of(value), whole_of(value), s, work)


RULES: dict[str, Rule] = {"hearth.map": _map}
