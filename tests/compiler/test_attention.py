"""Attention over pages against numpy in float64: groups, head sizes, windows, soft caps, contexts of several splits.

A failure says that answers go wrong for models of such a shape, often only once a conversation is long enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.compiler.kernel_library import KernelLibrary, build, copied, guarded, isa_params
from tests.compiler.kv_pages import KvPages

from hearth.compiler.cpu.kernels.attention import attention
from hearth.compiler.cpu.kernels.attention_fold import AttentionSpec, attention_merge, partial_width
from hearth.compiler.cpu.targets import Isa
from hearth.quant import round_up

PAGE = 16
TILE = 16
SPLIT = 128


@dataclass(frozen=True)
class Head:
    """Heads of a model, and how they look back."""

    group: int
    head_dim: int
    window: int | None = None
    chunked: bool = False
    softcap: float | None = None
    kv_dtype: str = "float32"
    kv_heads: int = 2
    sinks: bool = False
    slopes: bool = False
    latent: int = 0

    @property
    def shared_heads(self) -> int:
        """Heads in the pages: of latent vectors there is one, for all groups of queries."""
        return 1 if self.latent else self.kv_heads

    @property
    def value_dim(self) -> int:
        return self.latent or self.head_dim

    @property
    def spec(self) -> AttentionSpec:
        hp = round_up(self.head_dim, 16)
        return AttentionSpec(
            self.window, self.softcap, TILE, SPLIT, self.group, hp, self.kv_dtype, sinks=self.sinks, slopes=self.slopes,
            latent=self.latent, chunked=self.chunked,
        )  # fmt: skip

    @property
    def name(self) -> str:
        return f"{self.spec.name}_d{self.head_dim}"


HEADS = [
    Head(1, 20, kv_heads=3),
    Head(3, 64),
    Head(4, 80),
    Head(7, 128, kv_heads=1),
    Head(1, 256, kv_heads=1),
    Head(4, 64, kv_dtype="float16"),
    Head(7, 64, window=7),
    Head(16, 32, window=200, kv_dtype="float16", kv_heads=1),
    Head(3, 20, window=130),
    Head(3, 20, window=50, chunked=True),
    Head(2, 64, window=128, chunked=True, kv_dtype="int8"),
    Head(2, 32, softcap=2.5),
    Head(2, 20, window=33, softcap=5.0, kv_dtype="float16"),
    Head(3, 64, kv_dtype="int8"),
    Head(4, 128, window=200, kv_dtype="int8"),
    Head(1, 80, softcap=5.0, kv_dtype="int8"),
    Head(3, 64, sinks=True),
    Head(8, 20, window=33, kv_dtype="int8", sinks=True),
    Head(3, 20, slopes=True),
    Head(4, 64, window=150, kv_dtype="int8", sinks=True, slopes=True),
    Head(5, 96, kv_heads=2, latent=64),
    Head(8, 26, kv_heads=1, latent=20, window=130),
    Head(3, 48, kv_dtype="float16", kv_heads=3, latent=40),
    Head(8, 96, kv_dtype="int8", kv_heads=2, latent=64),
    Head(2, 80, kv_dtype="int8", latent=72),
]


class Library:
    def __init__(self, isa: Isa, folder: Path) -> None:
        self.isa = isa
        self.kernels = {head.spec: attention(isa, head.spec, PAGE) for head in HEADS}
        self.merges = {head.spec: attention_merge(head.spec) for head in HEADS}
        self.library: KernelLibrary = build([*self.kernels.values(), *self.merges.values()], isa, folder)


@pytest.fixture(scope="module", params=isa_params())
def kernels(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(request.param, tmp_path_factory.mktemp("attention"))


class Context:
    """Keys and values of some sequences, in pages in no order; what was never written is NaN."""

    def __init__(self, head: Head, lengths: list[int], seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.head, self.lengths = head, lengths
        self.hp = round_up(head.head_dim, 16)
        pages_each = [-(-length // PAGE) for length in lengths]
        order = rng.permutation(sum(pages_each)).astype(np.int32)
        self.stride = max(pages_each) + 1
        self.table = np.full((len(lengths), self.stride), -1, np.int32)
        self.k_pages = KvPages("k", head.kv_dtype, len(order), head.shared_heads, self.hp)
        self.v_pages = KvPages("v", head.kv_dtype, len(order), head.shared_heads, self.hp)
        self.keys, self.values, self.queries = [], [], []
        for sequence, (length, pages) in enumerate(zip(lengths, pages_each, strict=True)):
            start = sum(pages_each[:sequence])
            self.table[sequence, :pages] = order[start : start + pages]
            k, v = (self._numbers(rng, length, head.shared_heads) for _ in range(2))
            for t in range(length):
                page, slot = self.table[sequence, t // PAGE], t % PAGE
                for pages_of, values in ((self.k_pages, k), (self.v_pages, v)):
                    pages_of.write(page, slot, self._padded(values[t]))
                    values[t] = pages_of.read(page, slot)[:, : head.head_dim]
            if head.latent:  # values are a part of the keys
                k = np.repeat(k, head.kv_heads, axis=1)
                v = k[..., : head.latent]
            self.keys.append(k)
            self.values.append(v)
            q = rng.standard_normal((length, head.kv_heads, head.group, head.head_dim)) * 3 / np.sqrt(head.head_dim)
            self.queries.append(q.astype(np.float32))
        self.slopes = rng.uniform(0.01, 0.5, head.kv_heads * head.group).astype(np.float32)
        # Some far above all scores, some far below.
        self.sinks = (3 * rng.standard_normal(head.kv_heads * head.group)).astype(np.float32)

    def _numbers(self, rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
        return rng.standard_normal((*shape, self.head.head_dim)).astype(np.float32)

    def _padded(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.pad(values, [*[(0, 0)] * (values.ndim - 1), (0, self.hp - self.head.head_dim)])

    def run(
        self,
        kernels: Library,
        batch: list[tuple[int, int, int]],
        chunk: int = 3,
        tile: int = TILE,
        most: int | None = None,
    ) -> list[NDArray[np.float32]]:
        """Attention of tokens [start, end) of each (sequence, start, end), (tokens, heads * head_dim) each.

        Args:
            tile: tokens of a work item.
            most: splits of a work item; its partial results are merged afterwards. None: items fold all their splits.
        """
        head, spec = self.head, self.head.spec
        positions, queries = [], []
        items, merges, slots = [], [], 0
        for sequence, start, end in batch:
            for first in range(start, end, tile):
                at, count = len(positions) + first - start, min(tile, end - first)
                splits = (first + count - 1) // SPLIT + 1
                if most is None:
                    items.append([at, count, sequence, 0, splits, -1, 0, 0])
                    continue
                for begin in range(0, splits, most):
                    stop = min(begin + most, splits)
                    items.append([at, count, sequence, begin, stop, slots + begin * count, 0, 0])
                merges.append([at, count, slots, splits])
                slots += splits * count
            positions += range(start, end)
            queries.append(self._padded(self.queries[sequence][start:end]))
        q = np.concatenate(queries).transpose(1, 0, 2, 3)  # (kv head, token, group, hp)
        heads = head.kv_heads * head.group
        ld = round_up(heads * head.value_dim, 16)
        out = guarded((len(positions), ld), np.float32)
        partials = guarded((slots, head.kv_heads, head.group, partial_width(spec.columns)), np.float32)
        buffers = [
            copied(q), self.k_pages.memory, *([] if head.latent else [self.v_pages.memory]),
            copied(np.array(items, np.int32)),
            copied(np.array(positions, np.int32)), copied(self.table), *self._own_sinks(), *self._own_slopes(),
            partials, out,
        ]  # fmt: skip
        kernels.library.run(
            kernels.kernels[spec].name,
            buffers,
            [head.kv_heads, head.value_dim, len(positions), self.stride, ld],
            len(items) * head.kv_heads,
            chunk=chunk,
            scratch_bytes=spec.scratch_bytes(),
        )
        if merges:
            kernels.library.run(
                kernels.merges[spec].name,
                [partials, copied(np.array(merges, np.int32)), *self._own_sinks(), out],
                [head.kv_heads, head.value_dim, ld],
                len(merges) * head.kv_heads,
                chunk=chunk,
                scratch_bytes=spec.scratch_bytes(),
            )
        ends = np.cumsum([end - start for _, start, end in batch])[:-1]
        return [np.array(part) for part in np.split(out[:, : heads * head.value_dim], ends)]

    def _own_sinks(self) -> list[NDArray[np.float32]]:
        return [copied(self.sinks)] if self.head.sinks else []

    def _own_slopes(self) -> list[NDArray[np.float32]]:
        return [copied(self.slopes)] if self.head.slopes else []

    def expected(self, sequence: int, start: int, end: int) -> NDArray[np.float64]:
        head = self.head
        q = self.queries[sequence][start:end].astype(np.float64)
        scores = np.einsum("tkgd,skd->tkgs", q, self.keys[sequence].astype(np.float64))
        if head.softcap:
            scores = head.softcap * np.tanh(scores / head.softcap)
        position, seen = np.arange(start, end)[:, None], np.arange(self.lengths[sequence])[None]
        if head.slopes:
            scores -= self.slopes.reshape(head.kv_heads, head.group, 1) * (position - seen)[:, None, None]
        visible = seen <= position
        if head.window:
            low = position - position % head.window if head.chunked else position - head.window + 1
            visible &= seen >= low
        scores = np.where(visible[:, None, None], scores, -np.inf)
        highest = scores.max(axis=-1, keepdims=True)
        weights = np.exp(scores - highest)
        sinks = np.exp(self.sinks.reshape(1, head.kv_heads, head.group, 1) - highest) if head.sinks else 0.0
        weights /= weights.sum(axis=-1, keepdims=True) + sinks
        return np.einsum("tkgs,skd->tkgd", weights, self.values[sequence].astype(np.float64)).reshape(end - start, -1)


BATCH = [(3, 260, 293), (0, 0, 1), (2, 149, 150), (1, 0, 5), (2, 100, 107), (3, 299, 300), (3, 120, 140)]


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.name)
def test_attention_is_what_numpy_computes(kernels: Library, head: Head) -> None:
    """Prompts in chunks and single tokens of sequences of one page to three splits."""
    context = Context(head, [1, 5, 150, 300])
    for (sequence, start, end), actual in zip(BATCH, context.run(kernels, BATCH), strict=True):
        np.testing.assert_allclose(
            actual, context.expected(sequence, start, end), atol=1e-5, rtol=1e-5, err_msg=f"{sequence} {start}:{end}"
        )


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.name)
def test_how_the_work_is_cut_changes_no_bit(kernels: Library, head: Head) -> None:
    """Else an answer would depend on the number of threads, on the prompt's chunks and on whether drafts were tried."""
    context = Context(head, [1, 5, 150, 600])
    batch = [*BATCH, (3, 500, 533), (3, 599, 600)]
    whole = context.run(kernels, batch)
    for most, tile in ((1, TILE), (2, TILE), (1, 1), (3, 5), (None, 1), (None, 7)):
        for (_, start, end), expected, actual in zip(
            batch, whole, context.run(kernels, batch, 2, tile, most), strict=True
        ):
            assert np.array_equal(actual, expected), f"{start}:{end} in items of {most} splits and {tile} tokens"


