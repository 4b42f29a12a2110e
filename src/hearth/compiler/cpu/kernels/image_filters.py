"""The weights of resampled pictures, one axis at a time, as Pillow computes them: in f64, rounded to 22 bits.

A position's weights are the filter stretched over the pixels that it stands for, where the picture shrinks. The result
is wanted bit for bit, so each operation is Pillow's, in its order (`src/libImaging/Resample.c`, `Geometry.c`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, cast, const, i64, llvm

Filter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
SUPPORT: dict[Filter, float] = {
    "nearest": 0.5, "box": 0.5, "bilinear": 1.0, "hamming": 1.0, "bicubic": 2.0, "lanczos": 3.0,
}  # fmt: skip
"""Half the width of a filter, in output pixels where the picture shrinks."""

PRECISION = 22  # bits after the point of a weight


ENTRY = 3
"""Numbers of a position in a table: its first pixel, how many (0: it is outside), where its weights begin."""


def weights_size(kind: Filter, count: int, most_side: int) -> int:
    """How many weights `count` positions have at most, of an axis of up to `most_side` pixels.

    Each has at most 2 support max(size / resized, 1) + 3, and there are no more than the resized axis has.
    """
    return 2 * math.ceil(SUPPORT[kind] * max(most_side, count)) + 3 * count


def resample_table(kind: Filter) -> Kernel:
    """The weights of one axis.

    Buffers: size, resized, offset i32 [2]: of the picture, of what it is resized to, and of the first position that is
    wanted; entries i32 [position][3]; weights i32, see `weights_size`. Scalars: axis (0 or 1), count (of positions),
    area (pixels of the picture; where its sizes say that there are more, all positions are outside). Unit: position;
    `nearest`: the whole axis, one unit.
    """
    k = Kernel(f"resample_table_{kind}")
    sizes = [k.buffer(name, "int32") for name in ("size", "resized", "offset")]
    entries, weights = k.buffer("entries", "int32"), k.buffer("weights", "int32")
    axis, count, area = k.scalar("axis"), k.scalar("count"), k.scalar("area")
    size, out_size, first = (k.opaque(cast("int64", of.load(axis)), "size") for of in sizes)
    whole = cast("int64", sizes[0].load(0)) * cast("int64", sizes[0].load(1))
    out_size = k.opaque(tirx.Select(whole <= area, out_size, i64(0)), "out_size")
    scale = k.opaque(_real(size) / _real(tirx.max(out_size, i64(1))), "scale")
    if kind == "nearest":
        _nearest_table(k, entries, weights, size, out_size, first, count, scale)
        return k
    filter_scale = k.opaque(tirx.Select(scale < _f64(1.0), _f64(1.0), scale), "filter_scale")
    support = k.opaque(_f64(SUPPORT[kind]) * filter_scale, "support")
    step = k.opaque(_f64(1.0) / filter_scale, "step")
    taps = k.opaque(cast("int64", llvm("llvm.ceil", "float64", support)) * 2 + 1, "taps")
    before = k.opaque(tirx.max(i64(0) - first, i64(0)), "before")
    with k.loop(k.begin, k.end) as unit:
        position = k.opaque(unit + first, "position")
        center = k.opaque((_real(position) + _f64(0.5)) * scale, "center")
        begin = k.opaque(tirx.max(cast("int64", center - support + _f64(0.5)), i64(0)), "begin")
        end = k.opaque(tirx.min(cast("int64", center + support + _f64(0.5)), size), "end")
        inside = tirx.all(position >= 0, position < out_size)
        number = k.opaque(tirx.Select(inside, end - begin, i64(0)), "number")
        start = k.opaque(tirx.Select(inside, (unit - before) * taps, i64(0)), "start")
        for i, value in enumerate((tirx.Select(inside, begin, i64(0)), number, start)):
            k.store(entries, unit * ENTRY + i, cast("int32", value))

        def weight(i: Expr, begin: Expr = begin, center: Expr = center) -> Expr:
            return FILTERS[kind](k, k.opaque((_real(i + begin) - center + _f64(0.5)) * step, "x"))

        total = k.register("float64", init=_f64(0.0))
        with k.loop(0, number) as i:
            total.set(total.get() + weight(i))
        with k.loop(0, number) as i:
            share = k.opaque(weight(i) / total.get() * _f64(1 << PRECISION), "share")
            half = tirx.Select(share < _f64(0.0), _f64(-0.5), _f64(0.5))
            k.store(weights, start + i, cast("int32", share + half))
    return k


def _nearest_table(
    k: Kernel, entries: Memory, weights: Memory, size: Expr, out_size: Expr, first: Expr, count: Expr, scale: Expr
) -> None:
    """Pillow walks along the axis, and so do we: steps of a fraction add up to another number than their product."""
    at = k.register("float64", init=scale * _f64(0.5))
    with k.loop(k.begin, k.end), k.loop(0, count) as position:
        for i in range(ENTRY):
            k.store(entries, position * ENTRY + i, const("int32", 0))
    end = tirx.max(tirx.min(out_size, first + count), i64(0))
    with k.loop(k.begin, k.end), k.loop(0, end) as position:
        pixel = k.opaque(cast("int64", at.get()), "pixel")
        to = k.opaque(position - first, "to")
        with k.when(tirx.all(to >= 0, pixel < size)):
            for i, value in enumerate((pixel, i64(1), to)):
                k.store(entries, to * ENTRY + i, cast("int32", value))
            k.store(weights, to, const("int32", 1 << PRECISION))
        at.set(at.get() + scale)


def _f64(value: float) -> Expr:
    return tirx.const(value, "float64")


def _real(value: Expr) -> Expr:
    return cast("float64", value)


def _box(k: Kernel, x: Expr) -> Expr:
    return tirx.Select(tirx.all(x > _f64(-0.5), x <= _f64(0.5)), _f64(1.0), _f64(0.0))


def _bilinear(k: Kernel, x: Expr) -> Expr:
    x = k.opaque(tirx.abs(x), "x")
    return tirx.Select(x < _f64(1.0), _f64(1.0) - x, _f64(0.0))


def _bicubic(k: Kernel, x: Expr) -> Expr:
    """Keys' kernel with a = -1/2."""
    a = -0.5
    x = k.opaque(tirx.abs(x), "x")
    near = ((_f64(a + 2) * x - _f64(a + 3)) * x) * x + _f64(1.0)
    far = (((x - _f64(5.0)) * x + _f64(8.0)) * x - _f64(4.0)) * _f64(a)
    return tirx.Select(x < _f64(1.0), near, tirx.Select(x < _f64(2.0), far, _f64(0.0)))


