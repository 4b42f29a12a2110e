"""GGUF block types of 1 to 3 bits whose vectors come from grids (IQ1, IQ2, IQ3), as places in a table and scales.

Of a number in a grid only few sizes occur, so a vector of a grid with its signs is a row of places in a table of at
most 16 entries (`formats.TABLES`), and nothing is rounded. A sign is a bit of its own, or, where 7 bits stand for 8
signs, the eighth makes the number of minus signs even. All of a block's scales are odd multiples of a power of two
times d.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.quant.grids import grid

U8 = NDArray[np.uint8]

_WORDS = {4: np.uint32, 8: np.uint64}
_MINUS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little").view(np.uint64)[:, 0]
"""A word of eight bytes for each eight signs: 1 for a minus."""
_PARITY = np.array([bin(i).count("1") & 1 for i in range(128)], np.uint8)


def iq2_xxs(b: U8) -> dict[str, NDArray[Any]]:
    """d; for each 32 columns four indices, and a word of four times 7 signs and a scale."""
    groups = b[..., 2:66].reshape(*b.shape[:-1], 8, 8)
    signs, scales = _signs_and_scale(groups[..., 4:])
    places = _signed(_vectors("iq2_xxs", groups[..., :4]), signs, 3)
    return {"scale": _d(b, 1 / 8), "sub_scale": _odd(scales), "q": places}


def iq2_xs(b: U8) -> dict[str, NDArray[Any]]:
    """d; for each 8 columns an index of 9 bits and 7 signs; scales of 4 bits for each 16 columns."""
    words = _u16(b[..., 2:66])
    places = _signed(_vectors("iq2_xs", words & 511), _eight((words >> 9).astype(np.uint8)), 3)
    return {"scale": _d(b, 1 / 8), "sub_scale": _odd(_nibbles(b[..., 66:74])), "q": places}


def iq2_s(b: U8) -> dict[str, NDArray[Any]]:
    """d; for each 8 columns the low byte of an index, then 8 signs; 2 further bits of each index; scales."""
    high = _fields(b[..., 66:74], 4, 2).astype(np.uint16)
    places = _signed(_vectors("iq2_s", b[..., 2:34] | high << 8), b[..., 34:66], 3)
    return {"scale": _d(b, 1 / 8), "sub_scale": _odd(_nibbles(b[..., 74:82])), "q": places}


def iq3_xxs(b: U8) -> dict[str, NDArray[Any]]:
    """d; for each 4 columns an index; for each 32 a word of four times 7 signs and a scale."""
    signs, scales = _signs_and_scale(b[..., 66:98].reshape(*b.shape[:-1], 8, 4))
    places = _signed(_pairs(_vectors("iq3_xxs", b[..., 2:66])), signs.reshape(*b.shape[:-1], 32), 8)
    return {"scale": _d(b, 1 / 4), "sub_scale": _odd(scales), "q": places}


def iq3_s(b: U8) -> dict[str, NDArray[Any]]:
    """d; for each 4 columns the low byte of an index; the ninth bits; 8 signs for each 8 columns; scales for 32."""
    ninth = _fields(b[..., 66:74], 8, 1).astype(np.uint16)
    places = _signed(_pairs(_vectors("iq3_s", b[..., 2:66] | ninth << 8)), b[..., 74:106], 8)
    return {"scale": _d(b, 1), "sub_scale": _odd(_nibbles(b[..., 106:110])), "q": places}


def iq1_s(b: U8) -> dict[str, NDArray[Any]]:
    """d; for each 8 columns the low byte of an index; for each 32 a word of 3 further bits of each index, a scale of 3
    bits, and the sign of the eighth that is added to every number."""
    words = _u16(b[..., 34:50])
    high = words[..., None] >> np.array([0, 3, 6, 9], np.uint16) & 7
    codes = _vectors("iq1", b[..., 2:34] | (high << 8).reshape(*b.shape[:-1], 32))
    more = np.repeat(words < 0x8000, 4, axis=-1)
    return {"scale": _d(b, 1 / 8), "sub_scale": _odd(words >> 12 & 7), "q": 2 * codes + more[..., None]}


def iq1_m(b: U8) -> dict[str, NDArray[Any]]:
    """For each 8 columns the low byte of an index, then 3 further bits and the sign of the eighth; words of four scales
    of 3 bits for each 16 columns, whose upper four bits are d."""
    high = _nibbles(b[..., 32:48]).astype(np.uint16)
    codes = _vectors("iq1", b[..., :32] | (high & 7) << 8)
    words = _u16(b[..., 48:56])
    d = (words >> 12 << np.array([0, 4, 8, 12], np.uint16)).sum(axis=-1, dtype=np.uint16, keepdims=True)
    scales = (words[..., None] >> np.array([0, 3, 6, 9], np.uint16) & 7).reshape(*b.shape[:-1], 16)
    return {
        "scale": _scaled(d, 1 / 8),
        "sub_scale": _odd(scales),
        "q": 2 * codes + (high < 8)[..., None].astype(np.uint8),
    }


def _d(b: U8, power_of_two: float) -> NDArray[np.float32]:
    """The half at the beginning of each block, times a power of two: exact in f32."""
    return _scaled(np.ascontiguousarray(b[..., :2]), power_of_two)


def _scaled(halves: NDArray[Any], power_of_two: float) -> NDArray[np.float32]:
    d = halves.view(np.float16).astype(np.float32)
    with np.errstate(invalid="ignore"):  # what is no number is refused by who asked
        return d * np.float32(power_of_two)


def _odd(scales: NDArray[Any]) -> NDArray[np.int8]:
    return (2 * scales + 1).astype(np.int8)


def _u16(part: U8) -> NDArray[np.uint16]:
    return np.ascontiguousarray(part).view("<u2")


def _fields(part: U8, count: int, bits: int) -> U8:
    """`count` numbers of so many bits from each byte, the first in the lowest."""
    shifts = np.arange(count, dtype=np.uint8) * np.uint8(bits)
    return (part[..., None] >> shifts & np.uint8((1 << bits) - 1)).reshape(*part.shape[:-1], -1)


def _nibbles(part: U8) -> U8:
    return _fields(part, 2, 4)


def _eight(seven: U8) -> U8:
    """Eight signs of which seven are given."""
    return seven | _PARITY[seven] << np.uint8(7)


def _signs_and_scale(words: U8) -> tuple[U8, U8]:
    """Of words `(..., 8, 4 bytes)` the signs of four vectors `(..., 8, 4)` and the scale `(..., 8)`."""
    word = np.ascontiguousarray(words).view("<u4")  # (..., 8, 1)
    seven = (word >> np.array([0, 7, 14, 21], np.uint32) & 127).astype(np.uint8)
    return _eight(seven), (word[..., 0] >> 28).astype(np.uint8)


def _vectors(name: str, indices: NDArray[Any]) -> U8:
    """Vectors of a grid `(..., numbers of a vector)`, each looked up as one word."""
    vectors = grid(name)
    words = vectors.view(_WORDS[vectors.shape[1]])[:, 0]
    found: U8 = words[indices][..., None].view(np.uint8)
    return found


def _pairs(vectors: U8) -> U8:
    """Vectors of 4 as vectors of 8."""
    return vectors.reshape(*vectors.shape[:-2], -1, 8)


def _signed(vectors: U8, signs: U8, sizes: int) -> U8:
    """Places in a table of `sizes` numbers and their negatives: of vectors `(..., 8)` with a bit for each sign. Eight
    places are added as one word: none is above a byte."""
    words = vectors.view(np.uint64)[..., 0] + _MINUS[signs] * np.uint64(sizes)
    return words[..., None].view(np.uint8)
