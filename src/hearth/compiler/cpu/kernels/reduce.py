"""Sums, means and extremes over axes that stand together: X is [outer][reduced][kept], the result [outer][kept].

Elements are taken in the order of their places, one after the other in each lane, so results are the same bits however
units are shared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from tvm import tirx

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, bitcast, broadcast, cast, const, f32, i64

LANES = 16

COMBINE: Mapping[str, tuple[Callable[[Expr, Expr], Expr], float]] = {
    "sum": (lambda a, b: a + b, 0.0),
    "mean": (lambda a, b: a + b, 0.0),
    "max": (lambda a, b: tirx.max(a, b), -math.inf),
    "min": (lambda a, b: tirx.min(a, b), math.inf),
    "prod": (lambda a, b: a * b, 1.0),
}
"""By operation: how two values become one, and what changes nothing."""


def reduce_rows(operation: str) -> Kernel:
    """Over axes before the last. Buffers: X f32 [outer][count][ld]; Y f32 [outer][ld]. Scalars: count, ld.
    Unit: 16 columns of one outer index."""
    k = Kernel(f"reduce_rows_{operation}")
    x, y = k.buffer("X", "float32"), k.buffer("Y", "float32")
    count, ld = k.scalar("count"), k.scalar("ld")
    combine, neutral = COMBINE[operation]
    vectors = k.let(tirx.floordiv(ld, i64(LANES)), "vectors")
    with k.loop(k.begin, k.end) as unit:
        outer = k.let(tirx.floordiv(unit, vectors), "outer")
        at = k.let(tirx.floormod(unit, vectors) * LANES, "at")
        total = k.register("float32", LANES, f32(neutral, LANES))
        with k.loop(0, count) as r:
            total.set(combine(total.get(), x.load((outer * count + r) * ld + at, LANES)))
        value = total.get()
        if operation == "mean":
            value = value / broadcast(cast("float32", count), LANES)
        k.store(y, outer * ld + at, k.let(value, "y"))
    return k


def reduce_columns(operation: str) -> Kernel:
    """Over the last axis and axes before it. Buffers: X f32 [outer][count][ldx]; Y f32.

    Scalars: count of rows, columns, ldx, and how Y is walked: columns of it in a row, row stride. Unit: outer.
    """
    k = Kernel(f"reduce_columns_{operation}")
    x, y = k.buffer("X", "float32"), k.buffer("Y", "float32")
    count, columns, ldx, width, ldy = (k.scalar(n) for n in ("count", "columns", "ldx", "width", "ldy"))
    combine, neutral = COMBINE[operation]
    with k.loop(k.begin, k.end) as outer:
        partial = k.register("float32", LANES, f32(neutral, LANES))
        single = k.register("float32", init=f32(neutral))
        with k.loop(0, count) as r:
            start = k.let((outer * count + r) * ldx, "start")
            with k.loop(0, tirx.floordiv(columns, i64(LANES))) as v:
                partial.set(combine(partial.get(), x.load(start + v * LANES, LANES)))
            with k.loop(tirx.floordiv(columns, i64(LANES)) * LANES, columns) as c:
                single.set(combine(single.get(), x.load(start + c)))
        folded = _REDUCE[operation](k, partial.get())
        value = k.let(combine(folded, single.get()), "value")
        if operation == "mean":
            value = value / cast("float32", count * columns)
        k.store(y, tirx.floordiv(outer, width) * ldy + tirx.floormod(outer, width), k.let(value, "y"))
    return k


def place_of(largest: bool, dtype: str) -> Kernel:
    """Where the largest (else the smallest) of an axis is, the first of equals; NaN is beyond all, as in numpy.

    Buffers: X `dtype` (float32 or int32); Y i32 [outer][kept]. Scalars: count of the axis, its stride; kept;
    strides of outer and kept. Unit: one result.
    """
    k = Kernel(f"place_of_{'largest' if largest else 'smallest'}_{dtype}")
    x, y = k.buffer("X", dtype), k.buffer("Y", "int32")
    count, along, kept, outer_stride, kept_stride = (
        k.scalar(name) for name in ("count", "along", "kept", "outer_stride", "kept_stride")
    )
    with k.loop(k.begin, k.end) as unit:
        outer, at = tirx.floordiv(unit, kept), tirx.floormod(unit, kept)
        start = k.opaque(outer * outer_stride + at * kept_stride, "start")
        best = k.register("int32", init=_ordered(k, x.load(start), dtype, largest))
        where = k.register("int64", init=i64(0))
        with k.loop(1, count) as i:
            value = k.opaque(_ordered(k, x.load(start + i * along), dtype, largest), "value")
            with k.when(value > best.get() if largest else value < best.get()):
                best.set(value)
                where.set(i)
        k.store(y, unit, cast("int32", where.get()))
    return k


def _ordered(k: Kernel, value: Expr, dtype: str, largest: bool) -> Expr:
    """An integer that is in the order of the numbers; NaN is beyond all of them."""
    if dtype == "int32":
        return value
    value = k.let(value, "number")
    bits = k.let(bitcast("int32", tirx.Select(tirx.EQ(value, f32(0.0)), f32(0.0), value)), "bits")
    size = k.let(tirx.bitwise_and(bits, const("int32", 0x7FFFFFFF)), "size")
    # Negative numbers are in the opposite order of their bits.
    ordered = tirx.Select(bits < const("int32", 0), const("int32", 0) - size, size)
    beyond = 0x7FFFFFFF if largest else -0x7FFFFFFF
    return tirx.Select(size > const("int32", 0x7F800000), const("int32", beyond), ordered)


def _fold(combine: Callable[[Expr, Expr], Expr]) -> Callable[[Kernel, Expr], Expr]:
    def fold(k: Kernel, x: Expr) -> Expr:
        register = k.register("float32", LANES, x)
        total: Any = register.lane(0)
        for lane in range(1, LANES):
            total = combine(total, register.lane(lane))
        return k.let(total, "folded")

    return fold


_REDUCE: Mapping[str, Callable[[Kernel, Expr], Expr]] = {
    "sum": lambda k, x: vmath.reduce_sum(k, x, LANES),
    "mean": lambda k, x: vmath.reduce_sum(k, x, LANES),
    "max": lambda k, x: vmath.reduce_max(x),
    "min": _fold(lambda a, b: tirx.min(a, b)),
    "prod": _fold(lambda a, b: a * b),
}
