"""Rows of a packed matrix, by token."""

from __future__ import annotations

from typing import Any

from hearth.compiler.cpu.kernels.embedding import embedding
from hearth.compiler.cpu.selection import Rule, Selection, call, like, product, stride
from hearth.compiler.passes.rewrite import Graph, arguments, attribute
from hearth.compiler.work import Work


def _embedding(graph: Graph, value: Any, s: Selection) -> Any:
    ids, w = arguments(value)
    packed = s.parameters.packed[w.name]
    scale, columns = float(attribute(value, "scale")), int(value.ty.shape[-1])
    ld = stride(columns)
    kernel = s.use("", lambda isa: embedding(packed.fmt, scale))
    n = product(list(ids.ty.shape))  # integers lie without padding
    work = Work.of("embedding", n, columns, gathers=True)
    return call(kernel, [ids, w], like(value), n, [packed.blocks, ld], work=work)


RULES: dict[str, Rule] = {"hearth.embedding": _embedding}
