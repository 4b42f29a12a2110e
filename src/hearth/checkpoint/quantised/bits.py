"""Integers of few bits that lie in words one after another, the lowest bits first, whether or not words end between."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def unpack_bits(words: NDArray[Any], bits: int, count: int) -> NDArray[np.uint8]:
    """The first `count` integers of each row of words: `(rows, words)` of any width, little-endian, to
    `(rows, count)`."""
    stream = np.ascontiguousarray(words).view(np.uint8).reshape(len(words), -1)
    if bits == 8:
        return stream[:, :count]
    if bits in (2, 4):
        shifts = np.arange(0, 8, bits, dtype=np.uint8)
        fields = stream[:, :, None] >> shifts & np.uint8((1 << bits) - 1)
        return fields.reshape(len(words), -1)[:, :count]
    single = np.unpackbits(stream, axis=1, count=count * bits, bitorder="little").reshape(len(words), count, bits)
    return np.packbits(single, axis=2, bitorder="little")[:, :, 0]


def unpack_columns(words: NDArray[Any], bits: int, begin: int, end: int) -> NDArray[np.uint8]:
    """Integers `[begin, end)` of each row of words, without those before and behind."""
    # As many words as there are bits hold a whole number of integers.
    per_word = 8 * words.dtype.itemsize
    first = begin // per_word
    part = words[:, first * bits : -(-end // per_word) * bits]
    return unpack_bits(part, bits, end - first * per_word)[:, begin - first * per_word :]
