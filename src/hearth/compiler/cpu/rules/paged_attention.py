"""Attention of decoders: rotation and append to the pages, attention over them, and its partial results folded."""

from __future__ import annotations

from typing import Any

from tvm import relax

from hearth.compiler.cpu.kernels.attention import attention
from hearth.compiler.cpu.kernels.attention_fold import AttentionSpec, attention_merge, partial_width
from hearth.compiler.cpu.kernels.rope import RopeSpec, rope_append, rope_table
from hearth.compiler.cpu.selection import Rule, Selection
from hearth.compiler.paged_attention import AttentionOperands, Readying
from hearth.compiler.passes.rewrite import Graph, arguments, attribute, dtype_of
from hearth.compiler.physical import call, columns_of, stride, tensor
from hearth.compiler.rope_table import RopeTableSpec
from hearth.compiler.work import Work
from hearth.model.text.batch import SPLIT_TOKENS, TILE_TOKENS
from hearth.model.text.kv_cache import PAGE_TOKENS, key_group, padded_head


def _rope_table(graph: Graph, value: Any, s: Selection) -> Any:
    positions, inv_freq = arguments(value)
    n, half = positions.ty.shape[0], int(inv_freq.ty.shape[0])
    streams = tuple(int(stream) for stream in attribute(value, "streams"))
    columns = int(positions.ty.shape[1]) if streams else 1
    spec = RopeTableSpec(float(attribute(value, "attention_factor")), streams, columns)
    kernel = s.use("", lambda isa: rope_table(spec))
    tables, work = [tensor(n, half), tensor(n, half)], Work.of("rope_table", n, 3 * half)
    return call(kernel, [positions, inv_freq], tables, n, [half], grain=8, work=work)


def _paged_attention(graph: Graph, value: Any, s: Selection) -> Any:
    heads, kv_heads = int(attribute(value, "num_heads")), int(attribute(value, "num_kv_heads"))
    head_dim, window = int(attribute(value, "head_dim")), int(attribute(value, "window"))
    o = AttentionOperands.of(value)
    given = [x for x in (o.q, o.q_turned, o.k, o.v) if x is not None]
    sources, offsets, strides = zip(*(columns_of(graph, x) for x in given), strict=True)
    n, seq_stride = o.q.ty.shape[0], o.block_table.ty.shape[1]
    hp, kv_dtype, how = padded_head(head_dim), dtype_of(o.k_pages.ty), Readying.of(value)
    if how.latent:
        strides = (heads * stride(how.latent), *strides[1:])
        # Queries of one head of keys are computed in several groups, so that threads can share them.
        kv_heads = heads // _together(heads)
    group = heads // kv_heads

    dims = key_group(hp) if kv_dtype == "int8" else 0
    appends = len(given) > 1
    rope = RopeSpec(how, kv_dtype, dims, appends)
    half = int(o.tables[0].ty.shape[1]) if o.tables else 0
    append = s.use(rope.name, lambda isa: rope_append(rope), scratch_bytes=4 * hp)
    scalars = [*strides, *offsets, group, kv_heads, head_dim, hp, half, n, seq_stride, PAGE_TOKENS]
    # The pages are written by this step and read by the next; that the rotated q comes from here orders the two.
    places = [o.token_seq, o.block_table, *o.pages] if appends else []
    rotated = graph.emit(
        call(
            append,
            [*sources, *o.tables, *o.norms, o.positions, *places],
            tensor(kv_heads, n, group, hp), n * kv_heads, scalars, written=len(o.pages) if appends else 0,
            work=Work.of("rope", n, 3 * (heads + kv_heads * appends) * head_dim, appends=appends),
        )
    )  # fmt: skip
    softcap = float(attribute(value, "softcap")) or None
    also = {"ahead": bool(o.last_seen), "sinks": bool(o.sinks), "slopes": bool(o.slopes)}
    also["chunked"] = bool(attribute(value, "chunked"))
    spec = AttentionSpec(
        window or None, softcap, TILE_TOKENS, SPLIT_TOKENS, group, hp, kv_dtype, **also, latent=how.latent
    )  # fmt: skip
    value_dim = how.latent or head_dim
    kernel = s.use(spec.name, lambda isa: attention(isa, spec, PAGE_TOKENS), spec.scratch_bytes())
    merge = s.use(spec.merge_name, lambda isa: attention_merge(spec))
    ld = stride(heads * value_dim)
    out = tensor(n, ld)
    partials = tensor(s.symbols["merges"][1], kv_heads, group, partial_width(spec.columns))
    parts = graph.emit(
        call(
            kernel,
            [rotated, *o.pages, o.items, o.positions, *o.last_seen, o.block_table, *o.sinks, *o.slopes],
            [partials, out], o.items.ty.shape[0] * kv_heads, [kv_heads, value_dim, n, seq_stride, ld],
            # A product with the key, a product with the value.
            work=Work("attention", pair_operations=2 * heads * (head_dim + value_dim), window=window),
        )
    )  # fmt: skip
    left, done = (graph.emit(relax.TupleGetItem(parts, i)) for i in range(2))
    return call(
        merge,
        [left, o.merges, *o.sinks, done],
        out, o.merges.ty.shape[0] * kv_heads, [kv_heads, value_dim, ld], in_place=True,
        work=Work("attention_merge"),
    )  # fmt: skip


_MOST_TOGETHER = 8
"""Of queries that share what is read of one head of keys: that many use a processor's registers."""


def _together(heads: int) -> int:
    """Query heads of a group, where all share one head of keys."""
    return max(size for size in range(1, min(heads, _MOST_TOGETHER) + 1) if heads % size == 0)


RULES: dict[str, Rule] = {"hearth.rope_table": _rope_table, "hearth.paged_attention": _paged_attention}
