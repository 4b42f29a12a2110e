"""Chooses the kernels of every operation for GPUs: the last pass on the graph, which afterwards is a line of calls."""

from __future__ import annotations

from typing import Any

from tvm import relax

from hearth.compiler.gpu.rules import PREPARATIONS, RULES
from hearth.compiler.gpu.selection import GpuSelection
from hearth.compiler.passes.rewrite import Graph, operation, rewrite
from hearth.errors import Unsupported


def select_kernels(module: Any, selection: GpuSelection) -> Any:
    """`module` with every operation replaced by calls of kernels.

    Raises:
        Unsupported: an operation that no rule knows.
    """

    def rule(graph: Graph, value: Any) -> Any:
        name = operation(value)
        if isinstance(value, relax.Tuple) or not name:
            return None
        return RULES[name](graph, value, selection)

    def begin(graph: Graph) -> None:
        for prepare in PREPARATIONS:
            prepare(graph, selection)

    # Asked before anything is built: TVM warns of a function that is left half written.
    for function in module.functions.values():
        for _, value in Graph(function).bindings:
            if operation(value) and operation(value) not in RULES:
                what = f"The operation {operation(value)} cannot be compiled for GPUs yet."
                raise Unsupported(what, why=f"It is in {value}.")
    return rewrite(module, rule, begin)
