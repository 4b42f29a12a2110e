"""f32 to the formats Hearth makes itself: q8, q4 and q4a, groups of 32 columns.

All of it is numpy on tiles that stay in cache: a tile holds `_TILE` groups as `(columns of a group, groups)`, so that
every operation runs along the groups and every reduction is an addition of rows. numpy lets other threads work.
Seen on one core of an AMD EPYC with AVX-512: q8 310, q4 55, q4a 52 million weights a second (tests/quant/speed.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.errors import Unsupported
from hearth.quant.blocks import Blocks
from hearth.quant.floats import not_finite
from hearth.quant.formats import PLANE_COLUMNS, Format, round_up

F32 = NDArray[np.floating[Any]]  # always float32; numpy's own annotations lose the width on the way

_TILE = 1040
"""Groups in a tile: 130 KiB of f32. No power of two: with one, the columns of a tile would compete for the same few
cache sets when it is transposed."""

# Where the largest value of a group is put, in steps of the scale. The range is -8..7, so the larger end is the
# negative one and the scale takes its sign from that (negative numbers here); a flat group may fit better the other way
# round (positive). On normal, Laplace and Student weights these ten and one refit come within 0.3 % of the error of an
# exhaustive search over 200 candidates; the plain rule absmax / 7 has a 40 % larger error.
_Q4_STEPS = (-8.7, -8.3, -7.9, -7.5, -7.1, -6.7, -6.2, -5.6, 7.2, 6.4)

# Steps of q4a between the smallest and the largest of a group, and the integer in their middle. More than 15 clips both
# ends; 14 finds groups that lie on a grid of 14 steps, such as symmetric integers, exactly.
_Q4A_STEPS = ((14.0, 7.0), (15.0, 7.5), (15.8, 7.5), (16.7, 7.5), (17.6, 7.5), (19.2, 7.5))

_TINY = np.float32(1e-30)
"""Groups below this are zero: their scale is far below the smallest half, and its inverse would overflow."""


def quantize(w: F32, fmt: Format, name: str = "the weight") -> Blocks:
    """Round a matrix to `fmt`, one of the layouts b8 (q8), b4 (q4), b4m (q4a).

    q8: scale absmax / 127 in f16 (a tiny one goes up rather than clip the largest value), integers rounded with that
    f16 scale. q4: the f16 scale of least squared error. q4a: the f16 scale and min of least squared error. A last group
    that K cuts short is fitted to the columns it has.

    Args:
        w: f32 `(N, K)`.
        fmt: the format to make.
        name: the weight's name, for errors.

    Raises:
        CorruptFile: a value is not finite.
        Unsupported: `fmt` is no format that Hearth makes, or a value is too large for its f16 scale.
    """
    if fmt.kernel_layout not in _TILE_RULES:
        raise Unsupported(
            f"Hearth does not make {fmt.name} from floats.", hint="Formats it makes: q8, q4, q4a, f16, f32."
        )
    n, k = w.shape
    groups = round_up(k, PLANE_COLUMNS) // PLANE_COLUMNS
    q = np.full((n, groups * PLANE_COLUMNS), fmt.zero_point, np.int8 if fmt.signed else np.uint8)
    scale = np.zeros((n, groups), np.float16)
    minimum = np.zeros((n, groups), np.float16)
    full = k // PLANE_COLUMNS
    if k == full * PLANE_COLUMNS:
        _run(w.reshape(-1, 32), q.reshape(-1, 32), scale.reshape(-1), minimum.reshape(-1), fmt, name)
    else:
        # Rows are no whole groups: the whole groups go through a contiguous copy, the short last ones on their own.
        for begin, end in ((0, full), (full, groups)):
            part = np.ascontiguousarray(w[:, begin * 32 : end * 32])
            columns = part.shape[1] // (end - begin) if end > begin else 0
            if not columns:
                continue
            out_q = np.empty((n * (end - begin), columns), q.dtype)
            out_scale, out_min = (np.empty(n * (end - begin), np.float16) for _ in range(2))
            _run(part.reshape(-1, columns), out_q, out_scale, out_min, fmt, name)
            q[:, begin * 32 : begin * 32 + part.shape[1]] = out_q.reshape(n, -1)
            scale[:, begin:end] = out_scale.reshape(n, -1)
            minimum[:, begin:end] = out_min.reshape(n, -1)
    return Blocks(fmt, k, q, scale, minimum if fmt.has_min else None)


def _run(
    w: F32,
    q: NDArray[Any],
    scale: NDArray[np.float16],
    minimum: NDArray[np.float16],
    fmt: Format,
    name: str,
) -> None:
    """Quantise groups `(G, columns)` into `q` of the same shape, `scale` and `minimum` `(G,)`, tile by tile."""
    rule = _TILE_RULES[fmt.kernel_layout]
    total, columns = w.shape
    buffers = [np.empty((columns, min(_TILE, total)), np.float32) for _ in range(2)]
    integers = np.empty((columns, min(_TILE, total)), q.dtype)
    for begin in range(0, total, _TILE):
        end = min(begin + _TILE, total)
        tile, work = (buffer[:, : end - begin] for buffer in buffers)
        np.copyto(tile, w[begin:end].T)
        # Overflow of scales that are too large shows as infinity, which is checked; nothing else can go wrong silently.
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            low, high = tile.min(axis=0), tile.max(axis=0)
            if not (np.isfinite(low).all() and np.isfinite(high).all()):
                raise not_finite(name)
            s, m = rule(tile, work, low, high)
        if not (np.isfinite(s).all() and np.isfinite(m).all()):
            raise Unsupported(
                f"'{name}' holds values up to {float(np.maximum(-low, high).max()):.3g}, too large for {fmt.name}.",
                hint="Keep it in a format with more range: --quant f32.",
            )
        out = integers[:, : end - begin]
        np.copyto(out, work, casting="unsafe")
        q[begin:end] = out.T
        scale[begin:end] = s
        minimum[begin:end] = m


def _half(x: F32) -> F32:
    """The value as f16 would keep it."""
    return x.astype(np.float16).astype(np.float32)


def _inverse(x: F32) -> F32:
    """1 / x, and 0 for what is too small to be inverted."""
    return np.divide(np.float32(1), x, out=np.zeros_like(x), where=np.abs(x) > _TINY)


def _dot(a: F32, b: F32) -> F32:
    """Sum over the columns of each group."""
    total: F32 = np.einsum("cg,cg->g", a, b)
    return total


def _q8_tile(w: F32, work: F32, low: F32, high: F32) -> tuple[F32, F32]:
    largest = np.maximum(-low, high)
    scale = _half(largest / np.float32(127))
    # Small scales are coarse in f16. One that is rounded down so far that the largest value would be clipped goes up.
    above = np.nextafter(scale.astype(np.float16), np.float16(np.inf)).astype(np.float32)
    scale = np.where(scale * np.float32(127.5) < largest, above, scale)
    np.multiply(w, _inverse(scale), out=work)
    np.rint(work, out=work)
    np.clip(work, -127, 127, out=work)  # 127.06 at most
    return scale, np.zeros_like(scale)


def _q4_round(w: F32, inverse: F32, out: F32) -> None:
    np.multiply(w, inverse, out=out)
    np.rint(out, out=out)
    np.clip(out, -8, 7, out=out)


def q4_tile(w: F32, work: F32, low: F32, high: F32) -> tuple[F32, F32]:
    """For integers q the best scale is <w,q> / <q,q>, and it lowers the squared error by <w,q>^2 / <q,q>."""
    extreme = np.where(high > -low, high, low)
    inverse_extreme = _inverse(extreme)
    best_gain, best_scale = np.zeros_like(extreme), np.zeros_like(extreme)
    for steps in _Q4_STEPS:
        _q4_round(w, inverse_extreme * np.float32(steps), work)
        wq, qq = _dot(w, work), np.maximum(_dot(work, work), 1)
        scale = wq / qq
        gain = wq * scale
        better = gain > best_gain
        best_gain = np.where(better, gain, best_gain)
        best_scale = np.where(better, scale, best_scale)
    # Integers rounded with the chosen scale are better than those it was fitted to: fit once more, then keep whichever
    # of the two scales has the smaller error in f16, as error - <w,w> = s^2 <q,q> - 2 s <w,q> tells.
    first = _half(best_scale)
    _q4_round(w, _inverse(first), work)
    wq, qq = _dot(w, work), _dot(work, work)
    first_error = first * (first * qq - 2 * wq)
    second = _half(wq / np.maximum(qq, 1))
    _q4_round(w, _inverse(second), work)
    wq, qq = _dot(w, work), _dot(work, work)
    scale = np.where(second * (second * qq - 2 * wq) < first_error, second, first)
    _q4_round(w, _inverse(scale), work)
    np.add(work, 8, out=work)
    return scale, np.zeros_like(scale)


def _q4a_round(w: F32, inverse: F32, shift: F32, out: F32) -> None:
    np.multiply(w, inverse, out=out)
    np.add(out, shift, out=out)
    np.rint(out, out=out)
    np.clip(out, 0, 15, out=out)


def _line_fit(w: F32, u: F32, mean: F32) -> tuple[F32, F32, F32]:
    """Least-squares scale and min for integers u, and by how much the line lowers the squared error around the mean."""
    count = np.float32(len(w))
    u_mean = np.add.reduce(u, axis=0) / count
    covariance = _dot(w, u) - count * mean * u_mean
    variance = _dot(u, u) - count * u_mean * u_mean
    scale = np.divide(covariance, variance, out=np.zeros_like(mean), where=variance > np.float32(1e-3))
    return scale, mean - scale * u_mean, covariance * scale


def _q4a_tile(w: F32, work: F32, low: F32, high: F32) -> tuple[F32, F32]:
    mean = np.add.reduce(w, axis=0) / np.float32(len(w))
    inverse_span = _inverse(high - low)
    middle = (high + low) * np.float32(0.5)
    best_gain = np.full_like(mean, -1)
    best_scale, best_min = np.zeros_like(mean), mean
    for steps, centre in _Q4A_STEPS:
        inverse = inverse_span * np.float32(steps)
        _q4a_round(w, inverse, np.float32(centre) - middle * inverse, work)
        scale, minimum, gain = _line_fit(w, work, mean)
        better = gain > best_gain
        best_gain = np.where(better, gain, best_gain)
        best_scale = np.where(better, scale, best_scale)
        best_min = np.where(better, minimum, best_min)
    scale, minimum = best_scale, best_min
    if not (np.isfinite(_half(scale)).all() and np.isfinite(_half(minimum)).all()):
        return _half(scale), _half(minimum)  # refused by the caller
    for _ in range(2):
        inverse = _inverse(_half(scale))
        _q4a_round(w, inverse, -minimum * inverse, work)
        scale, minimum, _ = _line_fit(w, work, mean)
    # The min makes up for what rounding the scale to f16 shifts.
    final = _half(scale)
    minimum = _half(minimum + (scale - final) * (np.add.reduce(work, axis=0) / np.float32(len(w))))
    inverse = _inverse(final)
    _q4a_round(w, inverse, -minimum * inverse, work)
    return final, minimum


_TILE_RULES = {"b8": _q8_tile, "b4": q4_tile, "b4m": _q4a_tile}
