"""Sums, means and extremes over axes that stand together."""

from __future__ import annotations

from typing import Any

from hearth.compiler.cpu.kernels.reduce import reduce_columns, reduce_rows
from hearth.compiler.cpu.selection import LANES, Rule, Selection, call, like, product, sizes, stride
from hearth.compiler.passes.rewrite import Graph, operation
from hearth.compiler.work import Work
from hearth.errors import Unsupported


def _reduce(graph: Graph, value: Any, s: Selection) -> Any:
    x, kind = value.args[0], operation(value)
    shape = sizes(x.ty.shape)
    given = value.attrs.axis
    axes = sorted(int(a) % len(shape) for a in given) if given is not None else list(range(len(shape)))
    first, last = axes[0], axes[-1]
    between = product([size for axis, size in enumerate(shape) if first <= axis <= last and axis not in axes])
    if between != 1:
        raise Unsupported(f"A {kind} over the axes {axes} of {len(shape)} cannot be compiled yet.")
    outer, count = product(shape[:first]), product(shape[first : last + 1])
    if last < len(shape) - 1:
        ld = stride(shape[-1])
        kept = product(shape[last + 1 : -1])
        if kept != 1:
            raise Unsupported(f"A {kind} over the axes {axes} of {len(shape)} cannot be compiled yet.")
        kernel = s.use("", lambda isa: reduce_rows(kind))
        work = Work.of(kind, outer, count * shape[-1] if isinstance(count, int) else shape[-1])
        return call(kernel, [x], like(value), outer * (ld // LANES), [count, ld], work=work)
    rows = product(shape[first:-1])
    kernel = s.use("", lambda isa: reduce_columns(kind))
    out = sizes(value.ty.shape)
    width = out[-1] if out else 1
    work = Work.of(kind, outer, shape[-1])
    return call(kernel, [x], like(value), outer, [rows, shape[-1], stride(shape[-1]), width, stride(width)], work=work)


RULES: dict[str, Rule] = dict.fromkeys(("sum", "mean", "max", "min"), _reduce)
