"""Heads rotated by tables."""

from __future__ import annotations

from typing import Any

from hearth.compiler.cpu.kernels.rotary import RotarySpec, rotary
from hearth.compiler.cpu.selection import Rule, Selection
from hearth.compiler.passes.rewrite import Graph, arguments, attribute
from hearth.compiler.physical import call, like, rows, stride, width
from hearth.compiler.work import Work


def _rotary(graph: Graph, value: Any, s: Selection) -> Any:
    x, cos, sin = arguments(value)
    heads, interleaved = int(attribute(value, "num_heads")), bool(attribute(value, "interleaved"))
    spec = RotarySpec(interleaved)
    kernel = s.use(spec.name, lambda isa: rotary(spec), spec.scratch_bytes())
    ld, m = stride(width(x)), rows(x)
    # Tables that were computed have no padding (`rope_table`), those that are parameters have.
    ldt = stride(width(cos)) if cos.name in s.parameters.packed else width(cos)
    scalars = [rows(cos), heads, width(x) // heads, width(cos), ldt, ld, 0, ld, 0]
    work = Work.of("rope", m, 6 * heads * width(cos))
    return call(kernel, [x, cos, sin], like(x), m, scalars, grain=4, work=work)


RULES: dict[str, Rule] = {"hearth.rotary": _rotary}
