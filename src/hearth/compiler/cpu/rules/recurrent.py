"""Recurrent layers."""

from __future__ import annotations

from typing import Any

from hearth.compiler.cpu.kernels.recurrent import RecurrentSpec, recurrent
from hearth.compiler.cpu.selection import Rule, Selection
from hearth.compiler.passes.rewrite import Graph, arguments, attribute
from hearth.compiler.physical import call, fixed, like, sizes, stride, tensor
from hearth.compiler.work import Work


def _recurrent(graph: Graph, value: Any, s: Selection) -> Any:
    z, *others = arguments(value)
    steps, batch, gates, size = sizes(z.ty.shape)
    spec = RecurrentSpec(str(attribute(value, "cell")), fixed(gates), bool(attribute(value, "reverse")))
    ld = stride(fixed(size))
    kernel = s.use(spec.name, lambda isa: recurrent(spec), scratch_bytes=4 * ld)
    states = tensor(steps, batch, ld)
    results = [states, like(others[-1])] if spec.cell == "lstm" else states
    work = Work.of("recurrent", batch * steps, 2 * gates * size * size)
    return call(kernel, [z, *others], results, batch, [steps, batch, size, ld], work=work)


RULES: dict[str, Rule] = {"hearth.recurrent": _recurrent}
