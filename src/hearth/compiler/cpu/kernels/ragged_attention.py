"""Attention within each of several sequences that stand one after another in a batch, without padding.

Encoders: all tokens of a sequence, or those at most `window` away (ModernBERT's local layers, EmbeddingGemma), or those
before; with a bias that depends on the distance alone (buckets of MPNet and T5 spelled out, ALiBi). A sequence alone
gives the same bits as `dense_attention`. Arithmetic and order: `attention_tile.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm import tirx

from hearth.compiler.cpu.kernels.attention_fold import MINUS_INFINITY
from hearth.compiler.cpu.kernels.attention_layout import LANES, SPLIT_KEYS, PackedLayout, Rows, column_scalars
from hearth.compiler.cpu.kernels.attention_pack import ragged_blocks
from hearth.compiler.cpu.kernels.attention_tile import MOST_ROWS, Adjust, Split, Tile, TileAttention
from hearth.compiler.cpu.kernels.attention_tile_int8 import TileAttentionInt8
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, broadcast, cast, const, f32, i64, in_name
from hearth.compiler.cpu.targets import Isa


@dataclass(frozen=True)
class RaggedAttentionSpec:
    """Which attention.

    Attributes:
        head_dim: of queries, keys and values.
        scale: of the products of queries and keys.
        tile_tokens: the most tokens of a tile.
        window: only keys at most this many tokens away; 0: all.
        causal: only keys up to the query's own token.
        distance_bias: adds element [head][min(max(j - i, -r), r) + r] of a table to the score of query i and key j.
        int8: products are of bytes: keys and values come from `attention_pack`. Only where a query sees all keys of its
            sequence.
    """

    head_dim: int
    scale: float
    tile_tokens: int
    window: int = 0
    causal: bool = False
    distance_bias: bool = False
    int8: bool = False

    def __post_init__(self) -> None:
        assert not (self.int8 and (self.window or self.causal)), "whole splits are multiplied"

    @property
    def name(self) -> str:
        parts = ["ragged_attention", f"d{self.head_dim}", in_name(self.scale), f"t{self.tile_tokens}"]
        parts += [f"w{self.window}"] if self.window else []
        parts += ["causal"] if self.causal else []
        parts += ["bias"] if self.distance_bias else []
        parts += ["int8"] if self.int8 else []
        return "_".join(parts)

    @property
    def tile(self) -> type[TileAttention]:
        return TileAttentionInt8 if self.int8 else TileAttention

    def scratch_bytes(self) -> int:
        distances = SPLIT_KEYS + MOST_ROWS if self.distance_bias else 0
        return 4 * (self.tile.scratch_floats(self.head_dim) + distances)


def ragged_attention(isa: Isa, spec: RaggedAttentionSpec) -> Kernel:
    """Buffers: Q f32 [n][ldq]; K [n][ldk], V [n][ldv] (each from its own first column on; they may be one buffer), or
    with `int8` P u8 as `attention_pack` makes it; starts i32 [sequences + 1]: where sequences begin, ascending, the
    last being n; tiles i32 [.][2]: sequence and first token; [table f32 [heads][ldt], of which 2 r + 1 columns count];
    O f32 [n][ldo].
    Scalars: tiles, sequences, group (query heads of a KV head), ldq, ldk, ldv, ldo, off_q, off_k, off_v (with `int8`
    those of K and V are left out, and kv_heads follows), [r, ldt].
    Units: tiles * heads, tiles innermost. A tile that lies outside of its sequence computes nothing."""
    k = Kernel(spec.name)
    q = k.buffer("Q", "float32")
    sources = [k.buffer("P", "uint8")] if spec.int8 else [k.buffer(name, "float32") for name in "KV"]
    starts, tiles = k.buffer("starts", "int32"), k.buffer("tiles", "int32")
    table = k.buffer("table", "float32") if spec.distance_bias else None
    out = k.buffer("O", "float32")
    num_tiles, sequences, group = (k.scalar(name) for name in ("tiles", "sequences", "group"))
    ldq, ldk, ldv, ldo, off_q, off_k, off_v = column_scalars(k, int8=spec.int8)
    kv_heads = k.scalar("kv_heads") if spec.int8 else i64(0)
    reach, ldt = (k.scalar(name) if table is not None else i64(0) for name in ("r", "ldt"))
    memory = k.scratch("float32")
    core = spec.tile(k, isa, spec.head_dim, spec.scale, memory)
    with k.loop(k.begin, k.end) as unit:
        head = k.opaque(tirx.floordiv(unit, num_tiles), "head")
        tile_at = k.opaque(tirx.floormod(unit, num_tiles) * 2, "tile")
        sequence = k.opaque(tirx.min(cast("int64", tiles.load(tile_at)), sequences - 1), "sequence")
        start = k.opaque(cast("int64", starts.load(sequence)), "start")
        end = k.opaque(cast("int64", starts.load(sequence + 1)), "end")
        first = k.opaque(tirx.max(cast("int64", tiles.load(tile_at + 1)), start), "first")
        count = k.opaque(tirx.max(tirx.min(end - first, i64(spec.tile_tokens)), i64(0)), "count")
        column = k.opaque(head * spec.head_dim, "column")
        kv_head = k.opaque(tirx.floordiv(head, group), "kv_head")
        position = k.opaque(first - start, "position")  # of the tile's first token in its sequence
        last_seen: Expr = end - start
        if spec.causal:
            last_seen = tirx.min(last_seen, position + count)
        elif spec.window:
            last_seen = tirx.min(last_seen, position + count + spec.window)
        first_seen = tirx.max(position - spec.window, i64(0)) if spec.window else i64(0)
        adjust: list[Adjust] = []
        if table is not None:
            row = k.opaque(head * ldt, "row")
            adjust.append(
                _DistanceBias(k, table, row, reach, position, memory, spec.tile.scratch_floats(spec.head_dim))
            )
        if spec.window or spec.causal:
            adjust.append(_Sight(k, position, spec.window, spec.causal))
        if spec.int8:
            layout = PackedLayout(spec.head_dim)
            seen: dict[str, Any] = {"packed": ragged_blocks(k, sources[0], layout, start, sequence, kv_head, kv_heads)}
        else:
            k_at = k.opaque(start * ldk + off_k + kv_head * spec.head_dim, "k_at")
            v_at = k.opaque(start * ldv + off_v + kv_head * spec.head_dim, "v_at")
            seen = {"keys": Rows.strided(sources[0], k_at, ldk), "values": Rows.strided(sources[1], v_at, ldv)}
        core.run(
            Tile(
                count=count,
                queries=Rows.strided(q, k.opaque(first * ldq + off_q + column, "q_at"), ldq),
                **seen,
                begin=k.opaque(first_seen, "begin"),
                end=k.opaque(last_seen, "stop"),
                out=Rows.strided(out, k.opaque(first * ldo + column, "o_at"), ldo),
                adjust=adjust,
            )
        )
    return k


@dataclass(frozen=True)
class _DistanceBias(Adjust):
    """Row `row` of the table, which is put in scratch backwards and with its ends repeated as far as a split needs
    them: the elements of neighbouring queries then follow each other."""

    k: Kernel
    table: Memory
    row: Expr
    reach: Expr
    position: Expr
    memory: Memory
    base: int

    def prepare(self, split: Split) -> None:
        k = self.k
        farthest = k.opaque(split.stop - 1 - self.position - split.first, "farthest")  # distance of the last key
        with k.loop(0, split.stop - split.start + split.vectors * LANES - 1) as i:
            distance = tirx.min(tirx.max(farthest - i, i64(0) - self.reach), self.reach)
            k.store(self.memory, self.base + i, self.table.load(self.row + self.reach + distance))

    def apply(self, split: Split, key: Expr, vector: int, scores: Expr) -> Expr:
        return scores + self.memory.load(self.base + (split.stop - 1 - key) + vector * LANES, LANES)


@dataclass(frozen=True)
class _Sight(Adjust):
    """Hides keys that are too far away, or later than the query."""

    k: Kernel
    position: Expr
    window: int
    causal: bool

    def apply(self, split: Split, key: Expr, vector: int, scores: Expr) -> Expr:
        lanes = tirx.Ramp(const("int32", 0), const("int32", 1), LANES)
        first = cast("int32", key - self.position - split.first - vector * LANES)
        distance = self.k.let(broadcast(first, LANES) - lanes, "distance")  # of the key from each query
        farthest = 0 if self.causal else self.window
        hidden = f32(MINUS_INFINITY, LANES)
        scores = tirx.Select(distance <= const("int32", farthest, LANES), scores, hidden)
        if self.window:
            scores = tirx.Select(distance >= const("int32", -self.window, LANES), scores, hidden)
        return scores
