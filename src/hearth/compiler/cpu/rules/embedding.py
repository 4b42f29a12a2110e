"""Rows of a packed matrix, by token; and those that the caller gives instead."""

from __future__ import annotations

from typing import Any

from hearth.compiler.cpu.kernels.embedding import embedding
from hearth.compiler.cpu.kernels.gather import replace_rows
from hearth.compiler.cpu.rules.moves import copied
from hearth.compiler.cpu.selection import Rule, Selection
from hearth.compiler.passes.rewrite import Graph, arguments, attribute
from hearth.compiler.physical import call, like, product, rows, stride, width
from hearth.compiler.views import steps_of
from hearth.compiler.work import Work


def _embedding(graph: Graph, value: Any, s: Selection) -> Any:
    ids, w = arguments(value)
    packed = s.parameters.packed[w.name]
    scale, columns = float(attribute(value, "scale")), int(value.ty.shape[-1])
    ld = stride(columns)
    kernel = s.use("", lambda isa: embedding(packed.fmt, scale))
    n = product(list(ids.ty.shape))  # integers lie without padding
    work = Work.of("embedding", n, columns, gathers=True)
    return call(kernel, [ids, w], like(value), n, [packed.blocks, ld, packed.n], work=work)


def _replace_rows(graph: Graph, value: Any, s: Selection) -> Any:
    """In place, so that where nothing is given nothing is done."""
    x, given, places = arguments(value)
    if not graph.only_use(x):
        x = graph.emit(copied(x, 0, steps_of(x), value, s))
    kernel = s.use("", lambda isa: replace_rows())
    ld = stride(width(given))
    work = Work.of("embedding", rows(given), ld)
    return call(kernel, [given, places, x], like(value), rows(given), [ld], grain=8, work=work, in_place=True)


RULES: dict[str, Rule] = {"hearth.embedding": _embedding, "hearth.replace_rows": _replace_rows}
