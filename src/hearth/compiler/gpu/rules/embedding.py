"""Rows of a packed matrix, by token."""

from __future__ import annotations

from typing import Any

from hearth.compiler.gpu.features import MAX_STORAGE_BUFFERS
from hearth.compiler.gpu.kernels.embedding import EmbeddingSpec, embedding
from hearth.compiler.gpu.rules.parts import operands_of, parts_of, together
from hearth.compiler.gpu.selection import GpuSelection, Rule
from hearth.compiler.passes.rewrite import Graph, arguments, attribute
from hearth.compiler.physical import call, like, product, stride
from hearth.compiler.work import Work
from hearth.quant.formats import LANES


def _embedding(graph: Graph, value: Any, s: GpuSelection) -> Any:
    """A step, or several, where there are more parts of the table than one may be given: each looks up the tokens whose
    rows it has."""
    ids, w = arguments(value)
    packed, columns = s.parameters.packed[w.name], int(value.ty.shape[-1])
    n = product(list(ids.ty.shape))  # integers lie without padding
    work = Work.of("embedding", n, columns, gathers=True)
    made: list[Any] = []
    for parts in together(parts_of(packed), MAX_STORAGE_BUFFERS - 2):
        spec = EmbeddingSpec(packed.fmt, float(attribute(value, "scale")), len(parts))
        kernel = s.use(spec.name, lambda spec=spec: [embedding(spec)])  # type: ignore[misc]
        first, rows = LANES * parts[0].first, LANES * sum(part.height for part in parts)
        scalars = [packed.blocks, parts[0].height, stride(columns), first, min(rows, packed.n - first)]
        step = call(
            kernel, [ids, *[w] * len(parts), *made], like(value), n, scalars, work=work, in_place=bool(made),
            parts=operands_of(parts, 1),
        )  # fmt: skip
        made = [graph.emit(step)]
    return made[0]


RULES: dict[str, Rule] = {"hearth.embedding": _embedding}
