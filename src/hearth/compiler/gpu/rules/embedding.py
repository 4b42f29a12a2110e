"""Rows of a packed matrix, by token."""

from __future__ import annotations

from typing import Any

from hearth.compiler.gpu.kernels.embedding import EmbeddingSpec, embedding
from hearth.compiler.gpu.rules.parts import parts_of
from hearth.compiler.gpu.selection import GpuSelection, Rule
from hearth.compiler.passes.rewrite import Graph, arguments, attribute
from hearth.compiler.physical import call, like, product, stride
from hearth.compiler.work import Work
from hearth.quant.formats import LANES


def _embedding(graph: Graph, value: Any, s: GpuSelection) -> Any:
    """A step for each part of the table, which looks up the tokens whose rows it has."""
    ids, w = arguments(value)
    packed, columns = s.parameters.packed[w.name], int(value.ty.shape[-1])
    spec = EmbeddingSpec(packed.fmt, float(attribute(value, "scale")))
    kernel = s.use(spec.name, lambda: [embedding(spec)])
    n = product(list(ids.ty.shape))  # integers lie without padding
    work = Work.of("embedding", n, columns, gathers=True)
    made: list[Any] = []
    for part in parts_of(packed):
        first = LANES * part.first
        scalars = [packed.blocks, stride(columns), first, min(LANES * part.height, packed.n - first)]
        step = call(
            kernel, [ids, w, *made], like(value), n, scalars, work=work, in_place=bool(made), parts=part.operand(1)
        )  # fmt: skip
        made = [graph.emit(step)]
    return made[0]


RULES: dict[str, Rule] = {"hearth.embedding": _embedding}
