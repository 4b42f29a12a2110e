"""Attention over pages of items with many tokens: keys and values are read once for all rows of a tile.

A workgroup has up to 64 rows (a token's query head each), which lie next to each other in Q. It goes through a split 32
keys at a time: scores are a product whose operands are staged in workgroup memory some dimensions at a time, weights
stay there for the product with the values, staged some tokens at a time. Invocations form a grid; each has four rows
and every so many keys, then dimensions. Tiles of keys begin at multiples of 32, so a row's sums are the same whatever
other rows there are.

A shader with 16-bit floats stages these, twice as many at once; it multiplies and adds in 32 bits all the same, since
products of queries and keys do not always fit 16.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tvm import tirx

from hearth.compiler.gpu.features import CORE, MAX_INVOCATIONS, Features
from hearth.compiler.gpu.kernels.attention import (
    FEW_TOKENS,
    HIDDEN,
    UNSEEN,
    Attention,
    AttentionSpec,
    Fold,
    partial_place,
    stats,
    store_columns,
)
from hearth.compiler.gpu.kernels.builder import (
    Expr,
    GpuKernel,
    Memory,
    builtin,
    cast,
    div,
    dot,
    f32,
    fma,
    i32,
    lane,
    mod,
    splat,
    vector,
)
from hearth.compiler.gpu.kernels.pages import Pages
from hearth.model.text.kv_cache import PAGE_TOKENS
from hearth.quant.formats import round_up

KEYS = 32
"""Of a tile."""
ROWS = 4
"""Of an invocation: one vector."""
MOST_ROWS = 64
"""Of a workgroup."""
_STAGED_BYTES = 4096
"""Of keys or values that are staged at once."""


@dataclass(frozen=True)
class _Shape:
    """The grid of a workgroup.

    Attributes:
        rows: of a workgroup.
        parts: workgroups that share the rows of an item.
        across: invocations that share rows: keys and dimensions are divided among them.
        staged: type of staged numbers.
    """

    spec: AttentionSpec
    rows: int
    parts: int
    across: int
    staged: Literal["float32", "float16"]

    @property
    def down(self) -> int:
        return self.rows // ROWS

    @property
    def threads(self) -> int:
        return self.down * self.across

    @property
    def keys_each(self) -> int:
        return KEYS // self.across

    @property
    def quads_each(self) -> int:
        return -(-self.spec.value_quads // self.across)

    @property
    def right(self) -> int:
        """Quads of keys or values that are staged at once."""
        return _STAGED_BYTES // (16 if self.staged == "float32" else 8)

    @property
    def staged_quads(self) -> int:
        """Of each query and key."""
        return math.gcd(self.spec.quads, self.right // KEYS)

    @property
    def staged_tokens(self) -> int:
        """Of values."""
        return min(KEYS, 1 << (self.right // self.spec.value_quads).bit_length() - 1)


def _shape(spec: AttentionSpec, tile_tokens: int, features: Features = CORE) -> _Shape:
    across = 16 if spec.hp <= 128 else 32
    total = tile_tokens * spec.group
    parts = -(-total // min(MOST_ROWS, ROWS * MAX_INVOCATIONS // across))
    staged: Literal["float32", "float16"] = "float16" if features.f16 else "float32"
    return _Shape(spec, round_up(-(-total // parts), ROWS), parts, across, staged)


def tile_parts(spec: AttentionSpec, tile_tokens: int) -> int:
    """Workgroups for each item and KV head."""
    return _shape(spec, tile_tokens).parts


def tile_name(spec: AttentionSpec, tile_tokens: int) -> str:
    return f"attention_tile_t{tile_tokens}_{spec.name}"


def attention_tile(spec: AttentionSpec, tile_tokens: int, features: Features = CORE) -> GpuKernel:
    """Buffers, scalars and unit: `attention.Attention`, with `tile_parts` parts.

    Args:
        features: f16 for pages that have no 32-bit floats.
    """
    shape = _shape(spec, tile_tokens, features)
    k = GpuKernel(tile_name(spec, tile_tokens), threads=shape.threads, features=features)
    tile = _Tile(k, shape)
    with k.when(tirx.And(tile.a.count > FEW_TOKENS, tile.first_row < tile.count)):
        tile.body()
    return k


def tile_variants(spec: AttentionSpec, tile_tokens: int) -> list[GpuKernel]:
    features = [CORE] if spec.kv_dtype == "float32" else [CORE, Features(f16=True)]
    return [attention_tile(spec, tile_tokens, each) for each in features]


class _Tile:
    def __init__(self, k: GpuKernel, shape: _Shape) -> None:
        spec = shape.spec
        self.k, self.shape, self.spec = k, shape, spec
        a = self.a = Attention(k, spec)
        # Queries, then weights; keys, then what rows have to agree on (which needs 32 bits), then values.
        staged = f"{shape.staged}x4"
        self.left = k.workgroup(shape.rows * max(shape.staged_quads, KEYS // ROWS), staged, "left")
        alone = shape.staged != "float32"
        self.right = k.workgroup(shape.right if alone else max(shape.right, shape.threads), staged, "right")
        self.meeting = k.workgroup(shape.threads, "float32x4", "meeting") if alone else self.right
        self.y, self.x = k.let(div(k.thread, shape.across), "y"), k.let(mod(k.thread, shape.across), "x")
        self.first_row = k.let(a.part * shape.rows, "first_row")
        self.count = k.let(a.count * spec.group, "rows")
        self.row = [k.let(self.first_row + self.y * ROWS + i, "row") for i in range(ROWS)]
        self.token = [k.let(tirx.min(div(row, spec.group), a.count - 1), "token") for row in self.row]
        self.quad = [k.let(self.x + d * shape.across, "quad") for d in range(shape.quads_each)]

    def body(self) -> None:
        k, a, spec = self.k, self.a, self.spec
        self.queries = k.let(a.row(i32(0)), "queries")
        self.last = [a.last(token) for token in self.token]
        self.lowest = [a.lowest(token) for token in self.token]
        if spec.slopes:
            rows = (tirx.min(row, self.count - 1) for row in self.row)
            self.slopes = k.let(vector(*(a.slope(self.queries + row) for row in rows)), "slopes")
            self.position = [k.let(a.position(token), "position") for token in self.token]
        # What any row of this workgroup sees.
        last_token = tirx.min(div(self.first_row + self.shape.rows - 1, spec.group), a.count - 1)
        self.filled = k.let(a.last(last_token) + 1, "filled")
        lowest = a.lowest(div(self.first_row, spec.group))
        folds = [Fold(k, self.shape.quads_each) for _ in range(ROWS)]
        self.peak, self.total = k.register("float32x4"), k.register("float32x4")
        self.outputs = [[k.register("float32x4") for _ in self.quad] for _ in range(ROWS)]
        with k.loop(a.begin, a.end) as split:
            self.peak.set(f32(UNSEEN, 4))
            for register in (self.total, *(output for row in self.outputs for output in row)):
                register.set(f32(0.0, 4))
            begin = k.let(tirx.max(split * spec.split_tokens, lowest - mod(lowest, KEYS)), "begin")
            end = k.let(tirx.min((split + 1) * spec.split_tokens, self.filled), "end")
            with k.loop(begin, tirx.max(begin, end), KEYS) as start:
                self.weigh(start, self.scores(start))
                self.add_values(start)
            total = self.agreed(self.total.get(), lambda one, other: one + other)
            for i, fold in enumerate(folds):
                self.take(split, i, total, fold)
        with k.when(a.folds):
            for i, fold in enumerate(folds):
                with k.when(self.row[i] < self.count):
                    head = mod(self.row[i], spec.group)
                    to = (a.first + self.token[i]) * a.ld + (a.kv * spec.group + head) * a.head_dim
                    to = k.let(to, "to")
                    values = fold.results(a.sink(self.queries + self.row[i]))
                    for quad, value in zip(self.quad, values, strict=True):
                        store_columns(k, a.out, to, quad, value, a.head_dim)

    def stage(self, memory: Memory, index: Expr, value: Expr) -> None:
        self.k.store(memory, index, value if self.shape.staged == "float32" else cast(self.shape.staged, value, 4))

    def staged(self, memory: Memory, index: Expr) -> Expr:
        """What was staged, in 32 bits."""
        value = memory.load(index)
        return self.k.let(value if self.shape.staged == "float32" else cast("float32", value, 4), "staged")

    def scores(self, start: Expr) -> list[Expr]:
        """Of the invocation's rows with each of its keys, as vectors of rows."""
        k, a, shape, spec = self.k, self.a, self.shape, self.spec
        staged = shape.staged_quads
        sums = [k.register("float32x4", f32(0.0, 4)) for _ in range(shape.keys_each)]
        with k.loop(0, spec.quads, staged) as first:
            k.barrier()
            with k.loop(k.thread, shape.rows * staged, shape.threads) as i:
                row, c = k.let(div(i, staged), "row"), k.let(mod(i, staged), "c")
                at = k.let(self.queries + tirx.min(self.first_row + row, self.count - 1), "at")
                self.stage(self.left, c * shape.rows + row, a.query(at, first + c))
            with k.loop(k.thread, KEYS * staged, shape.threads) as i:
                c, position = div(i, KEYS), k.let(tirx.min(start + mod(i, KEYS), self.filled - 1), "position")
                self.stage(self.right, i, self.number(a.keys, position, k.let(first + c, "quad")))
            k.barrier()
            with k.loop(0, staged) as c:
                at = k.let(c * shape.rows + self.y * ROWS, "at")
                queries = [self.staged(self.left, at + i) for i in range(ROWS)]
                for j, total in enumerate(sums):
                    key = self.staged(self.right, c * KEYS + self.x + j * shape.across)
                    total.set(total.get() + vector(*(dot(query, key) for query in queries)))
        return [self.seen(start + self.x + j * shape.across, total.get()) for j, total in enumerate(sums)]

    def seen(self, key: Expr, sums: Expr) -> Expr:
        """Scores of a key, hidden from rows that do not see it."""
        k, a = self.k, self.a
        key, scores = k.let(key, "key"), k.let(a.score(sums, ROWS), "scores")
        if self.spec.slopes:
            distances = vector(*(cast("float32", key - position) for position in self.position))
            scores = k.let(fma(self.slopes, distances, scores, ROWS), "scores")

        def visible(i: int) -> Expr:
            return tirx.And(key <= self.last[i], key >= self.lowest[i])

        return k.let(vector(*(tirx.Select(visible(i), lane(scores, i), f32(HIDDEN)) for i in range(ROWS))), "scores")

    def weigh(self, start: Expr, scores: list[Expr]) -> None:
        """Scores become weights, relative to the rows' new maxima; what there is already is scaled to them."""
        k, shape = self.k, self.shape
        peak = scores[0]
        for score in scores[1:]:
            peak = tirx.max(peak, score)
        now = k.let(tirx.max(self.peak.get(), self.agreed(peak, tirx.max)), "now")
        old = k.let(builtin("exp", "float32x4", self.peak.get() - now), "old")
        self.peak.set(now)
        self.total.set(self.total.get() * old)
        for j, score in enumerate(scores):
            weight = k.let(builtin("exp", "float32x4", score - now), "weight")
            self.total.set(self.total.get() + weight)
            self.stage(self.left, (self.x + j * shape.across) * shape.down + self.y, weight)
        for i, outputs in enumerate(self.outputs):
            for output in outputs:
                output.set(output.get() * splat(lane(old, i)))

    def agreed(self, own: Expr, combine: Callable[[Expr, Expr], Expr]) -> Expr:
        """A vector of rows over all invocations that share them."""
        k, shape = self.k, self.shape
        k.barrier()
        k.store(self.meeting, self.x * shape.down + self.y, own)
        k.barrier()
        result = k.register("float32x4", self.meeting.load(self.y))
        with k.loop(1, shape.across) as x:
            result.set(combine(result.get(), self.meeting.load(x * shape.down + self.y)))
        return k.let(result.get(), "agreed")

    def add_values(self, start: Expr) -> None:
        k, a, shape, quads = self.k, self.a, self.shape, self.spec.value_quads
        with k.loop(0, KEYS, shape.staged_tokens) as first:
            k.barrier()
            with k.loop(k.thread, shape.staged_tokens * quads, shape.threads) as i:
                position = k.let(start + first + div(i, quads), "position")
                # Slots after the last position may hold anything, NaN too.
                there = position < self.filled
                seen = k.let(tirx.min(position, self.filled - 1), "seen")
                number = self.number(a.values, seen, k.let(mod(i, quads), "quad"))
                self.stage(self.right, i, tirx.Select(there, number, f32(0.0, 4)))
            k.barrier()
            with k.loop(0, shape.staged_tokens) as t:
                weights = self.staged(self.left, (first + t) * shape.down + self.y)
                for d, quad in enumerate(self.quad):
                    value = self.staged(self.right, t * quads + tirx.min(quad, quads - 1))
                    for i in range(ROWS):
                        output = self.outputs[i][d]
                        output.set(fma(splat(lane(weights, i)), value, output.get(), 4))

    def number(self, pages: Pages, position: Expr, quad: Expr) -> Expr:
        """A quad of a position's key or value."""
        k, a = self.k, self.a
        memory = a.k_pages if pages.kind == "k" else a.v_pages
        block, slot = k.let(a.page(position) * pages.block, "block"), k.let(mod(position, PAGE_TOKENS), "slot")
        value = pages.load(k, memory, pages.at(block, slot, quad))
        if pages.scaled:
            value = value * splat(k.let(pages.scale(k, memory, block, slot, div(quad * 4, pages.group)), "scale"))
        return k.let(value, "number")

    def take(self, split: Expr, i: int, total: Expr, fold: Fold) -> None:
        """A split's result of a row: folded, or left for the merge."""
        k, a, spec = self.k, self.a, self.spec
        peak, sums = lane(k.let(self.peak.get(), "peaks"), i), lane(total, i)
        outputs = [output.get() for output in self.outputs[i]]
        with k.when(a.folds):
            fold.add(k.let(peak, "peak"), sums, outputs)
        with k.when(tirx.And(tirx.Not(a.folds), self.row[i] < self.count)):
            place = partial_place(a, split, self.token[i], mod(self.row[i], spec.group))
            for quad, output in zip(self.quad, outputs, strict=True):
                with k.when(quad < spec.value_quads):
                    k.store(a.partials, place + quad, output)
            with k.when(tirx.EQ(self.x, 0)):
                k.store(a.partials, place + spec.value_quads, stats(k.let(peak, "peak"), sums))
