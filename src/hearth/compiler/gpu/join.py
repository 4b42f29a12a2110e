"""Products of one input whose weights have several number formats are joined, as a network's own pass joins those of
one format: for few rows they are one step, which has a part for each format.

`hearth.product(x, [gain], w)` becomes columns of `hearth.joined_product(x, [gain], w, ...)`, those of each weight from
a whole block of 16 on. That is done where whoever reads them takes columns of a wider activation.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from tvm import relax
from tvm.relax import op

from hearth.compiler.gpu.features import MAX_STORAGE_BUFFERS
from hearth.compiler.gpu.rules.parts import parts_of
from hearth.compiler.gpu.selection import GpuSelection
from hearth.compiler.passes.fuse import MIXER_COLUMNS
from hearth.compiler.passes.rewrite import Graph, arguments, attribute, is_op, operation, rewrite
from hearth.compiler.physical import rows, width
from hearth.model.ops import f32_tensor, hearth_op
from hearth.quant.formats import LANES

_READ_COLUMNS: Mapping[str, tuple[int, ...]] = {"hearth.paged_attention": (0, 1, 2), **MIXER_COLUMNS}
"""Which operands of whom may be columns of a wider activation."""
_PRODUCT = "hearth.product"


@dataclass(frozen=True)
class _Part:
    """A product that can be joined with others, and what is read of it: itself, or (a split, which of its results)."""

    value: Any
    weight: Any
    pieces: list[tuple[Any, int]]
    widths: list[int]


def join_products(module: Any, selection: GpuSelection) -> Any:
    """Those that are read as columns alone, in groups for which a kernel has buffers."""
    groups: dict[Any, list[_Part]] = {}
    places: dict[tuple[Any, int], Any] = {}

    def begin(graph: Graph) -> None:
        groups.clear()
        for group in _groups(graph, selection):
            groups.update({part.weight: group for part in group})

    def rule(graph: Graph, value: Any) -> Any:
        if isinstance(value, relax.TupleGetItem):
            return places.get((value.tuple_value, value.index))
        if not is_op(value, _PRODUCT):
            return None
        weight = arguments(value)[-1]
        group = groups.get(weight)
        if group is not None and weight.same_as(group[0].weight):
            places.update(_joined(graph, group))
        return places.get((weight, 0))

    return rewrite(module, rule, begin)


def _joined(graph: Graph, group: list[_Part]) -> dict[tuple[Any, int], Any]:
    """The pieces of a group, as what is taken of its product."""
    first = group[0].value
    before = arguments(first)[:-1]
    pieces: list[tuple[Any, int] | None] = []
    widths: list[int] = []
    for part in group:
        pieces += part.pieces
        widths += part.widths
        if behind := -sum(part.widths) % LANES:
            pieces.append(None)
            widths.append(behind)
    norm = attribute(first, "norm")
    about = {} if norm is None else {"norm": norm}
    out = f32_tensor(rows(before[0]), sum(widths))
    made = graph.emit(hearth_op("joined_product", [*before, *(part.weight for part in group)], out, **about))
    split = graph.emit(op.split(made, list(accumulate(widths))[:-1], axis=1))
    return {piece: relax.TupleGetItem(split, i) for i, piece in enumerate(pieces) if piece is not None}


def _groups(graph: Graph, s: GpuSelection) -> list[list[_Part]]:
    """Products that can be joined, by what they multiply and how it is normed."""
    readers = _Readers(graph)
    found: dict[Any, list[_Part]] = {}
    for var, value in graph.bindings:
        if is_op(value, _PRODUCT) and _is_plain(value, s) and (part := readers.part(var, value)) is not None:
            found.setdefault((*arguments(value)[:-1], attribute(value, "norm")), []).append(part)
    room = MAX_STORAGE_BUFFERS - 3  # x, the gain, the result
    return [group[:room] for group in found.values() if len(group) > 1]


def _is_plain(value: Any, s: GpuSelection) -> bool:
    """Whether nothing follows a product, and its weight can be bound at once."""
    if attribute(value, "epilogue", "store") != "store" or attribute(value, "bias") or attribute(value, "gather"):
        return False
    packed = s.parameters.packed[arguments(value)[-1].name]
    return not packed.fmt.is_row and packed.rotated == 1 and len(parts_of(packed)) == 1


class _Readers:
    """Who reads columns in a graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._reads: Counter[Any] = Counter()
        self._splits: dict[Any, Any] = {}  # of what -> the split
        self._items: dict[Any, list[Any]] = defaultdict(list)  # of a split
        for var, value in graph.bindings:
            self._reads.update(arguments(value)[i] for i in _READ_COLUMNS.get(operation(value), ()))
            if is_op(value, "split"):
                self._splits[value.args[0]] = var
            elif isinstance(value, relax.TupleGetItem):
                self._items[value.tuple_value].append(var)

    def part(self, var: Any, value: Any) -> _Part | None:
        """A product's result as a part of a group; None: somebody reads it otherwise."""
        weight = arguments(value)[-1]
        if not self._graph.only_use(var):
            return None
        if self._reads[var]:
            return _Part(value, weight, [(weight, 0)], [width(var)])
        split = self._splits.get(var)
        if split is None or any(self._reads[item] != self._graph.uses[item] for item in self._items[split]):
            return None
        widths = [int(field.shape[1]) for field in split.ty.fields]
        return _Part(value, weight, [(split, i) for i in range(len(widths))], widths)
