"""Tokens become rows of the embedding table, and logits become tokens, on a GPU: against numpy."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tvm")

from tests.gpu.adapter import run_kernel
from tests.gpu.products import Packed

from hearth.compiler.gpu.kernels.argmax import argmax
from hearth.compiler.gpu.kernels.embedding import EmbeddingSpec, embedding
from hearth.quant import FORMATS

LAYOUTS = list({fmt.kernel_layout: fmt.name for fmt in FORMATS.values()}.values())


@pytest.mark.parametrize("name", LAYOUTS)
def test_rows_of_every_format(name: str) -> None:
    table = Packed(FORMATS[name], 40, 272)
    ids = np.array([39, 0, 17, 16, 5], np.int32)
    start = np.full((len(ids), 272), np.nan, np.float32)
    *_, found = run_kernel(
        embedding(EmbeddingSpec(table.fmt)), [ids, table.bytes, start], [table.blocks, 272, 0, 40], 5
    )
    np.testing.assert_allclose(found, table.values[ids], rtol=1e-5, atol=1e-4)


def test_rows_are_scaled_and_those_of_another_part_left_alone() -> None:
    table = Packed(FORMATS["q4"], 32, 64)
    ids = np.array([15, 16, 47, 48, 30], np.int32)
    kernel = embedding(EmbeddingSpec(table.fmt, scale=8.0))
    *_, found = run_kernel(kernel, [ids, table.bytes, np.full((5, 64), -7, np.float32)], [table.blocks, 64, 16, 32], 5)
    np.testing.assert_allclose(found[[1, 2, 4]], 8 * table.values[ids[[1, 2, 4]] - 16], rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(found[[0, 3]], -7)


@pytest.mark.parametrize("blocks", [1, 255, 700])
def test_the_first_of_the_largest_is_the_token(blocks: int) -> None:
    rng = np.random.default_rng(blocks)
    largest = rng.integers(-40, 3, (6, blocks)).astype(np.float32) - 10  # many are equal, all negative
    place = (16 * np.arange(blocks) + rng.integers(0, 16, (6, blocks))).astype(np.int32)
    pairs = np.stack([largest.view(np.int32), place], axis=2)
    *_, found = run_kernel(argmax(), [pairs, np.full(6, -1, np.int32)], [blocks], 6)
    np.testing.assert_array_equal(found, place[np.arange(6), largest.argmax(axis=1)])
