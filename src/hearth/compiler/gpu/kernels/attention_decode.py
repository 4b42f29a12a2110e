"""Attention over pages of items with a few tokens: invocations stand for keys, then for dimensions of values.

A workgroup takes some query heads of one token and KV head, which share what is read. For each split it computes
scores (an invocation for a few keys, all its heads), makes weights of them, and sums values (an invocation for a quad
of dimensions of some of the tokens seen), whose sums are added up in workgroup memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.gpu.features import CORE, MAX_WORKGROUP_BYTES, Features
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
    Register,
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
from hearth.compiler.gpu.kernels.subgroups import MAXIMUM, SUBGROUPS, SUM, Places, SubgroupMeeting
from hearth.model.text.kv_cache import PAGE_TOKENS

THREADS = 128
MOST_HEADS = 8
"""Of a workgroup: each has sums in registers."""
_UNROLL = 8
"""Most quads of keys that a step of the loop over them takes: loads that are on their way at once."""
_VALUES = 4
"""Values that an invocation loads at once."""
_LANES = 32
"""Most invocations that look for the maximum of one head."""


@dataclass(frozen=True)
class _Shape:
    """How a workgroup's heads and memory are divided.

    Attributes:
        heads: of a workgroup.
        parts: workgroups that share the heads of a group.
    """

    spec: AttentionSpec
    heads: int
    parts: int

    @property
    def lanes(self) -> int:
        """Invocations that make weights of the scores of one head."""
        return min(_LANES, THREADS // (1 << (self.heads - 1).bit_length()))

    @property
    def runs(self) -> int:
        """Runs of tokens whose values are summed apart: an invocation for each quad of each."""
        return max(1, THREADS // self.spec.value_quads)

    @property
    def sums(self) -> int:
        """Quads of all invocations' sums of one head."""
        return self.runs * self.spec.value_quads

    @property
    def scores(self) -> int:
        """Floats: scores of a split, then sums of at least one head."""
        return max(self.heads * self.spec.split_tokens, 4 * self.sums)

    @property
    def heads_at_once(self) -> int:
        """Whose sums fit where the scores were."""
        return min(self.heads, self.scores // (4 * self.sums))

    @property
    def heads_that_meet(self) -> int:
        """Heads whose maxima, and whose sums, meet at once, by way of subgroups."""
        room = (MAX_WORKGROUP_BYTES - self.workgroup_bytes) // (4 * 2 * THREADS)
        return min(self.heads, 1 + room)

    @property
    def workgroup_bytes(self) -> int:
        pages = self.spec.split_tokens // PAGE_TOKENS
        return 4 * (self.heads * self.spec.hp + self.scores + 2 * THREADS + 2 * self.heads + pages)


def _shape(spec: AttentionSpec) -> _Shape:
    """As many heads as fit, and parts of nearly equal size."""
    parts = -(-spec.group // MOST_HEADS)
    while True:
        shape = _Shape(spec, -(-spec.group // parts), parts)
        if shape.workgroup_bytes <= MAX_WORKGROUP_BYTES:
            return shape
        parts += 1


def decode_parts(spec: AttentionSpec) -> int:
    """Workgroups for each token of an item and KV head."""
    return _shape(spec).parts


def decode_name(spec: AttentionSpec) -> str:
    return f"attention_decode_{spec.name}"


def decode_variants(spec: AttentionSpec) -> list[GpuKernel]:
    """By what there are kernels for, the core first."""
    return [attention_decode(spec), attention_decode(spec, SUBGROUPS)]


def attention_decode(spec: AttentionSpec, features: Features = CORE) -> GpuKernel:
    """Buffers, scalars and unit: `attention.Attention`, with `decode_parts` parts for each of as many tokens as an item
    may have, up to `FEW_TOKENS`."""
    k = GpuKernel(decode_name(spec), threads=THREADS, features=features)
    decode = _Decode(k, _shape(spec))
    with k.when(tirx.And(decode.a.count <= FEW_TOKENS, decode.token < decode.a.count)):
        decode.body()
    return k


class _Decode:
    def __init__(self, k: GpuKernel, shape: _Shape) -> None:
        spec = shape.spec
        self.k, self.shape, self.spec = k, shape, spec
        self.a = Attention(k, spec)
        self.queries = k.workgroup(shape.heads * spec.quads, "float32x4", "queries")
        self.scores = k.workgroup(shape.scores, "float32", "scores")  # afterwards weights, then sums of values
        if k.features.subgroups:
            places = Places(k)
            self.peaks_meet, self.totals_meet = (
                SubgroupMeeting(places, kind, shape.heads_that_meet) for kind in (MAXIMUM, SUM)
            )
        else:
            self.largest = k.workgroup(THREADS, "float32", "largest")
            self.totals = k.workgroup(THREADS, "float32", "totals")
        self.peak_of = k.workgroup(shape.heads, "float32", "peak_of")
        self.total_of = k.workgroup(shape.heads, "float32", "total_of")
        self.pages = k.workgroup(spec.split_tokens // PAGE_TOKENS, "int32", "pages")
        self.token = k.let(div(self.a.part, shape.parts), "token")
        self.first_head = k.let(mod(self.a.part, shape.parts) * shape.heads, "first_head")

    def body(self) -> None:
        k, a, spec, shape = self.k, self.a, self.spec, self.shape
        first_row = k.let(a.row(self.token), "first_row")
        filled, lowest = k.let(a.last(self.token) + 1, "filled"), a.lowest(self.token)
        self.position = k.let(a.position(self.token), "position")
        heads = (tirx.min(self.first_head + h, spec.group - 1) for h in range(shape.heads))
        self.slopes = [a.slope(first_row + head) for head in heads]
        with k.loop(k.thread, shape.heads * spec.quads, THREADS) as i:
            head = tirx.min(self.first_head + div(i, spec.quads), spec.group - 1)
            k.store(self.queries, i, a.query(first_row + head, mod(i, spec.quads)))
        results = [(first, j, Fold(k, 1)) for first in self.rounds() for j in range(self.results(first))]
        with k.loop(a.begin, a.end) as split:
            # Whole pages: of what lies before the window in the first one, weights are 0.
            start = k.let(tirx.max(split * spec.split_tokens, lowest - mod(lowest, PAGE_TOKENS)), "start")
            stop = tirx.min((split + 1) * spec.split_tokens, filled)
            count = k.let(tirx.max(stop - start, 0), "count")
            k.barrier()
            self.note_pages(start, count)
            k.barrier()
            self.score(start, count, lowest)
            k.barrier()
            if k.features.subgroups:
                self.weigh_by_subgroups(count)
            else:
                self.weigh(count)
            sums = self.sum_values(count)
            for first in self.rounds():
                k.barrier()
                self.share(sums, first)
                k.barrier()
                for _, j, fold in (result for result in results if result[0] == first):
                    with self.result(first, j) as (head, quad):
                        self.take(split, head, quad, self.total(head - first, quad), fold)
        with k.when(a.folds):
            for first, j, fold in results:
                with self.result(first, j) as (head, quad):
                    own = k.let(self.first_head + head, "own")
                    to = k.let((a.first + self.token) * a.ld + (a.kv * spec.group + own) * a.head_dim, "to")
                    (value,) = fold.results(a.sink(first_row + own))
                    store_columns(k, a.out, to, quad, value, a.head_dim)

    def note_pages(self, start: Expr, count: Expr) -> None:
        """Which pages a split's tokens lie in: loads of keys and values should not have to wait for these."""
        k, a = self.k, self.a
        with k.loop(k.thread, div(count + (PAGE_TOKENS - 1), PAGE_TOKENS), THREADS) as i:
            k.store(self.pages, i, a.page(start + i * PAGE_TOKENS))

    def place(self, pages: Pages, token: Expr) -> tuple[Expr, Expr]:
        """Where the block of a token of the split begins, and its slot; `start` is that of a page."""
        block = self.pages.load(div(token, PAGE_TOKENS)) * pages.block
        return self.k.let(block, "block"), self.k.let(mod(token, PAGE_TOKENS), "slot")

    def score(self, start: Expr, count: Expr, lowest: Expr) -> None:
        """Scores of all heads: an invocation for each of a few tokens."""
        k, a, spec, pages = self.k, self.a, self.spec, self.a.keys
        places = [k.let(k.thread + i * THREADS, "place") for i in range(-(-spec.split_tokens // THREADS))]
        tokens = [k.let(tirx.max(tirx.min(place, count - 1), 0), "token") for place in places]
        blocks, slots = zip(*(self.place(pages, token) for token in tokens), strict=True)
        heads = range(self.shape.heads)
        sums = [[k.register("float32", f32(0.0)) for _ in heads] for _ in places]
        step = pages.group // 4 if pages.scaled else math.gcd(spec.quads, _UNROLL)
        with k.loop(0, spec.quads, step) as c:
            parts = [[k.register("float32", f32(0.0)) for _ in heads] for _ in places] if pages.scaled else sums
            for u in range(step):
                keys = [
                    k.let(pages.load(k, a.k_pages, pages.at(block, slot, c + u)), "key")
                    for block, slot in zip(blocks, slots, strict=True)
                ]
                for h in heads:
                    query = k.let(self.queries.load(h * spec.quads + c + u), "query")
                    for part, key in zip(parts, keys, strict=True):
                        part[h].set(part[h].get() + dot(query, key))
            for i in range(len(places)) if pages.scaled else ():
                scale = k.let(pages.scale(k, a.k_pages, blocks[i], slots[i], div(c, step)), "scale")
                for h in heads:
                    sums[i][h].set(fma(parts[i][h].get(), scale, sums[i][h].get()))
        for i, place in enumerate(places):
            seen = tirx.And(place < count, start + place >= lowest)
            for h in heads:
                value = k.let(a.score(sums[i][h].get()), "score")
                if self.spec.slopes:
                    distance = cast("float32", start + place - self.position)
                    value = k.let(fma(self.slopes[h], distance, value), "score")
                with k.when(place < spec.split_tokens):
                    k.store(self.scores, h * spec.split_tokens + place, tirx.Select(seen, value, f32(HIDDEN)))

    @property
    def weights_scaled(self) -> bool:
        """Whether weights are multiplied by the scales of the values, of which a token has one."""
        return self.a.values.scaled and not self.spec.latent

    def weigh(self, count: Expr) -> None:
        """Scores become weights, relative to their maximum (times the scales of the values)."""
        k, a, shape, lanes = self.k, self.a, self.shape, self.shape.lanes
        h, first = k.let(div(k.thread, lanes), "h"), k.let(mod(k.thread, lanes), "first")
        mine = k.let(h < shape.heads, "mine")
        row = k.let(h * self.spec.split_tokens, "row")
        peak = k.register("float32", f32(UNSEEN))
        with k.when(mine), k.loop(first, count, lanes) as i:
            peak.set(tirx.max(peak.get(), self.scores.load(row + i)))
        k.store(self.largest, k.thread, peak.get())
        k.barrier()
        with k.loop(0, lanes) as i:
            peak.set(tirx.max(peak.get(), self.largest.load(h * lanes + i)))
        total = k.register("float32", f32(0.0))
        with k.when(mine), k.loop(first, count, lanes) as i:
            weight = k.let(builtin("exp", "float32", self.scores.load(row + i) - peak.get()), "weight")
            total.set(total.get() + weight)
            if self.weights_scaled:
                block, slot = self.place(a.values, i)
                weight = weight * a.values.scale(k, a.v_pages, block, slot, i32(0))
            k.store(self.scores, row + i, weight)
        k.store(self.totals, k.thread, total.get())
        k.barrier()
        with k.when(tirx.And(mine, tirx.EQ(first, 0))):
            total.set(f32(0.0))
            with k.loop(0, lanes) as i:
                total.set(total.get() + self.totals.load(h * lanes + i))
            k.store(self.peak_of, h, peak.get())
            k.store(self.total_of, h, total.get())

    def weigh_by_subgroups(self, count: Expr) -> None:
        """The same: an invocation for every so many tokens, all heads of each."""
        k, a, heads = self.k, self.a, range(self.shape.heads)
        peaks = [k.register("float32", f32(UNSEEN)) for _ in heads]
        with k.loop(k.thread, count, THREADS) as i:
            for h, peak in enumerate(peaks):
                peak.set(tirx.max(peak.get(), self.scores.load(h * self.spec.split_tokens + i)))
        met = self.peaks_meet.of([peak.get() for peak in peaks])
        totals = [k.register("float32", f32(0.0)) for _ in heads]
        with k.loop(k.thread, count, THREADS) as i:
            scale: Expr | None = None
            if self.weights_scaled:
                block, slot = self.place(a.values, i)
                scale = k.let(a.values.scale(k, a.v_pages, block, slot, i32(0)), "scale")
            for h, (peak, total) in enumerate(zip(met, totals, strict=True)):
                at = k.let(h * self.spec.split_tokens + i, "at")
                weight = k.let(builtin("exp", "float32", self.scores.load(at) - peak), "weight")
                total.set(total.get() + weight)
                k.store(self.scores, at, weight if scale is None else weight * scale)
        whole = self.totals_meet.of([total.get() for total in totals])
        with k.when(tirx.EQ(k.thread, 0)):
            for h in heads:
                k.store(self.peak_of, h, met[h])
                k.store(self.total_of, h, whole[h])

    def sum_values(self, count: Expr) -> list[Register]:
        """Of each head the weighted values that this invocation has seen: a quad of every so many tokens."""
        k, a, spec, shape = self.k, self.a, self.spec, self.shape
        sums = [k.register("float32x4", f32(0.0, 4)) for _ in range(shape.heads)]
        quads = spec.value_quads
        assert quads <= THREADS
        run, quad = k.let(div(k.thread, quads), "run"), k.let(mod(k.thread, quads), "quad")
        with k.when(k.thread < shape.sums), k.loop(run, count, shape.runs * _VALUES) as first:
            tokens = [k.let(first + i * shape.runs, "token") for i in range(_VALUES)]
            values = []
            for token in tokens:
                block, slot = self.place(a.values, tirx.min(token, count - 1))
                value = k.let(a.values.load(k, a.v_pages, a.values.at(block, slot, quad)), "value")
                if spec.latent and a.values.scaled:  # by groups of dimensions, as keys are
                    scale = a.values.scale(k, a.v_pages, block, slot, div(quad * 4, a.values.group))
                    value = k.let(value * splat(scale), "value")
                values.append(value)
            for token, value in zip(tokens, values, strict=True):
                with k.when(token < count):
                    for h, total in enumerate(sums):
                        weight = k.let(self.scores.load(h * spec.split_tokens + token), "weight")
                        total.set(fma(splat(weight), value, total.get(), 4))
        return sums

    # -- sums of all invocations, some heads at a time: those of a round are computed by results, one quad each
    def rounds(self) -> range:
        return range(0, self.shape.heads, self.shape.heads_at_once)

    def heads_of(self, first: int) -> int:
        return min(self.shape.heads_at_once, self.shape.heads - first)

    def results(self, first: int) -> int:
        """Quads of a round that an invocation computes."""
        return -(-self.heads_of(first) * self.spec.value_quads // THREADS)

    @contextmanager
    def result(self, first: int, j: int) -> Iterator[tuple[Expr, Expr]]:
        """(head of the workgroup, quad) of an invocation's j-th result of a round."""
        k, quads = self.k, self.spec.value_quads
        at = k.let(k.thread + j * THREADS, "at")
        head = k.let(div(at, quads) + first, "head")
        there = tirx.And(at < self.heads_of(first) * quads, self.first_head + head < self.spec.group)
        with k.when(there):
            yield head, k.let(mod(at, quads), "quad")

    def share(self, sums: list[Register], first: int) -> None:
        k, shape = self.k, self.shape
        with k.when(k.thread < shape.sums):
            for h in range(self.heads_of(first)):
                for i in range(4):
                    k.store(self.scores, (h * 4 + i) * shape.sums + k.thread, lane(sums[first + h].get(), i))

    def total(self, head: Expr, quad: Expr) -> Expr:
        """The quad of a head, over all runs of tokens."""
        k, shape = self.k, self.shape
        total = k.register("float32x4", f32(0.0, 4))
        with k.loop(0, shape.runs) as run:
            at = k.let(head * (4 * shape.sums) + run * self.spec.value_quads + quad, "at")
            total.set(total.get() + vector(*(self.scores.load(at + i * shape.sums) for i in range(4))))
        return k.let(total.get(), "output")

    def take(self, split: Expr, head: Expr, quad: Expr, output: Expr, fold: Fold) -> None:
        """A split's result: folded, or left for the merge."""
        k, a, spec = self.k, self.a, self.spec
        peak, total = k.let(self.peak_of.load(head), "peak"), k.let(self.total_of.load(head), "total")
        with k.when(a.folds):
            fold.add(peak, total, [output])
        with k.when(tirx.Not(a.folds)):
            place = partial_place(a, split, self.token, self.first_head + head)
            k.store(a.partials, place + quad, output)
            with k.when(tirx.EQ(quad, 0)):
                k.store(a.partials, place + spec.value_quads, stats(peak, total))
