"""Activations as kernels take them (docs/architecture.md, "Prepared activations"), by the documented rule in numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.compiler.kernel_library import copied, guarded

GROUP = 32


@dataclass(frozen=True)
class Prepared:
    """Attributes:
    buffers: what a product takes: int8 values and their scales and sums, or f32 values; zeros in the padding.
    values: float64 (rows, K): what those are worth.
    """

    buffers: list[NDArray[Any]]
    values: NDArray[np.float64]


def prepared(x: NDArray[np.float32], kp: int, kind: str) -> Prepared:
    """f32 (rows, K) as `kind` `int8` or `float32`, padded to `kp` columns."""
    rows, k = x.shape
    padded = np.zeros((rows, kp), np.float32)
    padded[:, :k] = x
    if kind == "float32":
        return Prepared([copied(padded)], x.astype(np.float64))
    q, scale = quantised(padded)
    halves = q.reshape(rows, -1, 2, 16).sum(axis=3, dtype=np.int32)
    whole = halves.sum(axis=2, dtype=np.int32)
    starts = [(-128 * sums).view(np.float32) for sums in (whole, halves[..., 0].copy(), halves[..., 1].copy())]
    table = np.stack([scale, scale * whole.astype(np.float32), *starts], axis=1)
    values = (q.reshape(rows, -1, GROUP) * scale[:, :, None].astype(np.float64)).reshape(rows, kp)
    return Prepared([copied(q), copied(table)], values[:, :k])


def quantised(padded: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """int8 (rows, Kp) and scales f32 (rows, Kp / 32): scale = max |x| / 127, integers to nearest even."""
    groups = padded.reshape(len(padded), -1, GROUP)
    largest = np.abs(groups).max(axis=2)
    inverse = np.where(largest > 0, np.float32(127) / np.maximum(largest, np.float32(1e-30)), np.float32(0))
    q = np.rint(groups * inverse[:, :, None].astype(np.float32)).astype(np.int8)
    return q.reshape(padded.shape), (largest * np.float32(1 / 127)).astype(np.float32)


def padded_rows(x: NDArray[np.float32], ld: int) -> NDArray[np.float32]:
    """f32 (rows, ld) in a guarded array; what stands in the padding of an activation is unspecified: NaN here."""
    out = guarded((len(x), ld), np.float32)
    out[:, : x.shape[1]] = x
    return out
