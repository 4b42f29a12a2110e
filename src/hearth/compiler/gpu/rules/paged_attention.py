"""Attention of decoders: heads made ready and appended to the pages, attention over them, partial results folded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm import relax, tirx

from hearth.compiler.gpu.batches import ATTENTION
from hearth.compiler.gpu.features import MAX_STORAGE_BUFFERS
from hearth.compiler.gpu.kernels.append import (
    HEADS,
    AppendSpec,
    Heads,
    append,
)
from hearth.compiler.gpu.kernels.attention import (
    FEW_TOKENS,
    NO_WINDOW,
    AttentionSpec,
    attention_merge,
    merge_name,
    partial_width,
    query_width,
)
from hearth.compiler.gpu.kernels.attention_decode import decode_name, decode_parts, decode_variants
from hearth.compiler.gpu.kernels.attention_tile import tile_name, tile_parts, tile_variants
from hearth.compiler.gpu.kernels.tokens import PLACE_FIELDS, TokenTablesSpec, token_tables
from hearth.compiler.gpu.kernels.tokens import THREADS as TABLE_THREADS
from hearth.compiler.gpu.selection import GpuSelection, Rule, ceil_div, more_than
from hearth.compiler.paged_attention import AttentionOperands, Readying
from hearth.compiler.passes.rewrite import Graph, arguments, attribute, dtype_of, is_op
from hearth.compiler.physical import call, columns_of, stride, tensor
from hearth.compiler.rope_table import RopeTableSpec
from hearth.compiler.work import Work
from hearth.model.text.batch import LONGEST_TILE, SPLIT_TOKENS
from hearth.model.text.kv_cache import padded_head


@dataclass(frozen=True)
class _Rotation:
    """Where a table of rotations lies: columns `at` on of `table`, f32 [t][ld], half of them cos, then sin."""

    table: Any
    ld: int
    at: int
    half: int


def make_tables(graph: Graph, s: GpuSelection) -> None:
    """Notes where the tokens of a batch lie and by how much they turn, which all layers read: one step, and one more
    for tables of which it has no room."""
    value = next((value for _, value in graph.bindings if is_op(value, ATTENTION)), None)
    if value is None:
        return
    ropes = [value for _, value in graph.bindings if is_op(value, "hearth.rope_table")]
    first, o = True, AttentionOperands.of(value)
    while first or ropes:
        count = len(ropes)
        while not (spec := _tables_spec(ropes[:count], places=first, ahead=bool(o.last_seen))).fits:
            count -= 1
        _make_tables(graph, spec, ropes[:count], o, s)
        first, ropes = False, ropes[count:]


def _tables_spec(ropes: list[Any], *, places: bool, ahead: bool) -> TokenTablesSpec:
    specs = []
    for value in ropes:
        positions, _ = arguments(value)
        streams = tuple(int(stream) for stream in attribute(value, "streams"))
        columns = int(positions.ty.shape[1]) if streams else 1
        specs.append(RopeTableSpec(float(attribute(value, "attention_factor")), streams, columns))
    return TokenTablesSpec(tuple(specs), places, ahead)


def _make_tables(graph: Graph, spec: TokenTablesSpec, ropes: list[Any], o: AttentionOperands, s: GpuSelection) -> None:
    tokens = o.positions.ty.shape[0]
    halves = [int(arguments(value)[1].ty.shape[0]) for value in ropes]
    pairs = max(sum(halves), 1)
    operands = [o.positions, o.token_seq, o.block_table, *o.last_seen] if spec.places else []
    if spec.streams or not spec.places:
        operands.append(arguments(ropes[0])[0])
    operands += [arguments(value)[1] for value in ropes]
    types = [tensor(tokens, PLACE_FIELDS, dtype="int32")] if spec.places else []
    types += [tensor(tokens, pairs, 2)] if ropes else []
    several = len(types) > 1
    kernel = s.use(spec.name, lambda: [token_tables(spec)])
    scalars, units = [tokens, o.block_table.ty.shape[1], *halves], ceil_div(tokens * pairs, TABLE_THREADS)
    work = Work.of("token_tables", tokens, 3 * pairs)
    made = graph.emit(call(kernel, operands, types if several else types[0], units, scalars, work=work))
    results = [graph.emit(relax.TupleGetItem(made, i)) for i in range(len(types))] if several else [made]
    if spec.places:
        s.kept["places", graph] = results[0]
    for i, value in enumerate(ropes):
        rotation = _Rotation(results[-1], 2 * pairs, 2 * sum(halves[:i]), halves[i])
        s.kept["rotation", graph, *arguments(value)] = rotation


def _rope_table(graph: Graph, value: Any, s: GpuSelection) -> Any:
    """What attention reads of it, `_append` finds by the operation."""
    table = s.kept["rotation", graph, *arguments(value)].table
    return relax.Tuple([table, table])


def _rotation(graph: Graph, o: AttentionOperands, s: GpuSelection) -> _Rotation | None:
    """Of a layer that has one."""
    if not o.tables:
        return None
    made = graph.value(graph.value(o.tables[0]).tuple_value)
    found: _Rotation = s.kept["rotation", graph, *arguments(made)]
    return found


def _append(graph: Graph, value: Any, o: AttentionOperands, s: GpuSelection) -> tuple[Any, ...]:
    """The rotated queries, and the pages, to which keys and values are appended: by one step where one product has left
    all of them."""
    heads, kv_heads = int(attribute(value, "num_heads")), int(attribute(value, "num_kv_heads"))
    head_dim, tokens = int(attribute(value, "head_dim")), o.q.ty.shape[0]
    hp, places, rotation = padded_head(head_dim), s.kept["places", graph], _rotation(graph, o, s)
    table = [] if rotation is None else [rotation.table]
    turns = [0, 0, 0] if rotation is None else [rotation.half, rotation.ld, rotation.at]
    q, off_q, ldq = columns_of(graph, o.q)
    rotated = tensor(kv_heads, tokens, heads // kv_heads, query_width(hp, more=bool(o.sinks or o.slopes)))

    how = Readying.of(value)

    def step(which: Heads, operands: list[Any], out: Any, columns: list[int], **also: Any) -> Any:
        spec = AppendSpec(
            which,
            hp,
            how=how,
            kv_dtype=dtype_of(o.k_pages.ty),  # type: ignore[arg-type]
            sinks=bool(o.sinks) and which != "kv",
            slopes=bool(o.slopes) and which != "kv",
        )
        count = (heads if which != "kv" else 0) + (len(o.pages) * kv_heads if which != "q" else 0)
        scalars = [tokens, heads, kv_heads, head_dim, *turns, *columns]
        work = Work.of("rope", tokens, 3 * count * head_dim, appends=which != "q")
        kernel = s.use(spec.name, lambda: [append(spec)])
        return graph.emit(call(kernel, operands, out, ceil_div(tokens * count, HEADS), scalars, work=work, **also))

    pages = o.pages

    def queries() -> Any:
        about = [*o.norms[: how.normed.count("q")], *o.sinks, *o.slopes, *([places] if how.temperature else [])]
        if not how.latent:
            return step("q", [q, *table, *about], rotated, [ldq, 0, off_q, 0, 0])
        turned, off, ld = columns_of(graph, o.q_turned)
        return step("q", [q, turned, *table, *about], rotated, [heads * stride(how.latent), ld, off_q, 0, off])

    if o.k is None:
        return queries(), *pages
    k, off_k, ldk = columns_of(graph, o.k)
    if how.latent:
        operands, columns = [k, *table, *o.norms, places, *pages], [ldk, 0, 0, off_k, 0]
        appended = step("kv", operands, pages[0].ty, columns, in_place=True)
        return queries(), appended
    v, off_v, ldv = columns_of(graph, o.v)
    operands = [q, *table, *o.norms, *o.sinks, *o.slopes, places, *pages]
    if q.same_as(k) and k.same_as(v) and len(operands) < MAX_STORAGE_BUFFERS:
        made = step("qkv", operands, rotated, [ldq, ldq, off_q, off_k, off_v], written=2)
        return made, *pages
    # What reads these pages afterwards comes behind the step: they are its results.
    types = [page.ty for page in pages]
    operands = [k, v, *table, *o.norms[1:], places, *pages]
    appended = step("kv", operands, types, [ldk, ldv, 0, off_k, off_v], in_place=True)
    return queries(), *(graph.emit(relax.TupleGetItem(appended, i)) for i in range(2))


def _paged_attention(graph: Graph, value: Any, s: GpuSelection) -> Any:
    o = AttentionOperands.of(value)
    heads, kv_heads = int(attribute(value, "num_heads")), int(attribute(value, "num_kv_heads"))
    head_dim, window = int(attribute(value, "head_dim")), int(attribute(value, "window"))
    n, group, hp = o.q.ty.shape[0], heads // kv_heads, padded_head(head_dim)
    softcap = float(attribute(value, "softcap")) or None
    sinks, slopes, kv_dtype = bool(o.sinks), bool(o.slopes), dtype_of(o.k_pages.ty)
    latent = Readying.of(value).latent
    spec = AttentionSpec(
        group, hp, kv_dtype, SPLIT_TOKENS, softcap, sinks, slopes, bool(attribute(value, "chunked")), latent  # type: ignore[arg-type]
    )  # fmt: skip
    value_dim = latent or head_dim
    ld = stride(heads * value_dim)
    operands = [*_append(graph, value, o, s), o.items, s.kept["places", graph], o.block_table]
    scalars = [kv_heads, value_dim, n, o.block_table.ty.shape[1], ld, window or NO_WINDOW]
    results = [tensor(s.symbols["merges"][1], kv_heads, group, partial_width(spec.columns)), tensor(n, ld)]
    # A product with the key, a product with the value.
    work = Work("attention", pair_operations=2 * heads * (head_dim + value_dim), window=window)
    items, longest = o.items.ty.shape[0] * kv_heads, tirx.Var(LONGEST_TILE, "int64")
    each = tirx.min(longest, tirx.IntImm("int64", FEW_TOKENS)) * decode_parts(spec)
    kernel = s.use(decode_name(spec), lambda: decode_variants(spec))
    parts = graph.emit(call(kernel, operands, results, items * each, [*scalars, each], work=work))
    tile_tokens = s.symbols["tile_tokens"][1]
    each = tile_parts(spec, tile_tokens)
    units = items * each * more_than(longest, FEW_TOKENS)
    kernel, scalars = s.use(tile_name(spec, tile_tokens), lambda: tile_variants(spec, tile_tokens)), [*scalars, each]
    operands += [graph.emit(relax.TupleGetItem(parts, i)) for i in range(2)]
    parts = graph.emit(call(kernel, operands, results, units, scalars, in_place=True, work=Work("attention")))
    left, done = (graph.emit(relax.TupleGetItem(parts, i)) for i in range(2))
    name = merge_name(group, spec.columns, sinks=sinks)
    kernel = s.use(name, lambda: [attention_merge(group, spec.columns, sinks=sinks)])
    return call(
        kernel, [left, o.merges, *o.sinks, done], tensor(n, ld), o.merges.ty.shape[0] * kv_heads,
        [kv_heads, value_dim, ld], in_place=True, work=Work("attention_merge"),
    )  # fmt: skip


RULES: dict[str, Rule] = {"hearth.rope_table": _rope_table, ATTENTION: _paged_attention}