@pytest.mark.parametrize("length", [15, 16, 17, 127, 128, 129, 256, 257])
def test_next_token_at_the_borders_of_pages_and_splits(kernels: Library, length: int) -> None:
    for head in (HEADS[0], HEADS[6], HEADS[8]):
        context = Context(head, [length], seed=length)
        (actual,) = context.run(kernels, [(0, length - 1, length)])
        np.testing.assert_allclose(actual, context.expected(0, length - 1, length), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("head", [HEADS[3], HEADS[6]], ids=lambda head: head.name)
def test_neighbours_in_a_batch_change_no_bit(kernels: Library, head: Head) -> None:
    context = Context(head, [40, 180])
    (alone,) = context.run(kernels, [(1, 150, 180)], chunk=1)
    for batch in ([(0, 0, 40), (1, 150, 180)], [(1, 150, 180), (0, 39, 40)]):
        for chunk in (1, 2, 5):
            assert np.array_equal(context.run(kernels, batch, chunk)[batch.index((1, 150, 180))], alone)


def test_scores_too_large_for_the_exponential(kernels: Library) -> None:
    """One key far ahead of the others takes all the weight; nothing becomes infinite or NaN."""
    head = HEADS[1]
    context = Context(head, [200])
    context.queries[0] *= 300
    (actual,) = context.run(kernels, [(0, 170, 200)])
    np.testing.assert_allclose(actual, context.expected(0, 170, 200), atol=1e-3)
