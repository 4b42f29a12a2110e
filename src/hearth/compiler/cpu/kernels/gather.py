"""Chosen rows of each image, and chosen elements along an axis, by their numbers; rows put into chosen places."""

from __future__ import annotations

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Kernel, cast, i64

LANES = 16


def gather() -> Kernel:
    """Y[unit] = X[its image][ids[unit]].

    Buffers: X f32 [image][row][ld]; ids i32 [image][count], each a row of its image; Y f32 [image][count][ld].
    Scalars: rows and count (of an image), ld (a multiple of 16). Unit: id.
    """
    k = Kernel("gather_rows")
    x, ids, y = k.buffer("X", "float32"), k.buffer("ids", "int32"), k.buffer("Y", "float32")
    rows, count, ld = (k.scalar(name) for name in ("rows", "count", "ld"))
    with k.loop(k.begin, k.end) as unit:
        image = k.opaque(tirx.floordiv(unit, count), "image")
        start = k.opaque((image * rows + cast("int64", ids.load(unit))) * ld, "start")
        with k.loop(0, ld, LANES) as c:
            k.store(y, unit * ld + c, x.load(start + c, LANES))
    return k


def replace_rows() -> Kernel:
    """X[places[unit]] = R[unit], in place.

    Buffers: R f32 [row][ld]; places i32 [row]; X f32 [place][ld]. Scalars: ld (a multiple of 16). Unit: row of R.
    """
    k = Kernel("replace_rows")
    rows, places, x = k.buffer("R", "float32"), k.buffer("places", "int32"), k.buffer("X", "float32")
    ld = k.scalar("ld")
    with k.loop(k.begin, k.end) as unit:
        start = k.opaque(cast("int64", places.load(unit)) * ld, "start")
        with k.loop(0, ld, LANES) as c:
            k.store(x, start + c, rows.load(unit * ld + c, LANES))
    return k


def gather_elements() -> Kernel:
    """Y[o][i][j] = X[o][ids[o][i][j]][j], numbers beyond the axis taking its ends.

    Buffers: X f32; ids i32 [unit][columns]; Y f32 [unit][ld]. Scalars: size of the axis in X, its stride, stride of a
    column (0: the axis is the last one); rows of ids for each o; stride of o; columns; ld. Unit: row of ids.
    """
    k = Kernel("gather_elements")
    x, ids, y = k.buffer("X", "float32"), k.buffer("ids", "int32"), k.buffer("Y", "float32")
    size, along, step, rows, outer, columns, ld = (
        k.scalar(name) for name in ("size", "along", "step", "rows", "outer", "columns", "ld")
    )
    with k.loop(k.begin, k.end) as unit:
        start = k.opaque(tirx.floordiv(unit, rows) * outer, "start")
        with k.loop(0, columns) as column:
            number = cast("int64", ids.load(unit * columns + column))
            place = k.opaque(tirx.max(tirx.min(number, size - 1), i64(0)), "place")
            k.store(y, unit * ld + column, x.load(start + place * along + column * step))
    return k
