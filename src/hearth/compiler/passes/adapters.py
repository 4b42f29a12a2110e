"""Adapters (LoRA): what they add to products, on the logical graph.

y = x W  ->  y = x W; t = x A of each row's adapter; y += t B

One step computes t for all matrices that read the same x, and one each product's sum, which may be columns of several
matrices: so this comes behind the fusions that make one product of these, and before those that go on with a product's
result in its epilogue. Rows without an adapter are in no item of `adapter_items`; where no row has one, neither step
has units.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from hearth.compiler.parameters import Parameters
from hearth.compiler.passes.rewrite import Graph, arguments, is_op, rewrite
from hearth.model.network import Network
from hearth.model.ops import adapter_down, adapter_up
from hearth.model.text.adapters import ADAPTER_ITEMS, ADAPTERS, MOST_UNITS, RANKS, adapter_state

MOST_TOGETHER = 3
"""Matrices of one step: of q, k and v. GPUs have 8 buffers for a kernel."""
SPLIT_COLUMNS, SPLITS = 1024, 4
"""With so many columns or more x is summed in several parts, so that a single row has work for several threads."""


@dataclass(frozen=True)
class _Part:
    """A matrix with room for adapters, as columns of a product's result."""

    name: str
    start: int
    size: int


def add_adapters(module: Any, parameters: Parameters, network: Network) -> Any:
    """`hearth.adapter_up` behind every product that a network has room for adapters beside."""
    known = {state.name for state in network.states if state.symbol == ADAPTERS}
    if not known:
        return module
    together: dict[Any, list[str]] = {}  # by what is multiplied: the matrices, in the order of their products
    made: dict[
        tuple[Any, int], tuple[Any, Any]
    ] = {}  # (what is multiplied, first of a step's matrices) -> operation, result

    def parts_of(value: Any) -> list[_Part]:
        if not is_op(value, "hearth.linear"):
            return []
        packed = parameters.packed[arguments(value)[1].name]
        starts = accumulate(packed.rows, initial=0)
        every = (_Part(*each) for each in zip(packed.parts, starts, packed.rows, strict=False))
        return [part for part in every if adapter_state(part.name) in known]

    def begin(graph: Graph) -> None:
        together.clear()
        made.clear()
        for _, value in graph.bindings:
            if parts := parts_of(value):
                together.setdefault(arguments(value)[0], []).extend(part.name for part in parts)

    def rule(graph: Graph, value: Any) -> Any:
        parts = parts_of(value)
        if not parts:
            return None
        params = {var.name: var for var in graph.params}
        x, items = arguments(value)[0], params[ADAPTER_ITEMS]
        inner = int(x.ty.shape[-1])
        y = graph.emit(value)
        # A product whose matrices are in several steps before has as many behind it.
        for number in range(0, len(together[x]), MOST_TOGETHER):
            names = together[x][number : number + MOST_TOGETHER]
            mine = [part for part in parts if part.name in names]
            if not mine:
                continue
            if (x, number) not in made:
                states = [params[adapter_state(name)] for name in names]
                splits = SPLITS if inner >= SPLIT_COLUMNS else 1
                down = adapter_down(x, items, states, splits=splits, columns=MOST_UNITS * RANKS)
                made[x, number] = down, graph.emit(down)
            down, t = made[x, number]
            y = graph.emit(
                adapter_up(
                    t,
                    items,
                    [params[adapter_state(part.name)] for part in mine],
                    y,
                    parts=[names.index(part.name) for part in mine],
                    starts=[part.start for part in mine],
                    sizes=[part.size for part in mine],
                    inner=inner,
                    about=down,
                )
            )
        return y

    return rewrite(module, rule, begin)
