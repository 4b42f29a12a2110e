"""A plan of several functions without a door over the kernels of kernels.c: shared weights, symbols, states, checks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tests.runtime import plan_writer as pw

CHANNELS, BATCH, SIDE, ROWS = 8, 4, 6, 16
POOL_STRIDE = 16  # rows padded to a multiple of 16, as a compiled plan has them
SLOTS = (1, 1000)


def scale() -> NDArray[np.float32]:
    """The weight that `pool` and `dots` share."""
    return np.arange(1, CHANNELS + 1, dtype=np.float32)


def plan() -> pw.PlanWriter:
    p = pw.PlanWriter()
    batch, side = p.symbol("batch", 1, BATCH), p.symbol("side", 1, SIDE)
    rows, total, n = p.symbol("rows", 0, ROWS), p.symbol("total", 0, 64), p.symbol("n", 1, 20)
    slots = p.symbol("slots", *SLOTS)
    weight = p.weight("scale", CHANNELS * 4)
    one, channels, stride = p.constant(1), p.constant(CHANNELS), p.constant(POOL_STRIDE)
    width = p.times(side, 2)

    # pooled[i, c] = scale[c] * sum of pixels[i, :, :, c]
    p.function("pool")
    pixels = p.input("pixels", [batch, side, width, channels], pw.U8)
    pooled = p.arena(BATCH * POOL_STRIDE * 4)
    area = p.operation(pw.MULTIPLY, side, width)
    p.step(p.kernel("t_pool", 3, 3), [pixels, weight, pooled], [area, channels, stride], units=batch, label="pool")
    p.output("pooled", pooled, [batch, channels], stride)

    # dots[r] = hidden[picked[r], 0, 0, :] . scale
    p.function("dots")
    hidden = p.input("hidden", [batch, one, one, channels], pw.F32)
    last = p.plus(batch, -1)
    picked = p.input("picked", [rows], pw.I32, pw.IN_RANGE, p.constant(0), last)
    dots = p.arena(ROWS * 4)
    p.step(p.kernel("t_logits", 4, 2), [hidden, picked, weight, dots], [one, one], units=rows, label="dots")
    p.output("dots", dots, [rows, one], one)

    # sum of values, which `offsets` cuts into as many parts as there are flags
    p.function("ragged")
    values, flags = p.input("values", [total], pw.I32), p.input("flags", [batch], pw.I8, pw.IN_RANGE, one, channels)
    zero = p.constant(0)
    p.input("offsets", [p.plus(batch, 1)], pw.I32, pw.ASCENDING, zero, total)
    summed = p.arena(64)
    kernel = p.kernel("t_total", 2, 1)
    p.step(kernel, [values, summed], [total], units=one, label="total")
    p.output("sum", summed, [one], dtype=pw.I32)
    assert flags

    # four expressions over n, as int32
    p.function("expressions")
    p.input("bytes", [n], pw.U8)
    written, four = p.arena(16), p.constant(4)
    half = p.operation(pw.FLOOR_DIVIDE, p.plus(p.times(n, -1), 2), p.constant(3))
    round_up = p.times(p.operation(pw.FLOOR_DIVIDE, p.plus(n, 15), p.constant(16)), 16)
    least, most = p.operation(pw.MINIMUM, n, p.constant(7)), p.operation(pw.MAXIMUM, n, p.constant(7))
    p.step(p.kernel("t_scalars", 1, 4), [written], [half, round_up, least, most], units=four)
    p.output("values", written, [four], dtype=pw.I32)

    # each slot counts how often it was called; the sum of all
    p.function("count")
    counts = p.state("counts", "slots", 4)
    counted = p.arena(64)
    p.step(p.kernel("t_count", 1, 0), [counts], [], units=slots, label="count")
    p.step(kernel, [counts, counted], [slots], units=one, label="total")
    p.output("sum", counted, [one], dtype=pw.I32)

    # as `pool`, of pixels that are lent
    p.function("lent")
    pixels = p.input("pixels", [batch, side, width, channels], pw.U8, pw.LENT)
    lent = p.arena(BATCH * POOL_STRIDE * 4)
    p.step(p.kernel("t_pool", 3, 3), [pixels, weight, lent], [area, channels, stride], units=batch, label="pool")
    p.output("pooled", lent, [batch, channels], stride)
    return p


def weights_bytes() -> bytes:
    """weights.bin for `plan`."""
    return scale().tobytes().ljust(64, b"\0")
