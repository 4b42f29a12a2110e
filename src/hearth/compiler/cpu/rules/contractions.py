"""Products of two activations: matrices, and what is written as an einsum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tvm import relax

from hearth.compiler.cpu.kernels.contraction import ROWS, ContractionSpec, contraction
from hearth.compiler.cpu.rules.moves import copied
from hearth.compiler.cpu.selection import Rule, Selection
from hearth.compiler.passes.rewrite import Graph, dtype_of
from hearth.compiler.physical import call, like, product, sizes, stride, strides, tensor
from hearth.compiler.symbolic import equal_sizes
from hearth.compiler.views import Size, broadcast_view, join_axes, steps_of
from hearth.compiler.work import Work
from hearth.errors import Unsupported


def _contract(
    a: Any, a_steps: Sequence[Size], b: Any, b_steps: Sequence[Size], over: tuple[Size, Size, Size], value: Any,
    s: Selection,
) -> Any:  # fmt: skip
    """The sum of products.

    Args:
        a_steps, b_steps: strides along each axis of the result but the last, which only b has, and side by side.
        over: size of the axis that is summed over, strides of a and b along it.
    """
    if {dtype_of(a.ty), dtype_of(b.ty)} != {"float32"}:
        raise Unsupported("Products of integers cannot be compiled yet.", why=f"It is in {value}.")
    shape = sizes(value.ty.shape)
    before, ld = shape[:-1], stride(shape[-1])
    # Rows of a tile share what they read of b.
    shared = bool(before) and isinstance(b_steps[-1], int) and b_steps[-1] == 0
    m, a_m = (before.pop(), a_steps[-1]) if shared else (1, 0)
    outer, along = join_axes([*before, 1], [[*steps[: len(before)], 0] for steps in (a_steps, b_steps)])
    axes = outer[:-1]
    spec = ContractionSpec(len(axes))
    kernel = s.use(spec.name, lambda isa: contraction(isa, spec))
    count, a_k, b_k = over
    scalars = [m, ld, count, a_m, a_k, b_k, *axes[1:], *along[0][:-1], *along[1][:-1]]
    blocks = (m + (ROWS - 1)) // ROWS
    units = product([*axes, blocks])
    cost = (m if isinstance(m, int) else 1) * (count if isinstance(count, int) else 1)
    return call(kernel, [a, b], like(value), units, scalars, work=Work.of("product", product(axes), 2 * cost * ld))


def _matmul(graph: Graph, value: Any, s: Selection) -> Any:
    a, b = value.args
    if min(len(a.ty.shape), len(b.ty.shape)) < 2:
        raise Unsupported("A product of a matrix and a single vector cannot be compiled yet.", why=f"It is {value}.")
    before = sizes(value.ty.shape)[:-2]
    m, n = sizes(value.ty.shape)[-2:]
    count = sizes(a.ty.shape)[-1]
    a_steps = broadcast_view(a, [*before, m, count]).along
    b_steps = broadcast_view(b, [*before, count, n]).along
    over = (count, a_steps[-1], steps_of(b)[-2])
    return _contract(a, a_steps[:-1], b, [*b_steps[:-2], 0], over, value, s)


def _einsum(graph: Graph, value: Any, s: Selection) -> Any:
    """Of one operand: its axes in another order. Of two: one axis that both have is summed over."""
    operands = list(value.args[0].fields)
    text = str(value.attrs.subscripts).replace(" ", "")
    named, _, result = text.partition("->")
    names = named.split(",")
    refused = Unsupported(f"The einsum {text} cannot be compiled yet.", hint="Write it as matrix products.")
    if "." in text or not result or any(len(set(part)) != len(part) for part in (*names, result)):
        raise refused
    steps = [dict(zip(part, steps_of(x), strict=True)) for part, x in zip(names, operands, strict=True)]
    extent = {
        name: size
        for part, x in zip(names, operands, strict=True)
        for name, size in zip(part, sizes(x.ty.shape), strict=True)
    }
    if len(operands) == 1 and set(names[0]) == set(result):
        return copied(operands[0], 0, [steps[0][name] for name in result], value, s)
    summed = [name for name in extent if name not in result]
    if len(operands) != 2 or len(summed) != 1 or not all(summed[0] in part for part in names):
        raise refused
    (k,) = summed
    # The last axis of the result is one that the right side alone has.
    last = result[-1:]
    left, right = (1, 0) if last and last in steps[0] else (0, 1)
    if not last or last in steps[left]:
        raise refused
    b, b_steps = _with_last(
        graph, operands[right], steps[right], [*(n for n in names[right] if n != last), last], extent, s
    )
    a_along, b_along = ([known.get(name, 0) for name in result[:-1]] for known in (steps[left], b_steps))
    return _contract(operands[left], a_along, b, b_along, (extent[k], steps[left][k], b_steps[k]), value, s)


def _with_last(
    graph: Graph, x: Any, steps: Mapping[str, Size], order: Sequence[str], extent: Mapping[str, Size], s: Selection
) -> tuple[Any, Mapping[str, Size]]:
    """An operand, and its strides, with the last axis of `order` side by side: as it is, or a copy."""
    at = steps[order[-1]]
    if isinstance(at, int) and at == 1 and equal_sizes(sizes(x.ty.shape)[-1], extent[order[-1]]):
        return x, steps
    shape = [extent[name] for name in order]
    moved = relax.Var("moved", tensor(*shape))
    copy = graph.emit(copied(x, 0, [steps[name] for name in order], moved, s))
    return copy, dict(zip(order, strides(shape), strict=True))


RULES: dict[str, Rule] = {"matmul": _matmul, "einsum": _einsum}
