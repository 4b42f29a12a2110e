"""Attention over pages against numpy in float64: groups, head sizes, windows, soft caps, contexts of several splits.

A failure says that answers go wrong for models of such a shape, often only once a conversation is long enough.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tvm")

from hearth.compiler.gpu.features import CORE, Features
from hearth.compiler.gpu.kernels.attention import FEW_TOKENS, NO_WINDOW, AttentionSpec, attention_merge, partial_width
from hearth.compiler.gpu.kernels.attention_decode import attention_decode, decode_parts
from hearth.compiler.gpu.kernels.attention_tile import attention_tile, tile_parts
from hearth.compiler.gpu.kernels.builder import GpuKernel
from hearth.compiler.gpu.kernels.subgroups import SUBGROUPS
from hearth.model.text.kv_cache import KvDtype

from .adapter import require, run_kernel
from .kv_pages import PAGE, KvPages

SPLIT = 128


@dataclass(frozen=True)
class Head:
    """Heads of a model, and how they look back."""

    group: int
    head_dim: int
    window: int | None = None
    chunked: bool = False
    softcap: float | None = None
    kv_dtype: KvDtype = "float32"
    kv_heads: int = 2
    ahead: bool = False
    tile: int = 16
    sinks: bool = False
    slopes: bool = False
    latent: int = 0

    @property
    def value_dim(self) -> int:
        return self.latent or self.head_dim

    @property
    def hp(self) -> int:
        return -(-self.head_dim // 16) * 16

    @property
    def spec(self) -> AttentionSpec:
        more = (self.sinks, self.slopes, self.chunked, self.latent)
        return AttentionSpec(self.group, self.hp, self.kv_dtype, SPLIT, self.softcap, *more)


HEADS = [
    Head(1, 20, kv_heads=3),
    Head(4, 80, kv_dtype="float16"),
    Head(8, 128, kv_heads=1, kv_dtype="float16"),
    Head(1, 256, kv_heads=1),
    Head(7, 64, window=7, kv_dtype="float16"),
    Head(16, 32, window=200, kv_dtype="float16", kv_heads=1),
    Head(2, 20, window=33, softcap=5.0),
    Head(2, 20, window=50, chunked=True),
    Head(3, 64, kv_dtype="int8"),
    Head(4, 48, window=200, softcap=2.5, kv_dtype="int8"),
    Head(4, 64, kv_dtype="float16", ahead=True),
    Head(1, 64, kv_dtype="float16", tile=64),
    Head(3, 20, kv_dtype="float16", window=33, sinks=True),
    Head(8, 64, kv_heads=1, kv_dtype="int8", sinks=True),
    Head(3, 32, kv_heads=3, slopes=True),
    Head(9, 64, kv_heads=1, kv_dtype="int8", ahead=True, sinks=True, slopes=True),
    Head(5, 96, kv_heads=1, latent=64),
    Head(9, 26, kv_heads=1, latent=20, window=130),
    Head(3, 576, kv_dtype="float16", kv_heads=1, latent=512),
    Head(10, 96, kv_dtype="int8", kv_heads=1, latent=64),
    Head(2, 80, kv_dtype="int8", kv_heads=1, latent=72),
]


class Context:
    """Keys and values of some sequences, in pages in no order; what was never written is NaN."""

    def __init__(self, head: Head, lengths: list[int]) -> None:
        rng = np.random.default_rng(0)
        self.head, self.lengths = head, lengths
        pages_each = [-(-length // PAGE) for length in lengths]
        order = rng.permutation(sum(pages_each)).astype(np.int32)
        self.stride = max(pages_each) + 1
        self.table = np.full((len(lengths), self.stride), -1, np.int32)
        self.k_pages = KvPages("k", head.kv_dtype, len(order), head.kv_heads, head.hp)
        self.v_pages = KvPages("v", head.kv_dtype, len(order), head.kv_heads, head.hp)
        self.keys, self.values, self.queries = [], [], []
        for sequence, (length, pages) in enumerate(zip(lengths, pages_each, strict=True)):
            start = sum(pages_each[:sequence])
            self.table[sequence, :pages] = order[start : start + pages]
            k, v = (rng.standard_normal((length, head.kv_heads, head.head_dim)) for _ in range(2))
            for t in range(length):
                page, slot = self.table[sequence, t // PAGE], t % PAGE
                for pages_of, values in ((self.k_pages, k), (self.v_pages, v)):
                    pages_of.write(page, slot, self._padded(values[t]))
                    values[t] = pages_of.read(page, slot)[:, : head.head_dim]
            if head.latent:  # values are a part of the keys
                v = k[..., : head.latent]
            self.keys.append(k)
            self.values.append(v)
            q = rng.standard_normal((length, head.kv_heads, head.group, head.head_dim)) * 3 / np.sqrt(head.head_dim)
            self.queries.append(q.astype(np.float32))
        # Some far above all scores, some far below.
        self.slopes = rng.uniform(0.01, 0.5, (head.kv_heads, head.group)).astype(np.float32)
        self.sinks = (3 * rng.standard_normal((head.kv_heads, head.group))).astype(np.float32)

    def _padded(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.pad(values, [*[(0, 0)] * (values.ndim - 1), (0, self.head.hp - self.head.head_dim)])

    def _rows(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """As kernels have them: padded, and each with its sink and slope, where there are any."""
        rows = self._padded(queries)
        if not self.head.sinks and not self.head.slopes:
            return rows
        behind = np.zeros((*rows.shape[:-1], 4), np.float32)
        behind[..., 0], behind[..., 1] = self.sinks, self.slopes
        return np.concatenate([rows, behind], axis=-1)

    def last_seen(self, position: int, end: int) -> int:
        """With `ahead` tokens see to the end of their eight, as far as the batch goes."""
        return min(position - position % 8 + 7, end - 1) if self.head.ahead else position

    def run(
        self, batch: list[tuple[int, int, int]], most: int | None = None, features: Features = CORE
    ) -> list[NDArray[np.float32]]:
        """Attention of tokens [start, end) of each (sequence, start, end), (tokens, heads * head_dim) each.

        Args:
            most: splits of a work item; its partial results are merged afterwards. None: items fold all their splits.
        """
        head = self.head
        places, queries = [], []
        items, merges, slots = [], [], 0
        for sequence, start, end in batch:
            for first in range(start, end, head.tile):
                at, count = len(places) + first - start, min(head.tile, end - first)
                splits = self.last_seen(first + count - 1, end) // SPLIT + 1
                if most is None:
                    items.append([at, count, sequence, 0, splits, -1, 0, 0])
                    continue
                for begin in range(0, splits, most):
                    stop = min(begin + most, splits)
                    items.append([at, count, sequence, begin, stop, slots + begin * count, 0, 0])
                merges.append([at, count, slots, splits])
                slots += splits * count
            places += [[0, p, self.last_seen(p, end), sequence] for p in range(start, end)]
            queries.append(self._rows(self.queries[sequence][start:end]))
        q = np.concatenate(queries).transpose(1, 0, 2, 3)  # (kv head, token, group, hp)
        tokens, heads = len(places), head.kv_heads * head.group
        ld = -(-heads * head.value_dim // 16) * 16
        out = np.full((tokens, ld), np.nan, np.float32)
        partials = np.full((slots + 1, head.kv_heads, head.group, partial_width(head.spec.columns)), np.nan, np.float32)
        scalars = [head.kv_heads, head.value_dim, tokens, self.stride, ld, head.window or NO_WINDOW]
        inputs = [np.array(items, np.int32), np.array(places, np.int32), self.table]
        for kernel, parts in self.kernels(features):
            pages = [self.k_pages.memory, *([] if head.latent else [self.v_pages.memory])]
            buffers = [q, *pages, *inputs, partials, out]
            *_, partials, out = run_kernel(kernel, buffers, [*scalars, parts], len(items) * head.kv_heads * parts)
        if merges:
            merge = attention_merge(head.group, head.spec.columns, sinks=head.sinks)
            own = [self.sinks.reshape(-1)] if head.sinks else []
            buffers = [partials, np.array(merges, np.int32), *own, out]
            *_, out = run_kernel(merge, buffers, [head.kv_heads, head.value_dim, ld], len(merges) * head.kv_heads)
        ends = np.cumsum([end - start for _, start, end in batch])[:-1]
        assert np.isnan(out[:, heads * head.value_dim :]).all()
        return np.split(out[:, : heads * head.value_dim], ends)

    def kernels(self, features: Features) -> list[tuple[GpuKernel, int]]:
        spec, tile = self.head.spec, self.head.tile
        return [
            (attention_decode(spec, replace(features, f16=False)), decode_parts(spec) * FEW_TOKENS),
            (attention_tile(spec, tile, replace(features, subgroups=False)), tile_parts(spec, tile)),
        ]

    def expected(self, sequence: int, start: int, end: int) -> NDArray[np.float64]:
        head = self.head
        q = self.queries[sequence][start:end].astype(np.float64)
        scores = np.einsum("tkgd,skd->tkgs", q, self.keys[sequence])
        if head.softcap:
            scores = head.softcap * np.tanh(scores / head.softcap)
        position, seen = np.arange(start, end)[:, None], np.arange(self.lengths[sequence])[None]
        if head.slopes:
            scores = scores - self.slopes[:, :, None] * (position - seen)[:, None, None]
        visible = seen <= np.array([self.last_seen(p, end) for p in range(start, end)])[:, None]
        if head.window:
            low = position - position % head.window if head.chunked else position - head.window + 1
            visible &= seen >= low
        scores = np.where(visible[:, None, None], scores, -np.inf)
        highest = scores.max(axis=-1, keepdims=True)
        weights = np.exp(scores - highest)
        sinks = np.exp(self.sinks[:, :, None] - highest) if head.sinks else 0.0
        weights /= weights.sum(axis=-1, keepdims=True) + sinks
        return np.einsum("tkgs,skd->tkgd", weights, self.values[sequence]).reshape(end - start, -1)


LENGTHS = [1, 5, 150, 300]
BATCH = [
    (3, 200, 293), (0, 0, 1), (2, 149, 150), (1, 0, 5), (2, 100, 107), (3, 299, 300), (1, 2, 3), (3, 120, 140),
]  # fmt: skip


@pytest.mark.parametrize("features", [CORE, SUBGROUPS], ids=lambda each: each.name)
@pytest.mark.parametrize("head", HEADS, ids=str)
def test_attention_is_what_numpy_computes(head: Head, features: Features) -> None:
    """Prompts in chunks and single tokens, of sequences of one page to three splits, in one batch; however it is cut
    into items, the result has the same bits."""
    require(features)
    context = Context(head, LENGTHS)
    folded, merged = context.run(BATCH, features=features), context.run(BATCH, most=1, features=features)
    for (sequence, start, end), one, other in zip(BATCH, folded, merged, strict=True):
        wanted = context.expected(sequence, start, end)
        np.testing.assert_allclose(one, wanted, atol=2e-5, err_msg=f"{sequence} {start}:{end}")
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("head", [head for head in HEADS if head.kv_dtype != "float32"], ids=str)
def test_16_bit_floats_round_and_nothing_else(head: Head) -> None:
    require(Features(f16=True))
    context = Context(head, LENGTHS)
    results = context.run(BATCH, features=Features(f16=True))
    for (sequence, start, end), actual in zip(BATCH, results, strict=True):
        wanted = context.expected(sequence, start, end)
        # Scores of about 10 are off by 10 * 2**-11 at most, and weights are by as much of themselves.
        np.testing.assert_allclose(
            actual, wanted, atol=3e-3 * np.abs(wanted).max(), err_msg=f"{sequence} {start}:{end}"
        )
