"""Attention of every query to every key of its batch element: encoders, vision transformers, cross-attention.

softmax(scale q k^T + bias) v with f32 throughout. A unit is a tile of queries of one head and batch element, so that
small networks (3 heads, 197 tokens) still share evenly among threads. Arithmetic and order: `attention_tile.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tvm import tirx

from hearth.compiler.cpu.kernels.attention_tile import LANES, Adjust, Rows, Split, Tile, TileAttention
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, broadcast, i64, in_name
from hearth.compiler.cpu.targets import Isa

TILE_QUERIES = 32
"""Queries of a unit."""


@dataclass(frozen=True)
class DenseAttentionSpec:
    """Which attention.

    Attributes:
        head_dim: of queries, keys and values.
        scale: of the products of queries and keys.
        bias: added to scores: `keys` f32 [.][m], the same for all queries; `full` f32 [.][n][m].
    """

    head_dim: int
    scale: float
    bias: Literal["keys", "full"] | None = None

    @property
    def name(self) -> str:
        parts = ["dense_attention", f"d{self.head_dim}", in_name(self.scale)]
        return "_".join([*parts, *([f"bias_{self.bias}"] if self.bias else [])])

    def scratch_bytes(self) -> int:
        return 4 * TileAttention.scratch_floats(self.head_dim)


def dense_attention(isa: Isa, spec: DenseAttentionSpec) -> Kernel:
    """Buffers: Q f32 [batch][n][ldq]; K [batch][m][ldk]; V [batch][m][ldv] (each from its own first column on; they may
    be one buffer); [bias f32]; O f32 [batch][n][ldo].
    Scalars: n, m, heads, group (query heads of a KV head), ldq, ldk, ldv, ldo, off_q, off_k, off_v, [bias_batch,
    bias_head, bias_row: elements from one batch element, head or query to the next, 0 where all share].
    Units: batch * heads * ceil(n / TILE_QUERIES), tiles innermost."""
    k = Kernel(spec.name)
    q, keys, values = (k.buffer(name, "float32") for name in "QKV")
    bias = k.buffer("bias", "float32") if spec.bias else None
    out = k.buffer("O", "float32")
    n, m, heads, group, ldq, ldk, ldv, ldo, off_q, off_k, off_v = (
        k.scalar(name) for name in ("n", "m", "heads", "group", "ldq", "ldk", "ldv", "ldo", "off_q", "off_k", "off_v")
    )
    bias_batch, bias_head, bias_row = (
        k.scalar(name) if bias is not None else i64(0) for name in ("bias_batch", "bias_head", "bias_row")
    )
    memory = k.scratch("float32")
    core = TileAttention(k, isa, spec.head_dim, spec.scale, memory)
    tiles = k.opaque(tirx.floordiv(n + (TILE_QUERIES - 1), i64(TILE_QUERIES)), "tiles")
    with k.loop(k.begin, k.end) as unit:
        head = k.opaque(tirx.floormod(tirx.floordiv(unit, tiles), heads), "head")
        batch = k.opaque(tirx.floordiv(unit, tiles * heads), "batch")
        first = k.opaque(tirx.floormod(unit, tiles) * TILE_QUERIES, "first")
        column = k.opaque(head * spec.head_dim, "column")
        kv_column = k.opaque(tirx.floordiv(head, group) * spec.head_dim, "kv_column")
        q_at = k.opaque((batch * n + first) * ldq + off_q + column, "q_at")
        k_at = k.opaque(batch * m * ldk + off_k + kv_column, "k_at")
        v_at = k.opaque(batch * m * ldv + off_v + kv_column, "v_at")
        o_at = k.opaque((batch * n + first) * ldo + column, "o_at")
        bias_at = k.opaque(batch * bias_batch + head * bias_head + first * bias_row, "bias_at")
        bias_rows = Rows.strided(bias, bias_at, bias_row) if bias is not None else None
        tile = Tile(
            count=k.opaque(tirx.min(n - first, i64(TILE_QUERIES)), "count"),
            queries=Rows.strided(q, q_at, ldq),
            keys=Rows.strided(keys, k_at, ldk),
            values=Rows.strided(values, v_at, ldv),
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
