"""A masked row keeps what may come as it is, and nothing else can be drawn from it."""

from __future__ import annotations

import numpy as np
import pytest

from hearth.errors import UsageError
from hearth.runtime import Model, TextSession

RNG = np.random.default_rng(5)


def expected(logits: np.ndarray, mask: np.ndarray) -> np.ndarray:
    allowed = np.unpackbits(mask.view(np.uint8), bitorder="little")[: logits.size].astype(bool)
    return np.where(allowed, logits, np.float32(-np.inf))


@pytest.mark.parametrize("size", [1, 31, 32, 33, 100, 4096, 49_152, 128_256])
def test_a_masked_row_has_the_allowed_logits_and_minus_infinity(model: Model, size: int) -> None:
    session = TextSession(model, num_pages=1, threads=1)
    logits = RNG.normal(size=size).astype(np.float32)
    words = -(-size // 32)
    for mask in (
        np.zeros(words, np.int32),
        np.full(words, -1, np.int32),
        RNG.integers(-(2**31), 2**31, words).astype(np.int32),
        np.where(RNG.random(words) < 0.9, 0, 1 << RNG.integers(0, 31, words)).astype(np.int32),
    ):
        out = np.full(size, np.nan, np.float32)
        session.apply_mask(logits, mask, out)
        np.testing.assert_array_equal(out, expected(logits, mask))
        in_place = logits.copy()
        session.apply_mask(in_place, mask, in_place)
        np.testing.assert_array_equal(in_place, out)


def test_a_row_of_a_forward_can_be_masked_but_not_written(model: Model) -> None:
    session = TextSession(model, num_pages=4, threads=1)
    row = session.forward([1, 2], [0, 1], [0, 0], [[0]], [0, 1]).logits[1]
    mask = np.array([1 << 7, 0, 0, 1], np.int32)
    out = np.empty(row.size, np.float32)
    session.apply_mask(row, mask, out)
    assert np.flatnonzero(np.isfinite(out)).tolist() == [7, 96]
    assert out[7] == row[7]
    with pytest.raises(UsageError, match="cannot be written"):
        session.apply_mask(row, mask, row)


def test_arrays_of_another_size_or_kind_are_refused(model: Model) -> None:
    session = TextSession(model, num_pages=1, threads=1)
    logits, mask, out = np.zeros(100, np.float32), np.zeros(4, np.int32), np.zeros(100, np.float32)
    for wrong in (
        (logits, mask[:3], out),
        (logits, mask, out[:99]),
        (logits, mask.astype(np.int64), out),
        (logits.astype(np.float64), mask, out),
        (np.zeros(200, np.float32)[::2], mask, out),
        (logits.reshape(10, 10), mask, out),
    ):
        with pytest.raises(UsageError, match="must be"):
            session.apply_mask(*wrong)
    session.close()
    with pytest.raises(UsageError, match="closed"):
        session.apply_mask(logits, mask, out)
