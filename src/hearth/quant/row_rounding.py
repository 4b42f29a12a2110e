"""f32 to the formats with one float scale a row: i8, and i4 with small integer scales of groups under it.

Products with these formats add up integers along the whole of K (compiler/cpu/kernels/row_product.py). That is why the
scale of a group in i4 is an integer of at most 15: a 4-bit step times it still fits a signed byte. On normal, Laplace
and Student weights its error is 2.5 to 3.5 % larger than with the free scales of q4, which a finer row scale could
not mend and 5-bit multiples would (to 0.8 %), at the price of that byte.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.errors import Unsupported
from hearth.quant.blocks import Blocks, stored_columns
from hearth.quant.floats import not_finite
from hearth.quant.formats import Format
from hearth.quant.rounding import q4_tile

F32 = NDArray[np.floating[Any]]  # always float32

LARGEST_STEP = 15
"""Of a group's integer scale: 8 * 15 = 120 is the largest integer of a weight."""

MOST_COLUMNS = 1 << 17
"""Of a row: 2**17 products of 127 by 127 are the most whose sum 32 bits hold for certain."""

_TILE_WEIGHTS = 1 << 18
_ROW_STEPS = np.arange(8, LARGEST_STEP + 0.05, 0.1, dtype=np.float32)
"""Which multiple of the row's scale the largest scale of its groups is tried as."""


def quantize_rows(w: F32, fmt: Format, name: str = "the weight") -> Blocks:
    """Round a matrix to i8 or i4.

    i8: scale absmax / 127, integers to nearest even. i4: of a group's two integer scales next to its best free one,
    that with the smaller squared error.

    Args:
        w: f32 `(N, K)`.

    Raises:
        CorruptFile: a value is not finite.
        Unsupported: a row has more than `MOST_COLUMNS` columns.
    """
    n, k = w.shape
    if k > MOST_COLUMNS:
        raise Unsupported(
            f"Rows of '{name}' have {k:,} columns; sums of products in {fmt.name} hold {MOST_COLUMNS:,}.",
            hint="Keep it in a format with more scales: --quant q8.",
        )
    kept = stored_columns(fmt, k)
    q = np.full((n, kept), fmt.zero_point, np.int8 if fmt.signed else np.uint8)
    scale = np.zeros((n, 1), np.float32)
    steps = None if fmt.signed else np.zeros((n, kept // fmt.group_columns), np.int8)
    rows = max(_TILE_WEIGHTS // max(k, 1), 1)
    for begin in range(0, n, rows):
        tile = slice(begin, begin + rows)
        if not np.isfinite(w[tile]).all():
            raise not_finite(name)
        if steps is None:
            scale[tile] = np.abs(w[tile]).max(axis=1, keepdims=True) * np.float32(1 / 127)
            q[tile, :k] = np.rint(w[tile] * inverse(scale[tile]))
        else:
            padded = np.pad(w[tile], ((0, 0), (0, kept - k))).reshape(-1, kept // fmt.group_columns, fmt.group_columns)
            scale[tile, 0], steps[tile], integers = _steps_tile(padded)
            q[tile] = integers.reshape(-1, kept) + fmt.zero_point
    return Blocks(fmt, k, q, scale, sub_scale=steps)


def _steps_tile(groups: F32) -> tuple[F32, NDArray[np.int8], NDArray[np.int8]]:
    """i4 for some rows.

    Args:
        groups: f32 `(rows, groups, columns of a group)`.

    Returns:
        The rows' scales f32 `(rows,)`, the groups' int8 `(rows, groups)`, the integers -8..7 in the shape of `groups`.
    """
    largest = np.abs(groups).max(axis=(1, 2))
    unit = groups * inverse(largest)[:, None, None]  # so that any row's free scales are good halves
    free, counts = _free_scales(unit)
    row_scale = _row_scale(free, counts)
    steps, q = _choose_steps(unit, row_scale, free)
    # Of all scales that these integers could have, the one of least squared error.
    integers = q * steps[..., None]
    row_scale = np.einsum("rgc,rgc->r", unit, integers) / np.maximum(np.einsum("rgc,rgc->r", integers, integers), 1)
    return row_scale * largest, steps.astype(np.int8), q.astype(np.int8)


def _choose_steps(unit: F32, row_scale: F32, free: F32) -> tuple[F32, F32]:
    """The integer scales of groups under a row's scale, and the integers -8..7 that are nearest with them.

    Args:
        unit: f32 `(rows, groups, columns of a group)`.
        row_scale: f32 `(rows,)`.
        free: what the groups' scales would best be.

    Returns:
        f32 `(rows, groups)` and f32 in the shape of `unit`.
    """
    multiples = free * inverse(row_scale)[:, None]
    steps, q, error = _rounded(unit, row_scale, np.copysign(np.floor(np.abs(multiples)), multiples))
    more_steps, more_q, more_error = _rounded(unit, row_scale, np.copysign(np.ceil(np.abs(multiples)), multiples))
    better = more_error < error
    return np.where(better, more_steps, steps), np.where(better[..., None], more_q, q)


def _rounded(unit: F32, row_scale: F32, steps: F32) -> tuple[F32, F32, F32]:
    """The steps within their range, the integers that are nearest with them, and each group's squared error."""
    steps = np.copysign(np.clip(np.abs(steps), 1, LARGEST_STEP), steps)
    scale = (steps * row_scale[:, None])[..., None]
    q = np.clip(np.rint(unit * inverse(scale)), -8, 7)
    error: F32 = np.square(unit - q * scale).sum(axis=2)
    return steps, q, error


def _free_scales(unit: F32) -> tuple[F32, F32]:
    """The best scale of each group by itself, as in q4, and the sum of its squared integers: both `(rows, groups)`."""
    columns = np.ascontiguousarray(unit.reshape(-1, unit.shape[2]).T)
    q = np.empty_like(columns)
    scale, _ = q4_tile(columns, q, columns.min(axis=0), columns.max(axis=0))
    q -= 8
    return scale.reshape(unit.shape[:2]), np.einsum("cg,cg->g", q, q).reshape(unit.shape[:2])


def _row_scale(free: F32, counts: F32) -> F32:
    """The row scale whose integer multiples come closest to the groups' free scales, weighted by what a difference
    costs: `(rows,)`."""
    largest = np.abs(free).max(axis=1)
    best: F32 = np.zeros_like(largest)
    best_cost = np.full_like(largest, np.inf)
    for steps in _ROW_STEPS:
        scale = largest / steps
        multiple = np.clip(np.rint(np.abs(free) * inverse(scale)[:, None]), 1, LARGEST_STEP)
        cost = (np.square(multiple * scale[:, None] - np.abs(free)) * counts).sum(axis=1)
        best = np.where(cost < best_cost, scale, best)
        best_cost = np.minimum(cost, best_cost)
    return best


def inverse(x: F32) -> F32:
    """1 / x, and 0 for what is too small to be inverted."""
    result: F32 = np.divide(np.float32(1), x, out=np.zeros_like(x), where=np.abs(x) > np.float32(1e-30))
    return result
