"""Floats of 4 bits (OCP E2M1), two in a byte, as our formats of the same name hold them: MXFP4 and NVFP4.

MXFP4 has a power of two (E8M0) for each 32 columns, NVFP4 a float of 8 bits (E4M3, never negative) for each 16 and a
factor for the whole weight.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.quantised.weight import Stored, Weight

MX_COLUMNS, NV_COLUMNS = 32, 16
_NO_NUMBER = 0x7F


def nibbles(packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Both halves of each byte, the lower first: `(rows, bytes)` to `(rows, 2 * bytes)`."""
    return np.stack((packed & 15, packed >> 4), axis=-1).reshape(len(packed), -1)


def mxfp4(
    stored: Stored, name: str, packed: NDArray[np.uint8], scales: NDArray[np.uint8], parts: tuple[str, ...]
) -> Weight:
    """A weight in MXFP4.

    Args:
        packed: `(..., rows, columns / 2)`.
        scales: `(..., rows, columns / 32)`.
        parts: their tensors, those first.

    Raises:
        CorruptFile: shapes do not fit.
    """
    shape = _shape(stored, packed, scales, MX_COLUMNS, parts)
    flat, bytes_ = packed.reshape(-1, packed.shape[-1]), scales.reshape(-1, scales.shape[-1])

    def read(begin: int, end: int) -> Mapping[str, NDArray[Any]]:
        return {"q": nibbles(flat[begin:end]), "scale": bytes_[begin:end]}

    return stored.weight(name, shape, "mxfp4", read, "mxfp4", parts)


def nvfp4(
    stored: Stored,
    name: str,
    packed: NDArray[np.uint8],
    scales: NDArray[np.uint8],
    factor: float | NDArray[np.float32],
    parts: tuple[str, ...],
) -> Weight:
    """A weight in NVFP4.

    Args:
        packed: `(..., rows, columns / 2)`.
        scales: `(..., rows, columns / 16)`.
        factor: that multiplies all, or one for each matrix of a stack.
        parts: their tensors, those first.

    Raises:
        CorruptFile: shapes do not fit; a scale is none.
    """
    shape = _shape(stored, packed, scales, NV_COLUMNS, parts)
    count = math.prod(shape[:-2])
    factors = np.broadcast_to(np.asarray(factor, np.float32).reshape(-1), (count,))
    flat, bytes_ = packed.reshape(-1, packed.shape[-1]), scales.reshape(-1, scales.shape[-1])
    blocks = -(-shape[-1] // 256)

    def read(begin: int, end: int) -> Mapping[str, NDArray[Any]]:
        sub_scale = bytes_[begin:end]
        stored.require(bool((sub_scale < _NO_NUMBER).all()), parts[1], "A scale is negative, or no number.")
        own = factors[np.arange(begin, end) // shape[-2]]
        return {"q": nibbles(flat[begin:end]), "sub_scale": sub_scale, "scale": np.repeat(own[:, None], blocks, axis=1)}

    return stored.weight(name, shape, "nvfp4", read, "nvfp4", parts)


def _shape(
    stored: Stored, packed: NDArray[Any], scales: NDArray[Any], columns: int, parts: tuple[str, ...]
) -> tuple[int, ...]:
    """The weight's shape."""
    fits = packed.ndim >= 2 and packed.shape[:-1] == scales.shape[:-1] and all(packed.shape)
    fits = fits and packed.shape[-1] * 2 == scales.shape[-1] * columns
    stored.require(bool(fits), parts[0], f"Its scales have the shape {list(scales.shape)}.")
    return (*packed.shape[:-1], 2 * packed.shape[-1])
