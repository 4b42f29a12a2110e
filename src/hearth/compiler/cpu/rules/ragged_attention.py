"""Attention within each of several sequences that stand one after another."""

from __future__ import annotations

from typing import Any

from hearth.compiler.cpu.kernels.ragged_attention import RaggedAttentionSpec, ragged_attention
from hearth.compiler.cpu.selection import Rule, Selection
from hearth.compiler.passes.rewrite import Graph, arguments, attribute
from hearth.compiler.physical import call, columns_of, stride, tensor, width
from hearth.compiler.work import Work
from hearth.model.encoder.batch import TILE_TOKENS


def _ragged_attention(graph: Graph, value: Any, s: Selection) -> Any:
    q, k, v, starts, tiles, *tables = arguments(value)
    heads, kv_heads = int(attribute(value, "num_heads")), int(attribute(value, "num_kv_heads"))
    head_dim, window = width(q) // heads, int(attribute(value, "window"))
    spec = RaggedAttentionSpec(
        head_dim,
        float(attribute(value, "scale")),
        TILE_TOKENS,
        window=window,
        causal=bool(attribute(value, "causal")),
        distance_bias=bool(tables),
    )
    kernel = s.use(spec.name, lambda isa: ragged_attention(isa, spec), spec.scratch_bytes())
    sources, offsets, strides = zip(*(columns_of(graph, x) for x in (q, k, v)), strict=True)
    ld, count = stride(heads * head_dim), tiles.ty.shape[0]
    scalars = [count, starts.ty.shape[0] - 1, heads // kv_heads, *strides, ld, *offsets]
    if tables:
        scalars += [width(tables[0]) // 2, stride(width(tables[0]))]
    # A product with the key, a product with the value, of as many tokens as a sequence has: what that is, is not known.
    work = Work.of("attention", q.ty.shape[0], 4 * heads * head_dim * (2 * window + 1 if window else 1))
    return call(
        kernel, [*sources, starts, tiles, *tables], tensor(q.ty.shape[0], ld), count * heads, scalars, work=work
    )


RULES: dict[str, Rule] = {"hearth.ragged_attention": _ragged_attention}
