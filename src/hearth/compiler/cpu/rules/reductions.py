"""Sums, means and extremes over axes; places of extremes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hearth.compiler.cpu.kernels.reduce import place_of, reduce_columns, reduce_rows
from hearth.compiler.cpu.selection import Rule, Selection
from hearth.compiler.passes.rewrite import Graph, operation
from hearth.compiler.physical import call, like, product, sizes, stride, tensor
from hearth.compiler.views import Size, element_type, steps_of
from hearth.compiler.work import Work
from hearth.errors import Unsupported
from hearth.quant.formats import LANES


def _reduce(graph: Graph, value: Any, s: Selection) -> Any:
    """Axes that stand apart are reduced one group after the other, the last first."""
    x, kind = value.args[0], operation(value)
    shape = sizes(x.ty.shape)
    given = value.attrs.axis
    axes = sorted(int(a) % len(shape) for a in given) if given is not None else list(range(len(shape)))
    while True:
        first = last = axes[-1]
        while first - 1 in axes or (first > axes[0] and isinstance(shape[first - 1], int) and shape[first - 1] == 1):
            first -= 1
        axes = [axis for axis in axes if axis < first]
        if not axes:
            return _reduced(kind, x, shape, (first, last), like(value), sizes(value.ty.shape), s)
        after = [1 if first <= axis <= last else size for axis, size in enumerate(shape)]
        if last == len(shape) - 1 and not value.attrs.keepdims:  # what is last then, has padded rows
            after = after[:first]
        x = graph.emit(_reduced(kind, x, shape, (first, last), tensor(*after[:-1], stride(after[-1])), after, s))
        shape = after


def _reduced(
    kind: str, x: Any, shape: Sequence[Size], run: tuple[int, int], out: Any, after: Sequence[Size], s: Selection
) -> Any:
    """Over the axes from the first to the last of `run`: an array of the size `after`."""
    first, last = run
    outer, count = product(shape[:first]), product(shape[first : last + 1])
    if last < len(shape) - 1:
        ld = product([*shape[last + 1 : -1], stride(shape[-1])])
        kernel = s.use("", lambda isa: reduce_rows(kind))
        work = Work.of(kind, outer, count * shape[-1] if isinstance(count, int) else shape[-1])
        return call(kernel, [x], out, product([outer, ld // LANES]), [count, ld], work=work)
    rows = product(shape[first:-1])
    kernel = s.use("", lambda isa: reduce_columns(kind))
    width = after[-1] if after else 1
    work = Work.of(kind, outer, shape[-1])
    return call(kernel, [x], out, outer, [rows, shape[-1], stride(shape[-1]), width, stride(width)], work=work)


def _place(graph: Graph, value: Any, s: Selection) -> Any:
    """Over one axis. The axes after it, but the last, have the strides of one."""
    x, kind = value.args[0], operation(value)
    shape, steps = sizes(x.ty.shape), steps_of(x)
    axis = int(value.attrs.axis) % len(shape)
    if axis < len(shape) - 2:
        raise Unsupported(f"An {kind} over axis {axis} of {len(shape)} cannot be compiled yet.")
    kept = shape[-1] if axis == len(shape) - 2 else 1
    units = product([size for i, size in enumerate(shape) if i != axis])
    kernel = s.use("", lambda isa: place_of(kind == "argmax", element_type(x.ty)))
    # Axes before are walked as one, whose steps are rows of the memory.
    before = shape[axis] * steps[axis] if axis == len(shape) - 2 else steps[-2] if axis else 0
    scalars = [shape[axis], steps[axis], kept, before, 1]
    work = Work.of("argmax", units, shape[axis] if isinstance(shape[axis], int) else 1)
    return call(kernel, [x], tensor(*value.ty.shape, dtype="int32"), units, scalars, grain=4, work=work)


RULES: dict[str, Rule] = {
    **dict.fromkeys(("sum", "mean", "max", "min", "prod"), _reduce),
    **dict.fromkeys(("argmax", "argmin"), _place),
}
