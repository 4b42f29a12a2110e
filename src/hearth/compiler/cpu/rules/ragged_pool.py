"""One vector of each text's tokens."""

from __future__ import annotations

from typing import Any

from hearth.compiler.cpu.kernels.ragged_pool import ragged_pool
from hearth.compiler.cpu.selection import Rule, Selection
from hearth.compiler.passes.rewrite import Graph, arguments, attribute
from hearth.compiler.physical import call, rows, stride, tensor, width
from hearth.compiler.work import Work


def _ragged_pool(graph: Graph, value: Any, s: Selection) -> Any:
    args = arguments(value)
    mode, skips = str(attribute(value, "mode")), bool(attribute(value, "skips"))
    kernel = s.use("", lambda isa: ragged_pool(mode, skips=skips))
    sequences = value.ty_args[0].shape[0]
    ld = stride(width(args[0]))
    work = Work.of("pool", rows(args[0]), width(args[0]))
    return call(kernel, args, tensor(sequences, ld), sequences, [ld], work=work)


RULES: dict[str, Rule] = {"hearth.ragged_pool": _ragged_pool}
