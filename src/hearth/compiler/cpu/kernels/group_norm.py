"""Moments of groups of channels, over maps with channels last: what a group norm subtracts and multiplies by.

Channels of a group need not fill a vector, so columns are summed first, each by itself; then those of a group are
brought together. Both are around means already known: no difference of large squares.
"""

from __future__ import annotations

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Kernel, broadcast, cast, f32, fma, i64, in_name

LANES = 16


def column_moments() -> Kernel:
    """Buffers: X f32 [image][count][ld]; Y f32 [image][2][ld]: mean of each column, and the sum of squares around it.

    Scalars: count, ld. Unit: 16 columns of an image.
    """
    k = Kernel("column_moments")
    x, y = k.buffer("X", "float32"), k.buffer("Y", "float32")
    count, ld = k.scalar("count"), k.scalar("ld")
    vectors = k.let(tirx.floordiv(ld, i64(LANES)), "vectors")
    size = k.let(broadcast(cast("float32", count), LANES), "size")
    with k.loop(k.begin, k.end) as unit:
        image = k.opaque(tirx.floordiv(unit, vectors), "image")
        at = k.opaque(tirx.floormod(unit, vectors) * LANES, "at")
        start = k.let(image * count * ld + at, "start")
        total = k.register("float32", LANES, f32(0.0, LANES))
        with k.loop(0, count) as row:
            total.set(total.get() + x.load(start + row * ld, LANES))
        mean = k.let(total.get() / size, "mean")
        squares = k.register("float32", LANES, f32(0.0, LANES))
        with k.loop(0, count) as row:
            away = k.let(x.load(start + row * ld, LANES) - mean, "away")
            squares.set(fma(away, away, squares.get(), LANES))
        k.store(y, image * 2 * ld + at, mean)
        k.store(y, (image * 2 + 1) * ld + at, squares.get())
    return k


def group_moments(eps: float) -> Kernel:
    """Buffers: X f32 [image][2][ld] of `column_moments`; Y f32 [image][2][ld]: for each channel the mean of its group
    and 1 / sqrt(variance + eps). Scalars: count that columns were summed over, channels of a group, groups, ld.
    Unit: group of an image."""
    k = Kernel(f"group_moments_{in_name(eps)}")
    x, y = k.buffer("X", "float32"), k.buffer("Y", "float32")
    count, channels, groups, ld = (k.scalar(name) for name in ("count", "channels", "groups", "ld"))
    with k.loop(k.begin, k.end) as unit:
        image = k.opaque(tirx.floordiv(unit, groups), "image")
        start = k.opaque(image * 2 * ld + tirx.floormod(unit, groups) * channels, "start")
        total = k.register("float32", init=f32(0.0))
        with k.loop(start, start + channels) as c:
            total.set(total.get() + x.load(c))
        mean = k.let(total.get() / cast("float32", channels), "mean")
        squares = k.register("float32", init=f32(0.0))
        with k.loop(start, start + channels) as c:
            away = k.let(x.load(c) - mean, "away")
            squares.set(squares.get() + x.load(c + ld) + away * away * cast("float32", count))
        variance = squares.get() / cast("float32", count * channels)
        factor = k.let(f32(1.0) / tirx.sqrt(variance + f32(eps)), "factor")
        with k.loop(start, start + channels) as c:
            k.store(y, c, mean)
            k.store(y, c + ld, factor)
    return k