def _sine_of_turns(k: Kernel, x: Expr) -> Expr:
    """sin(pi x) to 2e-16, by its series between -1/2 and 1/2."""
    whole = k.opaque(llvm("llvm.rint", "float64", x), "whole")
    angle = k.opaque((x - whole) * _f64(math.pi), "angle")
    square = k.opaque(angle * angle, "square")
    series = _f64(0.0)
    for power in range(21, 1, -2):
        series = (series + _f64((-1.0) ** (power // 2) / math.factorial(power))) * square
    value = angle + angle * series
    half = whole * _f64(0.5)
    return tirx.Select(llvm("llvm.floor", "float64", half) < half, _f64(0.0) - value, value)


def _sinc(k: Kernel, x: Expr) -> Expr:
    safe = tirx.Select(tirx.EQ(x, _f64(0.0)), _f64(1.0), x * _f64(math.pi))
    return tirx.Select(tirx.EQ(x, _f64(0.0)), _f64(1.0), _sine_of_turns(k, x) / safe)


def _lanczos(k: Kernel, x: Expr) -> Expr:
    inside = tirx.all(x >= _f64(-3.0), x < _f64(3.0))
    return tirx.Select(inside, _sinc(k, x) * _sinc(k, k.opaque(x / _f64(3.0), "third")), _f64(0.0))


def _hamming(k: Kernel, x: Expr) -> Expr:
    x = k.opaque(tirx.abs(x), "x")
    # cos(pi x) = sin(pi (x + 1/2))
    cosine = _sine_of_turns(k, k.opaque(x + _f64(0.5), "shifted"))
    return tirx.Select(x < _f64(1.0), _sinc(k, x) * (_f64(0.54) + _f64(0.46) * cosine), _f64(0.0))


FILTERS: dict[Filter, Callable[[Kernel, Expr], Expr]] = {
    "box": _box,
    "bilinear": _bilinear,
    "hamming": _hamming,
    "bicubic": _bicubic,
    "lanczos": _lanczos,
}
