"""Floats of 8 bits with scales: for the whole matrix, a row, or a block of rows and columns. They become f32."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.floats import STORED_TYPES, to_f32
from hearth.checkpoint.quantised.weight import Stored, Weight

BYTES = ("f8_e4m3", "f8_e5m2")


def scaled_floats(
    stored: Stored,
    name: str,
    weight: str,
    scale: str,
    *,
    block: tuple[int, int] | None = None,
    published: str = "fp8",
    serving: tuple[str, ...] = (),
) -> Weight:
    """A weight whose every number is its float times the scale of its place.

    Args:
        name: of the unquantised tensor.
        weight, scale: tensors `(..., rows, columns)`; scales: one, one for each row, or for each block. Those of type
            u8 are powers of two.
        block: rows and columns of a block, of which those at the edges may be cut; where they do not fit (None: there
            are none) as the shapes say.
        serving: further tensors of this weight, which concern activations.

    Raises:
        CorruptFile: shapes do not fit. Unsupported: another type.
    """
    info, how = stored.info(weight, *BYTES), stored.info(scale, *STORED_TYPES, "u8")
    numbers, scales = stored.array(weight), stored.array(scale)
    dtype = "f8_e8m0" if how.dtype == "u8" else how.dtype
    stored.require(len(info.shape) in (2, 3) and all(info.shape), weight, "A matrix is expected, or a stack of them.")
    *stack, rows, columns = info.shape
    count = math.prod(stack)
    if scales.size == 1:
        scales = scales.reshape(1, 1, 1)
    elif scales.shape == (rows,) and not stack:
        scales = scales.reshape(1, rows, 1)
    else:
        fits = scales.ndim >= 2 and (scales.shape[:-2] == tuple(stack))
        stored.require(fits, scale, f"It belongs to a weight of the shape {list(info.shape)}.")
        scales = scales.reshape(count, *scales.shape[-2:])
    high = _block(rows, scales.shape[1], block[0] if block else None)
    wide = _block(columns, scales.shape[2], block[1] if block else None)
    stored.require(high > 0 and wide > 0, scale, f"It belongs to a weight of the shape {list(info.shape)}.")
    numbers = numbers.reshape(-1, columns)
    per_matrix = 0 if len(scales) == 1 < count else 1

    def read(begin: int, end: int) -> NDArray[np.float32]:
        values = to_f32(numbers[begin:end], info.dtype)
        matrix, row = np.divmod(np.arange(begin, end), rows)
        chosen = to_f32(scales[matrix * per_matrix, row // high], dtype)
        if wide == columns:
            return values * chosen
        whole = np.repeat(chosen, wide, axis=1)[:, :columns]
        return values * whole

    return stored.weight(name, info.shape, "f32", read, published, (weight, scale, *serving))


def _block(size: int, count: int, given: int | None) -> int:
    """Numbers along one axis that share a scale; 0 where so many scales cannot be for so many numbers."""
    if count == 1:
        return size
    if given and -(-size // given) == count:
        return given
    return size // count if size % count == 0 else 0
