"""Means of rows."""

from __future__ import annotations

from typing import Any

from hearth.compiler.gpu.kernels.row_mean import NAME, row_mean_variants
from hearth.compiler.gpu.selection import GpuSelection, Rule
from hearth.compiler.passes.rewrite import Graph
from hearth.compiler.physical import call, like, rows, stride, width
from hearth.compiler.work import Work
from hearth.errors import Unsupported


def _mean(graph: Graph, value: Any, s: GpuSelection) -> Any:
    x = value.args[0]
    last = len(x.ty.shape) - 1
    axes = [int(axis) % (last + 1) for axis in value.attrs.axis or range(last + 1)]
    if axes != [last] or not value.attrs.keepdims:
        raise Unsupported(f"A mean over the axes {axes} of {last + 1} cannot be compiled for GPUs yet.")
    size, m = width(x), rows(x)
    kernel = s.use(NAME, row_mean_variants)
    return call(kernel, [x], like(x, 1), m, [size, stride(size), stride(1)], work=Work.of("mean", m, size))


RULES: dict[str, Rule] = {"mean": _mean}
