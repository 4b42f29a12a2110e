"""What adapters (LoRA) add to products."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tvm import tirx

from hearth.compiler.cpu.kernels.adapters import AdapterSpec, adapter_down, adapter_up
from hearth.compiler.cpu.selection import Rule, Selection
from hearth.compiler.passes.rewrite import Graph, arguments, attribute, dtype_of
from hearth.compiler.physical import call, columns_of, stride, tensor, width
from hearth.compiler.work import Work
from hearth.model.text.adapters import numbers_of_a
from hearth.quant.formats import LANES, round_up


def _spec(states: list[Any], value: Any, s: Selection) -> AdapterSpec:
    splits, columns = int(attribute(value, "splits")), int(attribute(value, "columns"))
    return AdapterSpec(s.isas[0], len(states), dtype_of(states[0].ty), splits, columns)


def _numbers(state: Any) -> int:
    """Of a unit."""
    return int(state.ty.shape[1])


def _down(graph: Graph, value: Any, s: Selection) -> Any:
    x, items, *states = arguments(value)
    spec = _spec(states, value, s)
    kernel = s.use(spec.named("adapter_down"), lambda isa: adapter_down(replace(spec, isa=isa)))
    source, offset, ldx = columns_of(graph, x)
    inner, count = width(x), items.ty.shape[0]
    chunk = round_up(-(-inner // spec.splits), LANES)
    scalars = [ldx, offset, inner, chunk, *(_numbers(state) for state in states)]
    rows = value.ty_args[0].shape[0]
    out = tensor(rows, len(states) * spec.splits * spec.columns)
    work = Work.of("adapter_down", rows)
    units = count * (len(states) * spec.splits)
    return call(kernel, [source, items, *states], out, units, scalars, work=work)


def _up(graph: Graph, value: Any, s: Selection) -> Any:
    t, items, *states, y = arguments(value)
    spec = replace(_spec(states, value, s), scale=float(attribute(value, "scale")))
    parts, starts, sizes = ([int(n) for n in attribute(value, name)] for name in ("parts", "starts", "sizes"))
    kernel = s.use(spec.named("adapter_up"), lambda isa: adapter_up(replace(spec, isa=isa)), spec.scratch_bytes)
    columns, inner, count = width(y), numbers_of_a(int(attribute(value, "inner"))), items.ty.shape[0]
    about = [
        [_numbers(state), part * spec.splits * spec.columns, start, size]
        for state, part, start, size in zip(states, parts, starts, sizes, strict=True)
    ]
    scalars = [int(t.ty.shape[1]), stride(columns), inner, count, *(number for each in about for number in each)]
    rows = value.ty_args[0].shape[0]
    work = Work.of("adapter_up", rows)
    blocks = sum(-(-size // LANES) for size in sizes)
    # Nothing to do where no row has an adapter.
    units = tirx.min(count, tirx.IntImm("int64", 1)) * blocks
    out = tensor(rows, stride(columns))
    return call(kernel, [t, items, *states, y], out, units, scalars, 32, work=work, in_place=True)


RULES: dict[str, Rule] = {"hearth.adapter_down": _down, "hearth.adapter_up": _up}
