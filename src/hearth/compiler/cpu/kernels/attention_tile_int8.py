"""The tile of `attention_tile.py` with products of bytes: queries, keys and values with a scale for each row.

Scores are to the base 2, since weights become 8-bit integers anyway: the largest of a query is `WEIGHT_LEVELS`, and
2^x needs few terms. Totals are of the weights before rounding, so what rounding takes from many small weights is taken
from their values' sum only. All else is as there: order, splits, rescaling, and that bits depend on a row alone.
"""

from __future__ import annotations

from tvm import tirx

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.attention_fold import MINUS_INFINITY, UNSEEN
from hearth.compiler.cpu.kernels.attention_layout import (
    LANES,
    QUAD,
    SPLIT_KEYS,
    WEIGHT_LEVELS,
    Packed,
    PackedLayout,
    Rows,
)
from hearth.compiler.cpu.kernels.attention_pack import ROUNDED_ZERO, ROUNDING, RowBytes
from hearth.compiler.cpu.kernels.attention_tile import MOST_ROWS, Split, Tile, TileAttention, in_blocks
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, bitcast, broadcast, cast, const, f32, fma, i64
from hearth.compiler.cpu.kernels.tiles import Operands, quad_multiple
from hearth.compiler.cpu.kernels.tiles import tile as compute
from hearth.compiler.cpu.targets import Isa
from hearth.quant.formats import round_up

LOG2_E = 1.4426950408889634


