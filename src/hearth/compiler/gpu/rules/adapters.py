"""What adapters (LoRA) add to products."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import Any

from hearth.compiler.gpu.kernels.adapters import UP_COLUMNS, AdapterSpec, adapter_down, adapter_up
from hearth.compiler.gpu.selection import GpuSelection, Rule
from hearth.compiler.passes.rewrite import Graph, arguments, attribute, dtype_of
from hearth.compiler.physical import call, columns_of, stride, tensor, width
from hearth.compiler.work import Work
from hearth.model.text.adapters import numbers_of_a


def _spec(states: list[Any], value: Any) -> AdapterSpec:
    return AdapterSpec(len(states), dtype_of(states[0].ty), int(attribute(value, "columns")))


def _numbers(state: Any) -> int:
    """Of a unit."""
    return int(state.ty.shape[1])


def _down(graph: Graph, value: Any, s: GpuSelection) -> Any:
    x, items, *states = arguments(value)
    spec = _spec(states, value)
    kernel = s.use(spec.named("adapter_down"), lambda: [adapter_down(spec)])
    source, offset, ldx = columns_of(graph, x)
    rows, ldt = value.ty_args[0].shape[0], len(states) * spec.columns
    scalars = [ldx, offset, width(x), ldt, *(_numbers(state) for state in states)]
    units = items.ty.shape[0] * len(states)
    work = Work.of("adapter_down", rows)
    return call(kernel, [source, items, *states], tensor(rows, ldt), units, scalars, work=work)


def _up(graph: Graph, value: Any, s: GpuSelection) -> Any:
    t, items, *states, y = arguments(value)
    spec = replace(_spec(states, value), scale=float(attribute(value, "scale")))
    parts, starts, sizes = ([int(n) for n in attribute(value, name)] for name in ("parts", "starts", "sizes"))
    kernel = s.use(spec.named("adapter_up"), lambda: [adapter_up(spec)])
    # Where x is read in several parts on processors, it is in one here.
    ldt = int(t.ty.shape[1]) // int(attribute(value, "splits"))
    *firsts, blocks = accumulate((-(-size // UP_COLUMNS) for size in sizes), initial=0)
    about = [
        [_numbers(state), part * spec.columns, start, size, first]
        for state, part, start, size, first in zip(states, parts, starts, sizes, firsts, strict=True)
    ]
    inner, ld = numbers_of_a(int(attribute(value, "inner"))), stride(width(y))
    scalars = [ldt, ld, inner, blocks, *(number for each in about for number in each)]
    rows, units = value.ty_args[0].shape[0], items.ty.shape[0] * blocks
    work = Work.of("adapter_up", rows)
    return call(kernel, [t, items, *states, y], tensor(rows, ld), units, scalars, work=work, in_place=True)


RULES: dict[str, Rule] = {"hearth.adapter_down": _down, "hearth.adapter_up": _up}
