"""Attention of one tile of queries over all the keys that they see, the queries being the lanes of vectors.

Scores are computed as S[key][query]: elements of keys are broadcast, those of queries lie in vectors, so keys and
values are read row by row wherever they lie, without being copied or turned; only the tile's queries are turned, once.
The largest score, the sum of weights and every comparison are lane by lane, with no reduction across a vector.

Keys are taken in *splits* of `SPLIT_KEYS`, cut at absolute positions, whose scores stay in the first-level cache.
Within a split the softmax has two passes (scores and their maximum; weights and their sum); what earlier splits left is
rescaled to the new maximum (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018). Every number
of a row is computed from the row and its keys alone, in the order of the keys: its bits do not depend on the tile it is
in, nor on splits that it sees nothing of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import tirx

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.attention_fold import MINUS_INFINITY, UNSEEN
from hearth.compiler.cpu.kernels.attention_layout import LANES, SPLIT_KEYS, Packed, Rows
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, Register, broadcast, f32, fma, i64, load_pieces
from hearth.compiler.cpu.targets import Isa

MOST_ROWS = 32
"""Queries that are taken at once, on any instruction set."""
UNROLL = 4


@dataclass(frozen=True)
class Split:
    """What is computed at once: queries [first, first + 16 * vectors) of a tile, keys [start, stop) of a sequence."""

    first: Expr
    vectors: int
    start: Expr
    stop: Expr


class Adjust:
    """Something that is done to the scores of a tile: a bias, a mask."""

    def prepare(self, split: Split) -> None:
        """Called before a split's scores are computed."""

    def apply(self, split: Split, key: Expr, vector: int, scores: Expr) -> Expr:
        """The scores of 16 queries, those of `vector`, with a key."""
        raise NotImplementedError


@dataclass(frozen=True)
class Tile:
    """What a tile is made of. Queries count from the tile's first, keys from the sequence's.

    Attributes:
        count: of its queries, any number.
        queries: asked for those below `count` only, as `bias` is.
        begin, end: keys that are seen.
        keys, values: of f32.
        packed: keys and values as bytes, in their place.
        out: where a query's output goes.
        written: whether a query's output is wanted; None: always.
        bias: f32, added to the scores: `at(query)` is where the element of key 0 stands, those of others follow.
        adjust: what else is done to scores, in this order.
    """

    count: Expr
    queries: Rows
    begin: Expr
    end: Expr
    out: Rows
    keys: Rows | None = None
    values: Rows | None = None
    packed: Packed | None = None
    written: Callable[[Expr], Expr] | None = None
    bias: Rows | None = None
    adjust: Sequence[Adjust] = ()


