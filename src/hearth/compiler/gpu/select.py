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
        if name not in RULES:
            raise Unsupported(f"The operation {name} cannot be compiled for GPUs yet.", why=f"It is in {value}.")
        return RULES[name](graph, value, selection)

    def begin(graph: Graph) -> None:
        for prepare in PREPARATIONS:
            prepare(graph, selection)

    return rewrite(module, rule, begin)
