"""Tokens become rows of the embedding table, and logits become tokens, on a GPU: against numpy."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tvm")

from tests.gpu.adapter import require, run_kernel
from tests.gpu.products import Packed

from hearth.compiler.gpu.features import CORE, Features
from hearth.compiler.gpu.kernels.argmax import argmax
from hearth.compiler.gpu.kernels.embedding import EmbeddingSpec, embedding
from hearth.compiler.gpu.kernels.likeliest import LIKELIEST, likeliest
from hearth.compiler.gpu.kernels.subgroups import SUBGROUPS
from hearth.quant import FORMATS

LAYOUTS = list({fmt.kernel_layout: fmt.name for fmt in FORMATS.values()}.values())


@pytest.mark.parametrize("name", LAYOUTS)
def test_rows_of_every_format(name: str) -> None:
    table = Packed(FORMATS[name], 40, 272)
    ids = np.array([39, 0, 17, 16, 5], np.int32)
    start = np.full((len(ids), 272), np.nan, np.float32)
    *_, found = run_kernel(
        embedding(EmbeddingSpec(table.fmt)), [ids, table.bytes, start], [table.blocks, 3, 272, 0, 40], 5
    )
    np.testing.assert_allclose(found, table.values[ids], rtol=1e-5, atol=1e-4)


def test_rows_are_scaled_and_those_of_another_part_left_alone() -> None:
    table = Packed(FORMATS["q4"], 32, 64)
    ids = np.array([15, 16, 47, 48, 30], np.int32)
    kernel = embedding(EmbeddingSpec(table.fmt, scale=8.0))
    start = np.full((5, 64), -7, np.float32)
    *_, found = run_kernel(kernel, [ids, table.bytes, start], [table.blocks, 2, 64, 16, 32], 5)
    np.testing.assert_allclose(found[[1, 2, 4]], 8 * table.values[ids[[1, 2, 4]] - 16], rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(found[[0, 3]], -7)


def test_a_table_in_parts_is_looked_up_at_once() -> None:
    table = Packed(FORMATS["q4"], 90, 64)
    ids, each = np.array([0, 31, 32, 63, 64, 89], np.int32), 2 * table.fmt.row_block_bytes(64)
    kernel = embedding(EmbeddingSpec(table.fmt, parts=3))
    parts = [table.bytes[first : first + each] for first in (0, each, 2 * each)]
    start = np.full((6, 64), np.nan, np.float32)
    *_, found = run_kernel(kernel, [ids, *parts, start], [table.blocks, 2, 64, 0, 90], 6)
    np.testing.assert_allclose(found, table.values[ids], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("n", "levels"), [(50, 9), (1000, 3), (5000, 0), (40_000, 0), (40_000, 2000), (7001, 4)])
def test_the_likeliest_tokens_come_in_order(n: int, levels: int) -> None:
    """Of equals the first; where thousands are equal none are told, nor where there are no numbers."""
    rng, blocks = np.random.default_rng(n), -(-n // 16)
    rows = rng.normal(size=(3, n)) if not levels else rng.integers(-levels, 0, (3, n))
    logits = np.full((3, 16 * blocks), 1e9, np.float32)  # what stands behind the last one does not count
    logits[:, :n] = rows
    counted = np.full_like(logits, -3.4e38)
    counted[:, :n] = logits[:, :n]
    peaks = counted.reshape(3, blocks, 16).max(axis=2)
    largest = np.stack([peaks.view(np.int32), np.zeros_like(peaks, np.int32)], axis=2)
    made = np.zeros((3, 2 * LIKELIEST), np.int32)
    *_, found = run_kernel(likeliest(), [logits, largest, made], [n, 16 * blocks, blocks], 3)
    values, tokens = found[:, :LIKELIEST].view(np.float32), found[:, LIKELIEST:]
    expected = np.argsort(-logits[:, :n], axis=1, kind="stable")[:, :LIKELIEST]
    if levels == 4:
        assert (tokens == -1).all()
        return
    np.testing.assert_array_equal(tokens[:, : expected.shape[1]], expected)
    np.testing.assert_array_equal(values[:, : expected.shape[1]], np.take_along_axis(logits, expected, axis=1))
    assert (tokens[:, expected.shape[1] :] == -1).all()


@pytest.mark.parametrize("blocks", [1, 255, 700])
@pytest.mark.parametrize("features", [CORE, SUBGROUPS], ids=lambda each: each.name)
def test_the_first_of_the_largest_is_the_token(blocks: int, features: Features) -> None:
    require(features)
    rng = np.random.default_rng(blocks)
    largest = rng.integers(-40, 3, (6, blocks)).astype(np.float32) - 10  # many are equal, all negative
    place = (16 * np.arange(blocks) + rng.integers(0, 16, (6, blocks))).astype(np.int32)
    pairs = np.stack([largest.view(np.int32), place], axis=2)
    *_, found = run_kernel(argmax(features), [pairs, np.full(6, -1, np.int32)], [blocks], 6)
    np.testing.assert_array_equal(found, place[np.arange(6), largest.argmax(axis=1)])