class TileAttention:
    """Generates the code for tiles of one head size.

    Args:
        memory: scratch, f32; `scratch_floats` of it are used.
    """

    def __init__(self, k: Kernel, isa: Isa, head_dim: int, scale: float, memory: Memory) -> None:
        self.k, self.isa, self.head_dim, self.scale, self.memory = k, isa, head_dim, scale, memory
        self.turned = 0
        self.scores = self.turned + MOST_ROWS * head_dim
        self.sums = self.scores + MOST_ROWS * SPLIT_KEYS
        self.peak = self.sums + MOST_ROWS * head_dim
        self.total, self.rescale = self.peak + MOST_ROWS, self.peak + 2 * MOST_ROWS
        self.row_width = head_dim

    @staticmethod
    def scratch_floats(head_dim: int) -> int:
        return MOST_ROWS * (2 * head_dim + SPLIT_KEYS + 3)

    def most_vectors(self) -> int:
        """Vectors of queries that are taken at once."""
        return MOST_ROWS // LANES if self.isa.float_tile[1] >= 16 else 1

    def run(self, tile: Tile) -> None:
        """Attention of a tile: as many queries at once as there are registers for."""
        k, most = self.k, self.most_vectors()
        width = most * LANES
        with k.loop(0, tirx.floordiv(tile.count + (width - 1), i64(width))) as part:
            first = k.opaque(part * width, "first")
            count = k.opaque(tirx.min(tile.count - first, i64(width)), "count")
            for vectors in range(1, most + 1):
                with k.when(tirx.EQ(tirx.floordiv(count + (LANES - 1), i64(LANES)), i64(vectors))):
                    self._run(tile, first, count, vectors)

    def _run(self, tile: Tile, first: Expr, count: Expr, vectors: int) -> None:
        k, memory = self.k, self.memory
        self._turn(tile.queries, first, count, vectors)
        for v in range(vectors):
            k.store(memory, self.peak + v * LANES, f32(MINUS_INFINITY, LANES))
            k.store(memory, self.total + v * LANES, f32(0.0, LANES))
        with k.loop(0, count * self.row_width) as i:
            k.store(memory, self.sums + i, f32(0.0))
        splits = tirx.floordiv(tile.end + (SPLIT_KEYS - 1), i64(SPLIT_KEYS))
        with k.loop(tirx.floordiv(tile.begin, i64(SPLIT_KEYS)), splits) as number:
            start = k.opaque(tirx.max(tile.begin, number * SPLIT_KEYS), "start")
            stop = k.opaque(tirx.min(tile.end, (number + 1) * SPLIT_KEYS), "stop")
            split = Split(first, vectors, start, stop)
            for adjust in tile.adjust:
                adjust.prepare(split)
            if tile.bias is not None:
                self._turn_bias(tile.bias, count, split)
            self._score(tile, split)
            self._weigh(tile, split)
            self._add_values(tile, count, split)
        self._write(tile, first, count)

    def score_at(self, split: Split, key: Expr) -> Expr:
        """Where the scores of a key stand."""
        return self.scores + (key - split.start) * (split.vectors * LANES)

    def _turn(self, queries: Rows, first: Expr, count: Expr, vectors: int) -> None:
        """Q[query][dimension], scaled, becomes [dimension][query]."""
        k, width = self.k, vectors * LANES
        whole = self.head_dim // LANES
        with k.loop(0, vectors) as v:
            starts = self._row_starts(queries, first, count, v)
            with k.loop(0, whole) as c:
                rows = [queries.memory.load(at + c * LANES, LANES) * f32(self.scale, LANES) for at in starts]
                for i, column in enumerate(vmath.transpose(k, rows)):
                    k.store(self.memory, self.turned + (c * LANES + i) * width + v * LANES, column)
            with k.loop(whole * LANES, self.head_dim) as d:
                for i, at in enumerate(starts):
                    value = queries.memory.load(at + d) * f32(self.scale)
                    k.store(self.memory, self.turned + d * width + v * LANES + i, value)

    def _turn_bias(self, bias: Rows, count: Expr, split: Split) -> None:
        """Puts the bias of a split's scores where these will stand."""
        k = self.k
        blocks = k.opaque(tirx.floordiv(split.stop - split.start, i64(LANES)), "blocks")
        with k.loop(0, split.vectors) as v:
            starts = self._row_starts(bias, split.first, count, v)
            with k.loop(0, blocks) as block:
                key = k.opaque(split.start + block * LANES, "key")
                rows = [bias.memory.load(at + key, LANES) for at in starts]
                for j, column in enumerate(vmath.transpose(k, rows)):
                    k.store(self.memory, self.score_at(split, key + j) + v * LANES, column)
            with k.loop(split.start + blocks * LANES, split.stop) as key:
                for i, at in enumerate(starts):
                    k.store(self.memory, self.score_at(split, key) + v * LANES + i, bias.memory.load(at + key))

    def _row_starts(self, rows: Rows, first: Expr, count: Expr, vector: Expr) -> list[Expr]:
        """Addresses of a vector's 16 queries; those beyond the last repeat it."""
        return [self.k.opaque(rows.at(first + tirx.min(vector * LANES + i, count - 1)), "row") for i in range(LANES)]

    def _score(self, tile: Tile, split: Split) -> None:
        k, memory, vectors = self.k, self.memory, split.vectors
        width, rows = vectors * LANES, _there(tile.keys)
        peaks = [k.register("float32", LANES, memory.load(self.peak + v * LANES, LANES)) for v in range(vectors)]

        def take(key: Expr, keys: int) -> None:
            starts = [k.opaque(rows.at(key + j), "key") for j in range(keys)]
            sums = [[k.register("float32", LANES, f32(0.0, LANES)) for _ in range(vectors)] for _ in range(keys)]

            def add(d: Expr) -> None:
                queries = [k.let(memory.load(self.turned + d * width + v * LANES, LANES), "q") for v in range(vectors)]
                for j, at in enumerate(starts):
                    element = k.let(broadcast(rows.memory.load(at + d), LANES), "element")
                    for total, query in zip(sums[j], queries, strict=True):
                        total.set(fma(element, query, total.get(), LANES))

            by_steps(k, self.head_dim, UNROLL, add)
            for j in range(keys):
                for v in range(vectors):
                    at = k.let(self.score_at(split, key + j) + v * LANES, "at")
                    score = sums[j][v].get()
                    if tile.bias is not None:
                        score = score + memory.load(at, LANES)
                    score = k.let(score, "score")
                    for adjust in tile.adjust:
                        score = k.let(adjust.apply(split, key + j, v, score), "score")
                    k.store(memory, at, score)
                    peaks[v].set(tirx.max(peaks[v].get(), score))

        in_blocks(k, split.start, split.stop, key_rows(self.isa, vectors), take)
        for v, peak in enumerate(peaks):
            before = k.let(memory.load(self.peak + v * LANES, LANES), "before")
            k.store(memory, self.rescale + v * LANES, vmath.exp(k, before - peak.get(), LANES))
            k.store(memory, self.peak + v * LANES, peak.get())

    def _weigh(self, tile: Tile, split: Split) -> None:
        """Scores become weights, relative to the largest score so far."""
        k, memory, vectors = self.k, self.memory, split.vectors
        peaks = [
            k.let(tirx.max(memory.load(self.peak + v * LANES, LANES), f32(UNSEEN, LANES)), "peak")
            for v in range(vectors)
        ]
        totals = [k.register("float32", LANES, f32(0.0, LANES)) for _ in range(vectors)]
        with k.loop(split.start, split.stop) as key:
            for v, (peak, total) in enumerate(zip(peaks, totals, strict=True)):
                at = k.let(self.score_at(split, key) + v * LANES, "at")
                score = k.let(memory.load(at, LANES), "score")
                weight = vmath.exp(k, score - peak, LANES)
                weight = k.let(tirx.Select(score < f32(2 * UNSEEN, LANES), f32(0.0, LANES), weight), "weight")
                total.set(total.get() + weight)
                k.store(memory, at, weight)
        for v, total in enumerate(totals):
            at = self.total + v * LANES
            old = k.let(memory.load(self.rescale + v * LANES, LANES), "old")
            k.store(memory, at, fma(memory.load(at, LANES), old, total.get(), LANES))

    def _add_values(self, tile: Tile, count: Expr, split: Split) -> None:
        """Weighted values of the split, added to the rescaled sums: a few queries at a time."""
        k, memory, source = self.k, self.memory, _there(tile.values)

        def take(r: Expr, rows: int, pieces: list[tuple[int, int]]) -> None:
            sums: list[list[Register]] = [
                [k.register("float32", lanes, f32(0.0, lanes)) for _, lanes in pieces] for _ in range(rows)
            ]
            with k.loop(split.start, split.stop) as key:
                at = k.opaque(source.at(key), "value")
                values = [k.let(source.memory.load(at + d, lanes), "v") for d, lanes in pieces]
                weights = k.let(self.score_at(split, key) + r, "weights")
                for i in range(rows):
                    weight = k.let(memory.load(weights + i), "weight")
                    for total, value in zip(sums[i], values, strict=True):
                        total.set(fma(broadcast(weight, total.lanes), value, total.get(), total.lanes))
            for i in range(rows):
                old = k.let(memory.load(self.rescale + r + i), "old")
                for (d, lanes), total in zip(pieces, sums[i], strict=True):
                    at = k.let(self.sums + (r + i) * self.head_dim + d, "sum")
                    k.store(memory, at, fma(memory.load(at, lanes), broadcast(old, lanes), total.get(), lanes))

        for pieces in value_passes(self.isa, self.head_dim):
            rows = value_rows(self.isa, len(pieces))
            with k.loop(0, tirx.floordiv(count + (rows - 1), i64(rows))) as group:
                take(k.opaque(group * rows, "r"), rows, pieces)

    def _write(self, tile: Tile, first: Expr, count: Expr) -> None:
        """Sums over totals, as rows of the output; zeros where a query saw nothing."""
        k, memory = self.k, self.memory
        with k.loop(0, count) as r, k.when(tile.written(first + r) if tile.written else tirx.const(True, "bool")):
            total = k.let(memory.load(self.total + r), "total")
            inverse = k.let(tirx.Select(tirx.EQ(total, f32(0.0)), f32(0.0), f32(1.0) / total), "inverse")
            to = k.opaque(tile.out.at(first + r), "to")
            for d, lanes in load_pieces(self.head_dim):
                value = memory.load(self.sums + r * self.row_width + d, lanes) * broadcast(inverse, lanes)
                k.store(tile.out.memory, to + d, k.let(value, "o"))


