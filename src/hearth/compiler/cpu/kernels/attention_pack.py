"""Makes keys and values of attention bytes (`attention_layout.py`).

Every key and every value
has a scale of its own, its largest magnitude / 127. The scale of a value is multiplied into the weights of queries, so
scores get its logarithm (which of them is the largest then takes it into account), and totals its inverse:

    sum_j w_j v_j / sum_j w_j  =  sum_j (w_j s_j) int8_j / sum_j (w_j s_j) / s_j
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.attention_layout import (
    KEY_GROUP,
    LANES,
    QUAD,
    SPLIT_KEYS,
    WEIGHT_LEVELS,
    Packed,
    PackedLayout,
    Rows,
    splits_of,
)
from hearth.compiler.cpu.kernels.builder import (
    Expr,
    Kernel,
    Memory,
    bitcast,
    broadcast,
    cast,
    const,
    f32,
    fma,
    i64,
    load_pieces,
)
from hearth.compiler.cpu.targets import Isa

ROUNDING = 1.5 * 2.0**23
ROUNDED_ZERO = 0x4B400000
"""A small number plus `ROUNDING` is the nearest integer in the lowest bits; and the bits of 0 so treated."""
SMALLEST_SCALE = 1e-20
"""What the scale of a value is taken for at least, so that its logarithm is a number."""


@dataclass(frozen=True)
class AttentionPackSpec:
    """Packs keys and values of heads of this size, for `dense_attention` or for `ragged_attention` in int8."""

    head_dim: int
    ragged: bool = False

    @property
    def name(self) -> str:
        return f"attention_pack_{'ragged_' if self.ragged else ''}d{self.head_dim}"

    @property
    def layout(self) -> PackedLayout:
        return PackedLayout(self.head_dim)

    def scratch_bytes(self) -> int:
        return 4 * RowBytes.scratch_floats(self.layout)


def attention_pack(isa: Isa, spec: AttentionPackSpec) -> Kernel:
    """Buffers: K f32 [batch][m][ldk], V f32 [batch][m][ldv] (each from its own first column on; they may be one
    buffer), or when ragged K [n][ldk], V [n][ldv] and starts i32 as `ragged_attention` has them; P u8, blocks of
    `PackedLayout.block_bytes`.
    Scalars: [m], kv_heads, ldk, ldv, off_k, off_v.
    Units: batch * kv_heads * splits, splits = ceil(m / SPLIT_KEYS), P being [batch][kv_heads][splits]; when ragged
    sequences * kv_heads, P being [n / SPLIT_KEYS + sequences][kv_heads] with gaps (`ragged_blocks`)."""
    k = Kernel(spec.name)
    keys, values = k.buffer("K", "float32"), k.buffer("V", "float32")
    starts = k.buffer("starts", "int32") if spec.ragged else None
    out = k.buffer("P", "uint8")
    m = i64(0) if spec.ragged else k.scalar("m")
    kv_heads, ldk, ldv, off_k, off_v = (k.scalar(name) for name in ("kv_heads", "ldk", "ldv", "off_k", "off_v"))
    scratch = k.scratch("float32")

    def pack(row: Expr, head: Expr, start: Expr, stop: Expr, packed: Packed, at: Expr) -> None:
        """Keys [start, stop) of those whose first is in a row."""
        column = k.opaque(head * spec.head_dim, "column")
        k_rows = Rows.strided(keys, k.opaque(row * ldk + off_k + column, "k_at"), ldk)
        v_rows = Rows.strided(values, k.opaque(row * ldv + off_v + column, "v_at"), ldv)
        pack_split(k, isa, k_rows, v_rows, start, stop, packed, k.opaque(at, "at"), scratch)

    with k.loop(k.begin, k.end) as unit:
        if starts is None:
            splits = k.opaque(splits_of(m), "splits")
            start = k.opaque(tirx.floormod(unit, splits) * SPLIT_KEYS, "start")
            stop = k.opaque(tirx.min(start + SPLIT_KEYS, m), "stop")
            head = k.opaque(tirx.floordiv(unit, splits), "head")
            packed = Packed(k, out, i64(0), spec.layout)
            batch = tirx.floordiv(head, kv_heads)
            pack(batch * m, tirx.floormod(head, kv_heads), start, stop, packed, packed.at(unit))
        else:
            sequence = k.opaque(tirx.floordiv(unit, kv_heads), "sequence")
            head = k.opaque(tirx.floormod(unit, kv_heads), "head")
            first, end = (k.opaque(cast("int64", starts.load(sequence + i)), "first") for i in (0, 1))
            packed = ragged_blocks(k, out, spec.layout, first, sequence, head, kv_heads)
            with k.loop(0, splits_of(end - first)) as split:
                start = k.opaque(split * SPLIT_KEYS, "start")
                stop = k.opaque(tirx.min(start + SPLIT_KEYS, end - first), "stop")
                pack(first, head, start, stop, packed, packed.at(split))
    return k


def ragged_blocks(
    k: Kernel, memory: Memory, layout: PackedLayout, first: Expr, sequence: Expr, head: Expr, kv_heads: Expr
) -> Packed:
    """The blocks of a sequence that begins at token `first`: those before it have at most first / SPLIT_KEYS + sequence
    blocks, since each begins at most one that it does not fill."""
    slot = tirx.truncdiv(first, i64(SPLIT_KEYS)) + sequence
    stride = kv_heads * layout.block_bytes
    return Packed(k, memory, k.opaque(slot * stride + head * layout.block_bytes, "blocks"), layout, stride)


def pack_split(
    k: Kernel, isa: Isa, keys: Rows, values: Rows, start: Expr, stop: Expr, packed: Packed, at: Expr, scratch: Memory,
    scratch_at: int = 0,
) -> None:  # fmt: skip
    """Packs keys and values [start, stop) into the block that begins at byte `at`.

    Args:
        scratch: f32; `RowBytes.scratch_floats` of it are used, from `scratch_at` on.
    """
    layout = packed.layout
    floats = k.opaque(tirx.truncdiv(at, i64(4)), "floats")
    rows = RowBytes(k, scratch, scratch_at, layout)
    blocks = range(layout.columns // LANES)
    sums = [k.register("int32", LANES, const("int32", 0, LANES)) for _ in blocks]
    groups = k.opaque(tirx.truncdiv(stop - start + (KEY_GROUP - 1), i64(KEY_GROUP)), "groups")
    with k.loop(0, groups * (KEY_GROUP // LANES)) as vector:
        first = k.opaque(start + vector * LANES, "first")
        count = k.opaque(tirx.max(tirx.min(stop - first, i64(LANES)), i64(0)), "count")
        lanes = tirx.Ramp(const("int32", 0), const("int32", 1), LANES)
        real = lanes < broadcast(cast("int32", count), LANES)
        constants = k.opaque(floats + vector * LANES, "constants")

        scales = rows.read(keys, first, stop)
        k.store(packed.floats, constants + layout.key_scales // 4, scales)
        with k.loop(0, LANES) as i:
            to = k.opaque(at + (vector * LANES + i) * layout.dims, "to")
            for c, q in rows.rounded(i, 128 * isa.unsigned_activations):
                k.store(packed.bytes, to + c, cast("int8", q, LANES))

        scales = rows.read(values, first, stop, real)
        scales = k.let(tirx.max(f32(SMALLEST_SCALE, LANES), scales), "scales")  # in this order NaN stays
        inverses = tirx.Select(real, f32(WEIGHT_LEVELS, LANES) / scales, f32(0.0, LANES))
        k.store(packed.floats, constants + layout.value_inverses // 4, k.let(inverses, "inverses"))
        k.store(packed.floats, constants + layout.value_logs // 4, vmath.log2(k, scales, LANES))
        with k.loop(0, LANES // QUAD) as quad:
            each = [rows.rounded(quad * QUAD + u)[: len(blocks)] for u in range(QUAD)]
            for b, total in zip(blocks, sums, strict=True):
                word: Expr = None
                for u in range(QUAD):
                    q = each[u][b][1]
                    total.set(total.get() + q)
                    byte = tirx.bitwise_and(q, const("int32", 255, LANES)) if u < QUAD - 1 else q
                    byte = tirx.shift_left(byte, const("int32", 8 * u, LANES)) if u > 0 else byte
                    word = byte if word is None else tirx.bitwise_or(word, byte)
                to = tirx.truncdiv(at + layout.values + b * layout.value_block, i64(4))
                k.store(packed.words, to + (vector * (LANES // QUAD) + quad) * LANES, k.let(word, "word"))
    added = groups * (KEY_GROUP * ROUNDED_ZERO)  # by all rows, modulo 2**32
    for b, total in zip(blocks, sums, strict=True):
        value = total.get() - broadcast(cast("int32", added), LANES)
        k.store(packed.words, floats + layout.column_sums // 4 + b * LANES, k.let(value, "sums"))


class RowBytes:
    """Sixteen rows of a head on their way to bytes, with a scale each: largest magnitude / 127.

    Args:
        memory: scratch, f32; `scratch_floats` of it are used, from `at` on.
    """

    def __init__(self, k: Kernel, memory: Memory, at: int, layout: PackedLayout) -> None:
        self.k, self.memory, self.layout = k, memory, layout
        self.inverses, self.copy = at, at + LANES

    @staticmethod
    def scratch_floats(layout: PackedLayout) -> int:
        return LANES * (1 + (layout.dims if layout.head_dim < layout.dims else 0))

    def read(self, rows: Rows, first: Expr, stop: Expr, real: Expr | None = None) -> Expr:
        """Takes rows [first, first + 16); those from `stop` on repeat the last, or are zeros where not `real`. Answers
        their scales."""
        k, layout = self.k, self.layout
        self.rows, self.first, self.stop = rows, first, stop
        if layout.head_dim < layout.dims:
            with k.loop(0, LANES) as i:
                source, to = self._source(i), k.opaque(self.copy + i * layout.dims, "to")
                for d, lanes in load_pieces(layout.head_dim):
                    k.store(self.memory, to + d, rows.memory.load(source + d, lanes))
                for d, lanes in load_pieces(layout.dims - layout.head_dim):
                    k.store(self.memory, to + layout.head_dim + d, f32(0.0, lanes))
            self.rows, self.first, self.stop = Rows.strided(self.memory, i64(self.copy), i64(layout.dims)), i64(0), None
        largest = []
        for i in range(LANES):
            source, most = self._source(i64(i)), None
            for c in range(0, layout.dims, LANES):
                # Magnitudes compare as their bits do.
                bits = bitcast("int32", self.rows.memory.load(source + c, LANES), LANES)
                size = tirx.bitwise_and(bits, const("int32", 0x7FFFFFFF, LANES))
                most = k.let(size if most is None else tirx.max(most, size), "most")
            largest.append(most)
        columns = vmath.transpose(k, largest)
        while len(columns) > 1:
            halves = zip(columns[::2], columns[1::2], strict=True)
            columns = [k.let(tirx.max(a, b), "most") for a, b in halves]
        size = k.let(bitcast("float32", columns[0], LANES), "size")
        some = size > f32(1e-30, LANES)
        some = tirx.all(some, real) if real is not None else some
        inverse = tirx.Select(some, f32(127.0, LANES) / tirx.max(size, f32(1e-30, LANES)), f32(0.0, LANES))
        k.store(self.memory, self.inverses, k.let(inverse, "inverse"))
        return k.let(size * f32(1 / 127, LANES), "scales")

    def _source(self, i: Expr) -> Expr:
        at = self.first + i
        return self.k.opaque(self.rows.at(at if self.stop is None else tirx.min(at, self.stop - 1)), "source")

    def rounded(self, i: Expr, more: int = 0) -> list[tuple[int, Expr]]:
        """(first dimension, integers) of row i, int32 x 16 whose lowest 16 bits count, plus `more`: they are
        `ROUNDED_ZERO` above."""
        k, parts = self.k, []
        source = self._source(i)
        inverse = broadcast(self.memory.load(self.inverses + i), LANES)
        for c in range(0, self.layout.dims, LANES):
            x = fma(self.rows.memory.load(source + c, LANES), inverse, f32(ROUNDING + more, LANES), LANES)
            parts.append((c, k.let(bitcast("int32", x, LANES), "q")))
        return parts
