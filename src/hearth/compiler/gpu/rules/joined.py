"""Products of one input with weights of several formats (`gpu/join.py`): of few rows one step for all of them, of many
one for each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hearth.compiler.gpu.kernels.few_rows import FewRowsSpec, few_rows, threads_for
from hearth.compiler.gpu.kernels.many_rows import ManyRowsSpec, many_rows
from hearth.compiler.gpu.kernels.product_output import ProductSpec
from hearth.compiler.gpu.kernels.tile import TILE_ROWS
from hearth.compiler.gpu.selection import FEW_ROWS, MOST_FEW_ROWS, GpuSelection, Rule, at_most, ceil_div, more_than
from hearth.compiler.passes.rewrite import Graph, arguments, attribute
from hearth.compiler.physical import call, rows, stride, tensor, width
from hearth.compiler.work import Work, role
from hearth.quant.formats import LANES, round_up


def _joined_product(graph: Graph, value: Any, s: GpuSelection) -> Any:
    norm = attribute(value, "norm")
    args, activations = arguments(value), 1 + (norm is not None)
    before, weights = list(args[:activations]), list(args[activations:])
    packed = [s.parameters.packed[w.name] for w in weights]
    heights = [round_up(each.n, LANES) // LANES for each in packed]
    m, columns, blocks = rows(before[0]), width(before[0]), sum(heights)
    spec = ProductSpec(packed[0].fmt, norm=None if norm is None else float(norm), tail=ProductSpec.has_tail(columns))
    out, ld = tensor(m, LANES * blocks), LANES * blocks
    operations = [2 * each.n * columns for each in packed]
    made: list[Any] = []

    def step(kernel: str, given: list[int], units: Any, first: int) -> None:
        """A step with some of the weights, whose outputs begin with the block `first`."""
        sizes = [size for i in given for size in (packed[i].blocks, heights[i])]
        work = Work.of(role(weights[0].name), m, sum(operations[i] for i in given))
        operands = [*(weights[i] for i in given), *before, *made]
        scalars = [m, columns, stride(columns), *sizes, ld, first]
        made[:] = [graph.emit(call(kernel, operands, out, units, scalars, work=work, in_place=bool(made)))]

    formats = tuple(each.fmt for each in packed)
    for count, units in (
        (1, at_most(m, 1)),
        (FEW_ROWS, ceil_div(m, FEW_ROWS) * at_most(m, MOST_FEW_ROWS) * more_than(m, 1)),
    ):
        few = FewRowsSpec(spec, count, threads_for(blocks), formats=formats)
        step(s.use(few.name, lambda few=few: [few_rows(few)]), list(range(len(packed))), units * blocks, 0)  # type: ignore[misc]
    for i, each in enumerate(packed):
        many = ManyRowsSpec(replace(spec, fmt=each.fmt))
        name = s.use(many.name, lambda many=many: [many_rows(many, each) for each in many.variants])  # type: ignore[misc]
        units = ceil_div(m, TILE_ROWS) * (ceil_div(heights[i], many.unit_blocks) * more_than(m, MOST_FEW_ROWS))
        step(name, [i], units, sum(heights[:i]))
    return made[0]


RULES: dict[str, Rule] = {"hearth.joined_product": _joined_product}