def _there(rows: Rows | None) -> Rows:
    assert rows is not None
    return rows


def key_rows(isa: Isa, vectors: int) -> int:
    """Keys whose scores are summed at once."""
    return 8 if vectors > 1 else min(isa.float_tile[1], 8)


def value_passes(isa: Isa, head_dim: int) -> list[list[tuple[int, int]]]:
    """The dimensions of a head, in vectors (first, lanes), as they are taken at once in products with values."""
    pieces = load_pieces(head_dim)
    most = max(1, isa.float_tile[1] // 4)
    count = -(-len(pieces) // most)
    size = -(-len(pieces) // count)
    return [pieces[i : i + size] for i in range(0, len(pieces), size)]


def value_rows(isa: Isa, pieces: int) -> int:
    """Rows of queries that are taken at once: a power of two, so that they divide a tile."""
    return min(LANES, 1 << (max(1, isa.float_tile[1] // pieces).bit_length() - 1))


def by_steps(k: Kernel, count: int, unroll: int, body: Callable[[Expr], None]) -> None:
    """body(i) for i < count, `unroll` of them written out in a loop."""
    whole = count // unroll
    with k.loop(0, whole) as step:
        for u in range(unroll):
            body(step * unroll + u)
    for u in range(whole * unroll, count):
        body(i64(u))


def in_blocks(k: Kernel, start: Expr, stop: Expr, most: int, body: Callable[[Expr, int], None]) -> None:
    """body(first, how many) over [start, stop): `most` at a time, then halves of that for what is left."""
    done: Any = start
    size = most
    while size > 0:
        times = k.opaque(tirx.floordiv(stop - done, i64(size)), "times")
        with k.loop(0, times) as i:
            body(k.opaque(done + i * size, "first"), size)
        done = k.opaque(done + times * size, "done")
        size //= 2
