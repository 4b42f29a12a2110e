"""Attention of every query to every key of its batch element: encoders, vision transformers, cross-attention.

softmax(scale q k^T + bias) v with f32 throughout. A unit is a tile of queries of one head and batch element, so that
small networks (3 heads, 197 tokens) still share evenly among threads. Arithmetic and order: `attention_tile.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from tvm import tirx

from hearth.compiler.cpu.kernels.attention_layout import LANES, Packed, PackedLayout, Rows, column_scalars, splits_of
from hearth.compiler.cpu.kernels.attention_tile import Adjust, Split, Tile, TileAttention
from hearth.compiler.cpu.kernels.attention_tile_int8 import TileAttentionInt8
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, broadcast, i64, in_name
from hearth.compiler.cpu.targets import Isa

TILE_QUERIES = 32
"""Queries of a unit."""
BiasKind = Literal["keys", "full"]


@dataclass(frozen=True)
class DenseAttentionSpec:
    """Which attention.

    Attributes:
        head_dim: of queries, keys and values.
        scale: of the products of queries and keys.
        bias: added to scores: `keys` f32 [.][m], the same for all queries; `full` f32 [.][n][m].
        int8: products are of bytes: keys and values come from `attention_pack`.
    """

    head_dim: int
    scale: float
    bias: BiasKind | None = None
    int8: bool = False

    @property
    def name(self) -> str:
        parts = ["dense_attention", f"d{self.head_dim}", in_name(self.scale)]
        parts += [f"bias_{self.bias}"] if self.bias else []
        return "_".join([*parts, *(["int8"] if self.int8 else [])])

    def scratch_bytes(self) -> int:
        tile = TileAttentionInt8 if self.int8 else TileAttention
        return 4 * tile.scratch_floats(self.head_dim)


def dense_attention(isa: Isa, spec: DenseAttentionSpec) -> Kernel:
    """Buffers: Q f32 [batch][n][ldq]; K [batch][m][ldk], V [batch][m][ldv] (each from its own first column on; they may
    be one buffer), or with `int8` P u8 as `attention_pack` makes it; [bias f32]; O f32 [batch][n][ldo].
    Scalars: n, m, heads, group (query heads of a KV head), ldq, ldk, ldv, ldo, off_q, off_k, off_v (with `int8` those
    of K and V are left out), [bias_batch, bias_head, bias_row: elements from one batch element, head or query to the
    next, 0 where all share].
    Units: batch * heads * ceil(n / TILE_QUERIES), tiles innermost."""
    k = Kernel(spec.name)
    q = k.buffer("Q", "float32")
    sources = [k.buffer("P", "uint8")] if spec.int8 else [k.buffer(name, "float32") for name in "KV"]
    bias = k.buffer("bias", "float32") if spec.bias else None
    out = k.buffer("O", "float32")
    n, m, heads, group = (k.scalar(name) for name in ("n", "m", "heads", "group"))
    ldq, ldk, ldv, ldo, off_q, off_k, off_v = column_scalars(k, int8=spec.int8)
    bias_batch, bias_head, bias_row = (
        k.scalar(name) if bias is not None else i64(0) for name in ("bias_batch", "bias_head", "bias_row")
    )
    memory = k.scratch("float32")
    core = (TileAttentionInt8 if spec.int8 else TileAttention)(k, isa, spec.head_dim, spec.scale, memory)
    tiles = k.opaque(tirx.floordiv(n + (TILE_QUERIES - 1), i64(TILE_QUERIES)), "tiles")
    with k.loop(k.begin, k.end) as unit:
        head = k.opaque(tirx.floormod(tirx.floordiv(unit, tiles), heads), "head")
        batch = k.opaque(tirx.floordiv(unit, tiles * heads), "batch")
        first = k.opaque(tirx.floormod(unit, tiles) * TILE_QUERIES, "first")
        column = k.opaque(head * spec.head_dim, "column")
        kv_head = k.opaque(tirx.floordiv(head, group), "kv_head")
        q_at = k.opaque((batch * n + first) * ldq + off_q + column, "q_at")
        o_at = k.opaque((batch * n + first) * ldo + column, "o_at")
        if spec.int8:
            layout = PackedLayout(spec.head_dim)
            block = (batch * tirx.floordiv(heads, group) + kv_head) * splits_of(m)
            packed = Packed(k, sources[0], k.opaque(block * layout.block_bytes, "packed"), layout)
            seen: dict[str, Any] = {"packed": packed}
        else:
            k_at = k.opaque(batch * m * ldk + off_k + kv_head * spec.head_dim, "k_at")
            v_at = k.opaque(batch * m * ldv + off_v + kv_head * spec.head_dim, "v_at")
            seen = {"keys": Rows.strided(sources[0], k_at, ldk), "values": Rows.strided(sources[1], v_at, ldv)}
        bias_at = k.opaque(batch * bias_batch + head * bias_head + first * bias_row, "bias_at")
        bias_rows = Rows.strided(bias, bias_at, bias_row) if bias is not None else None
        tile = Tile(
            count=k.opaque(tirx.min(n - first, i64(TILE_QUERIES)), "count"),
            queries=Rows.strided(q, q_at, ldq),
            **seen,
            begin=i64(0),
            end=m,
            out=Rows.strided(out, o_at, ldo),
            bias=bias_rows if spec.bias == "full" else None,
            adjust=[_KeyBias(bias_rows)] if bias_rows is not None and spec.bias == "keys" else [],
        )
        core.run(tile)
    return k


@dataclass(frozen=True)
class _KeyBias(Adjust):
    """One number for each key, the same for all queries."""

    bias: Rows

    def apply(self, split: Split, key: Expr, vector: int, scores: Expr) -> Expr:
        return scores + broadcast(self.bias.memory.load(self.bias.at(i64(0)) + key), LANES)
