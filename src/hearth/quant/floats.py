"""Float formats to and from f32: widening is exact, narrowing rounds to nearest even and refuses to overflow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.floats import to_f32
from hearth.errors import CorruptFile, Unsupported

FLOAT_BYTES = {"f32": 4, "f16": 2, "bf16": 2}
NATIVE_TYPES = {"f32": np.float32, "f16": np.float16, "bf16": np.uint16}
"""numpy's type for each format; bf16, which numpy does not have, as its bits."""

# The smallest magnitude that rounds to infinity: half a step above the largest number of the format.
_ROUNDS_TO_INFINITY = {"f32": float("inf"), "f16": 65520.0, "bf16": float(2.0**128 - 2.0**119)}


def widen(raw: NDArray[np.uint8], dtype: str) -> NDArray[np.float32]:
    """Little-endian bytes of f32, f16 or bf16 numbers as f32, flat. Exact; f32 is a view where alignment allows it."""
    raw = np.ascontiguousarray(raw).reshape(-1)
    if dtype not in NATIVE_TYPES:
        raise Unsupported(f"'{dtype}' is no float type.", hint=f"Known: {', '.join(FLOAT_BYTES)}.")
    return to_f32(raw.view(NATIVE_TYPES[dtype]), dtype)


def narrow(values: NDArray[np.float32], dtype: str, name: str = "the weight") -> NDArray[Any]:
    """f32 values as f32, f16 (float16) or bf16 (its bits, uint16), rounded to nearest even; same shape.

    Raises:
        CorruptFile: a value is not finite.
        Unsupported: a finite value is too large for the format.
    """
    if dtype not in _ROUNDS_TO_INFINITY:
        raise Unsupported(f"'{dtype}' is no float type.", hint=f"Known: {', '.join(FLOAT_BYTES)}.")
    largest = _largest(values, name)
    if largest >= _ROUNDS_TO_INFINITY[dtype]:
        raise Unsupported(
            f"'{name}' holds a value that is too large for {dtype}: {largest:.6g}.",
            hint="Keep it in a format with more range: --quant f32.",
        )
    if dtype == "f16":
        return values.astype(np.float16)
    if dtype == "bf16":
        bits = np.ascontiguousarray(values).view(np.uint32)
        # Adding 0x7fff, and 1 more when the bit that stays is odd, carries into it exactly when RNE rounds up.
        rounded: NDArray[np.uint16] = ((bits + ((bits >> 16) & 1) + np.uint32(0x7FFF)) >> 16).astype(np.uint16)
        return rounded
    return values


def check_finite(values: NDArray[Any], name: str) -> None:
    """Refuse NaN and infinity in f32, float16 or bf16 (uint16 bits) values.

    Raises:
        CorruptFile: a value is not finite, naming the tensor.
    """
    if values.dtype == np.float32:
        _largest(values, name)
        return
    exponent = np.uint16(0x7C00 if values.dtype == np.float16 else 0x7F80)
    if np.any((values.view(np.uint16) & exponent) == exponent):
        raise not_finite(name)


def _largest(values: NDArray[np.float32], name: str) -> float:
    """The largest magnitude; refuses what is not finite. NaN survives both reductions, so they see everything."""
    if not values.size:
        return 0.0
    largest = max(float(values.max()), -float(values.min()))
    if not np.isfinite(largest):
        raise not_finite(name)
    return largest


def not_finite(name: str) -> CorruptFile:
    """The error for a weight that holds NaN or infinity."""
    return CorruptFile(
        f"'{name}' holds a value that is not a finite number.",
        why="A trained weight has no NaN or infinity: the file is damaged or was saved from a failed training run.",
        hint="Download the model again (hearth pull), or ask its authors.",
    )
