"""What the bits of floats are worth: of 32, 16 and 8 bits, as f32, exactly.

Floats of 8 bits are those of the OCP specifications "8-bit Floating Point" (E4M3, E5M2) and "Microscaling Formats"
(E8M0, powers of two). numpy has no type for these nor for bf16; their bits stand for them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

STORED_TYPES: dict[str, type[np.generic]] = {
    "f64": np.float64, "f32": np.float32, "f16": np.float16, "bf16": np.uint16,
    "f8_e4m3": np.uint8, "f8_e5m2": np.uint8, "f8_e8m0": np.uint8,
}  # fmt: skip
"""numpy's type for each float, or for its bits."""


def _e4m3() -> NDArray[np.float32]:
    """By their bits: 4 of the exponent, 3 of the fraction, no infinity; 0x7F and 0xFF are no number."""
    bits = np.arange(256)
    exponent, fraction = bits >> 3 & 15, (bits & 7).astype(np.float32)
    sizes = np.ldexp(np.where(exponent > 0, np.float32(8), np.float32(0)) + fraction, np.maximum(exponent, 1) - 10)
    sizes[(bits & 0x7F) == 0x7F] = np.nan
    return np.asarray(np.where(bits < 128, sizes, -sizes), np.float32)


_TABLES: dict[str, NDArray[np.float32]] = {
    "f8_e4m3": _e4m3(),
    "f8_e8m0": np.append(np.ldexp(np.float32(1), np.arange(255) - 127), np.float32(np.nan)).astype(np.float32),
}


def to_f32(stored: NDArray[Any], dtype: str) -> NDArray[np.float32]:
    """Stored floats (`STORED_TYPES`) as f32, same shape; f32 is answered as it is. f64 is rounded. Raises KeyError for
    another type."""
    if dtype == "bf16":
        bits = stored.astype(np.uint32)
        bits <<= 16
        return bits.view(np.float32)
    if dtype in _TABLES:
        return np.asarray(_TABLES[dtype][stored])
    if dtype == "f8_e5m2":  # the upper half of an f16
        return (stored.astype(np.uint16) << 8).view(np.float16).astype(np.float32)
    assert STORED_TYPES[dtype] == stored.dtype
    return stored.astype(np.float32, copy=False)
