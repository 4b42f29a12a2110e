"""Chosen rows of each image, by their numbers."""

from __future__ import annotations

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Kernel, cast

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