class TileAttentionInt8(TileAttention):
    """Generates the code for tiles of one head size.

    Args:
        memory: scratch, f32; `scratch_floats` of it are used.
    """

    def __init__(self, k: Kernel, isa: Isa, head_dim: int, scale: float, memory: Memory) -> None:
        super().__init__(k, isa, head_dim, scale, memory)
        self.layout = PackedLayout(head_dim)
        self.row_width = self.layout.columns
        self.bytes, self.words = k.view(memory, "int8"), k.view(memory, "int32")
        words = self.layout.dims // 4  # of a row of bytes
        self.turned = 0  # int8 [vector][quad][16 queries][4]
        self.scores = self.turned + MOST_ROWS * words
        self.weights = self.scores + MOST_ROWS * SPLIT_KEYS  # int32 [quad of keys][query]
        self.sums = self.weights + MOST_ROWS * SPLIT_KEYS // QUAD
        self.peak = self.sums + MOST_ROWS * self.row_width
        self.total, self.rescale = self.peak + MOST_ROWS, self.peak + 2 * MOST_ROWS
        self.query_scales, self.query_starts = self.peak + 3 * MOST_ROWS, self.peak + 4 * MOST_ROWS
        self.parts = self.peak + 5 * MOST_ROWS  # of sums over 16 queries' bytes
        self.rows = self.parts + LANES * LANES  # 16 queries' bytes, and a vector beyond
        self.row_scratch = self.rows + LANES * (words + 1)

    @staticmethod
    def scratch_floats(head_dim: int) -> int:
        layout = PackedLayout(head_dim)
        rows = MOST_ROWS * (layout.dims // 4 + SPLIT_KEYS + SPLIT_KEYS // QUAD + layout.columns + 5)
        return rows + LANES * (LANES + layout.dims // 4 + 1) + RowBytes.scratch_floats(layout)

    def most_vectors(self) -> int:
        return min(MOST_ROWS // LANES, self.isa.tile[1])

    def _turn(self, queries: Rows, first: Expr, count: Expr, vectors: int) -> None:
        """Queries become bytes and lie by quads of dimensions."""
        k, words = self.k, self.layout.dims // 4
        rows = RowBytes(k, self.memory, self.row_scratch, self.layout)
        with k.loop(0, vectors) as v:
            start = k.opaque(first + v * LANES, "start")
            scales = rows.read(queries, start, first + count)
            at = k.opaque(v * LANES, "at")
            k.store(self.memory, self.query_scales + at, scales * f32(self.scale * LOG2_E, LANES))
            with k.loop(0, LANES) as i:
                total: Expr = const("int32", _as_int32(-ROUNDED_ZERO * (self.layout.dims // LANES)), LANES)
                for c, q in rows.rounded(i):
                    total = k.let(total + q, "total")
                    k.store(self.bytes, 4 * self.rows + i * self.layout.dims + c, cast("int8", q, LANES))
                k.store(self.words, self.parts + i * LANES, total)
            sums = vmath.transpose(k, [self.words.load(self.parts + i * LANES, LANES) for i in range(LANES)])
            while len(sums) > 1:
                sums = [k.let(a + b, "sum") for a, b in zip(sums[::2], sums[1::2], strict=True)]
            k.store(self.words, self.query_starts + at, k.let(sums[0] * const("int32", -128, LANES), "start"))
            for c in range(0, words, LANES):
                quads = [self.words.load(self.rows + i * words + c, LANES) for i in range(LANES)]
                for quad, column in enumerate(vmath.transpose(k, quads)[: words - c]):
                    k.store(self.words, self.turned + v * (words * LANES) + (c + quad) * LANES, column)

    def _score(self, tile: Tile, split: Split) -> None:
        k, isa, memory, layout = self.k, self.isa, self.memory, self.layout
        packed = _packed(tile)
        lanes, parts = isa.rows, range(0, LANES, isa.rows)
        base = k.opaque(packed.at(tirx.truncdiv(split.start, i64(SPLIT_KEYS))), "base")
        floats = k.opaque(tirx.truncdiv(base, i64(4)), "floats")
        places = [(v, part) for v in range(split.vectors) for part in parts]
        scales = {p: k.let(memory.load(self.query_scales + p[0] * LANES + p[1], lanes), "scales") for p in places}
        peaks = {p: k.register("float32", lanes, memory.load(self.peak + p[0] * LANES + p[1], lanes)) for p in places}
        biased = self._prefill(tile, split)

        def take(key: Expr, keys: int) -> None:
            local = k.opaque(key - split.start, "local")
            constants = k.opaque(floats + local, "constants")

            def score(j: int, vector: int, lane: int, sums: Expr) -> None:
                key_scale, value_log = (
                    broadcast(packed.floats.load(constants + start // 4 + j), lanes)
                    for start in (layout.key_scales, layout.value_logs)
                )
                at = k.let(self.score_at(split, key + j) + vector * LANES + lane, "at")
                factor = scales[vector, lane] * key_scale
                value = k.let(fma(cast("float32", sums, lanes), factor, value_log, lanes), "score")
                if biased:
                    value = k.let(fma(memory.load(at, lanes), f32(LOG2_E, lanes), value, lanes), "score")
                k.store(memory, at, value)
                peaks[vector, lane].set(tirx.max(peaks[vector, lane].get(), value))

            def start(vector: int, lane: int, lanes: int) -> Expr:
                return self.words.load(self.query_starts + vector * LANES + lane, lanes)

            operands = Operands(
                activations=packed.words,
                word=k.opaque(floats + local * (layout.dims // 4), "word"),
                quads=i64(round_up(-(-self.head_dim // QUAD), quad_multiple(isa))),
                weights=self.bytes,
                blocks=[i64(4 * self.turned + v * LANES * layout.dims) for v in range(split.vectors)],
                starts=start if isa.unsigned_activations else None,
                sums=self.words,
                ahead=_nothing,
                keep=score,
                row_stride=i64(layout.dims // QUAD),
            )
            compute(isa, k, keys, operands)

        in_blocks(k, split.start, split.stop, _rows(isa), take)
        for (v, part), peak in peaks.items():
            at = v * LANES + part
            before = k.let(memory.load(self.peak + at, lanes), "before")
            k.store(memory, self.rescale + at, vmath.exp2_short(k, before - peak.get(), lanes))
            k.store(memory, self.peak + at, peak.get())

    def _prefill(self, tile: Tile, split: Split) -> bool:
        """Puts what is added to scores where they will stand; whether there is anything."""
        k, memory = self.k, self.memory
        if not tile.adjust:
            return tile.bias is not None
        with k.loop(split.start, split.stop) as key:
            for v in range(split.vectors):
                at = k.let(self.score_at(split, key) + v * LANES, "at")
                value = memory.load(at, LANES) if tile.bias is not None else f32(0.0, LANES)
                for adjust in tile.adjust:
                    value = k.let(adjust.apply(split, key, v, value), "value")
                k.store(memory, at, k.let(value, "value"))
        return True

    def _weigh(self, tile: Tile, split: Split) -> None:
        """Scores become integers, four keys in a word."""
        k, memory = self.k, self.memory
        packed = _packed(tile)
        base = packed.at(tirx.truncdiv(split.start, i64(SPLIT_KEYS)))
        inverses = k.opaque(tirx.truncdiv(base + self.layout.value_inverses, i64(4)), "inverses")
        count = k.opaque(split.stop - split.start, "count")
        quads = k.opaque(tirx.truncdiv(count + (QUAD - 1), i64(QUAD)), "quads")
        with k.loop(count, quads * QUAD) as key:  # these have no weight
            for v in range(split.vectors):
                at = self.scores + key * (split.vectors * LANES) + v * LANES
                k.store(memory, at, f32(MINUS_INFINITY, LANES))
        for v in range(split.vectors):
            peak = k.let(tirx.max(memory.load(self.peak + v * LANES, LANES), f32(UNSEEN, LANES)), "peak")
            total = k.register("float32", LANES, f32(0.0, LANES))
            # Unsigned where the instruction takes unsigned bytes, else 127 below.
            zero = ROUNDING - (0 if self.isa.unsigned_activations else WEIGHT_LEVELS // 2)
            with k.loop(0, quads) as quad:
                word: Expr = None
                for u in range(QUAD):
                    key = quad * QUAD + u
                    score = memory.load(self.scores + key * (split.vectors * LANES) + v * LANES, LANES)
                    weight = vmath.exp2_short(k, k.let(score - peak, "x"), LANES)
                    inverse = broadcast(packed.floats.load(inverses + key), LANES)
                    total.set(fma(weight, inverse, total.get(), LANES))
                    integer = bitcast("int32", fma(weight, f32(WEIGHT_LEVELS, LANES), f32(zero, LANES), LANES), LANES)
                    byte = tirx.bitwise_and(integer, const("int32", 255, LANES)) if u < QUAD - 1 else integer
                    byte = tirx.shift_left(byte, const("int32", 8 * u, LANES)) if u > 0 else byte
                    word = k.let(byte if word is None else tirx.bitwise_or(word, byte), "word")
                k.store(self.words, self.weights + quad * (split.vectors * LANES) + v * LANES, word)
            at = self.total + v * LANES
            old = k.let(memory.load(self.rescale + v * LANES, LANES), "old")
            k.store(memory, at, fma(memory.load(at, LANES), old, total.get(), LANES))

    def _add_values(self, tile: Tile, count: Expr, split: Split) -> None:
        k, isa, memory, layout = self.k, self.isa, self.memory, self.layout
        packed = _packed(tile)
        base = k.opaque(packed.at(tirx.truncdiv(split.start, i64(SPLIT_KEYS))), "base")
        multiple = quad_multiple(isa)
        keys = split.stop - split.start + (QUAD * multiple - 1)
        quads = k.opaque(tirx.truncdiv(keys, i64(QUAD * multiple)) * multiple, "quads")
        rows = 1 << (_rows(isa).bit_length() - 1)
        blocks = list(range(0, layout.columns, LANES))
        for some in range(0, len(blocks), isa.tile[1]):
            columns = blocks[some : some + isa.tile[1]]

            def take(r: Expr, columns: list[int] = columns) -> None:
                def add(row: int, block: int, lane: int, sums: Expr) -> None:
                    column = columns[block] + lane
                    if not isa.unsigned_activations:
                        at = tirx.truncdiv(base + layout.column_sums, i64(4)) + column
                        missing = packed.words.load(at, isa.rows) * const("int32", WEIGHT_LEVELS // 2, isa.rows)
                        sums = sums + missing
                    old = broadcast(memory.load(self.rescale + r + row), isa.rows)
                    at = k.let(self.sums + (r + row) * self.row_width + column, "at")
                    value = fma(memory.load(at, isa.rows), old, cast("float32", sums, isa.rows), isa.rows)
                    k.store(memory, at, k.let(value, "sum"))

                operands = Operands(
                    activations=self.words,
                    word=k.opaque(self.weights + r, "word"),
                    quads=quads,
                    weights=packed.bytes,
                    blocks=[
                        k.opaque(base + layout.values + column // LANES * layout.value_block, "block")
                        for column in columns
                    ],
                    starts=None,
                    sums=self.words,
                    ahead=_nothing,
                    keep=add,
                    row_stride=i64(1),
                    quad_stride=i64(split.vectors * LANES),
                )
                compute(isa, k, rows, operands)

            with k.loop(0, tirx.truncdiv(count + (rows - 1), i64(rows))) as group:
                take(k.opaque(group * rows, "r"))


def _nothing(quad: Expr, quads: int) -> None:
    """All that is multiplied is in the first two caches."""


def _rows(isa: Isa) -> int:
    """Keys, or queries, whose sums are held at once: a matrix unit's tile is more than vectors have registers for."""
    return min(isa.tile[0], 8)


def _as_int32(value: int) -> int:
    """Modulo 2**32."""
    return (value + 2**31) % 2**32 - 2**31


def _packed(tile: Tile) -> Packed:
    assert tile.packed is not None
    return tile.packed
