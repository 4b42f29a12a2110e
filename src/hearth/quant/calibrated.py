"""Rounding with activations at hand: GPTQ (Frantar et al., 2022, arXiv 2210.17323) for the formats with a scale a row.

Columns are rounded one after the other, those first that activations vary most along, and what each rounding errs is
made up for by those that are still to come, as far as the activations that they will meet go along: that lowers the
error of products, not of weights. In 4 bits it is what keeps a vision transformer; in 8 it hardly matters.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.quant.blocks import Blocks, row_integers
from hearth.quant.floats import not_finite
from hearth.quant.formats import Format
from hearth.quant.row_rounding import F32, inverse, quantize_rows

_DAMPING = 0.05
"""Added to the diagonal of the Gram matrix, as a part of its mean: few activations do not tell all about the next."""
_COLUMNS = 32
"""Columns that are rounded before their errors are handed on."""
_INVERTED_AT_ONCE = 64


def quantize_calibrated(w: F32, fmt: Format, gram: NDArray[Any], name: str = "the weight") -> Blocks:
    """Round a matrix so that its products with activations like those seen err least.

    Args:
        w: f32 `(N, K)`.
        fmt: i8 or i4.
        gram: `(K, K)`: the sum (or mean) over activations x of the outer product x x^T.

    Raises:
        CorruptFile: a weight, or a number of the Gram matrix, is not finite.
    """
    if not np.isfinite(gram).all():
        raise not_finite(f"the activations of {name}")
    n, k = w.shape
    plain = quantize_rows(w, fmt, name)
    damped = gram.astype(np.float64)
    mean = float(np.trace(damped)) / k
    if mean <= 0:
        return plain  # no activation was ever anything but zero
    damped[np.diag_indices(k)] += _DAMPING * mean
    order = np.argsort(-np.diag(damped), kind="stable")
    # Row j, divided by its first number: how columns from j on make up for an error in column j.
    spread = _factor_of_inverse(damped[np.ix_(order, order)]).astype(np.float32)
    largest = np.abs(w).max(axis=1, keepdims=True)
    unit_weights = w * inverse(largest)
    scale, rest = plain.scale * inverse(largest), unit_weights[:, order]
    q = np.array(plain.q)
    low, high = (-127, 127) if fmt.signed else (-8, 7)
    for begin in range(0, k, _COLUMNS):
        end = min(begin + _COLUMNS, k)
        errors = np.empty((n, end - begin), np.float32)
        for j in range(begin, end):
            unit = scale[:, 0]
            if plain.sub_scale is not None:
                unit = unit * plain.sub_scale[:, order[j] // fmt.group_columns]
            integers = np.clip(np.rint(rest[:, j] * inverse(unit)), low, high)
            q[:, order[j]] = integers + fmt.zero_point
            error = (rest[:, j] - integers * unit) / spread[j, j]
            rest[:, j + 1 : end] -= error[:, None] * spread[j, j + 1 : end]
            errors[:, j - begin] = error
        rest[:, end:] -= errors @ spread[begin:end, end:]
    rounded = Blocks(fmt, k, q, scale, sub_scale=plain.sub_scale)
    return replace(rounded, scale=_best_scale(unit_weights, rounded, gram.astype(np.float32)) * largest)


def _factor_of_inverse(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    """The upper triangular U of which U^T U is the inverse of a positive definite matrix: the inverse of the A that is
    upper triangular and of which A A^T is the matrix, so that the inverse itself is not needed."""
    upper = np.linalg.cholesky(gram[::-1, ::-1])[::-1, ::-1]
    return _inverse_of_upper(np.ascontiguousarray(upper))


def _inverse_of_upper(a: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of an upper triangular matrix, by halves."""
    half = len(a) // 2
    if len(a) <= _INVERTED_AT_ONCE:
        return np.triu(np.linalg.inv(a))
    inverted = np.zeros_like(a)
    first, second = _inverse_of_upper(a[:half, :half]), _inverse_of_upper(a[half:, half:])
    inverted[:half, :half], inverted[half:, half:] = first, second
    inverted[:half, half:] = -first @ (a[:half, half:] @ second)
    return inverted


def _best_scale(w: F32, rounded: Blocks, gram: F32) -> F32:
    """Of all scales that a row's integers could have, that of least squared error of its products: `(N, 1)`."""
    integers = row_integers(rounded)[:, : rounded.k].astype(np.float32)
    seen = integers @ gram
    size = np.einsum("nk,nk->n", seen, integers)
    scale: F32 = np.where(size > 0, np.einsum("nk,nk->n", seen, w) * inverse(size), rounded.scale[:, 0])[:, None]
    return scale.astype(np.float32)
