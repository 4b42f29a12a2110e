"""The elements of rows of one length as rows of another, where padding lies between them."""

from __future__ import annotations

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Kernel, i64

LANES = 16


def reshape() -> Kernel:
    """Buffers: X f32 [.][ldx]; Y f32 [.][ldy]. Scalars: columns of Y, ldy, columns of X, ldx. Unit: row of Y, which is
    copied in runs: as far as a row of X goes."""
    k = Kernel("reshape")
    x, y = k.buffer("X", "float32"), k.buffer("Y", "float32")
    columns, ldy, source_columns, ldx = (k.scalar(n) for n in ("columns", "ldy", "source_columns", "ldx"))
    with k.loop(k.begin, k.end) as row:
        first = k.opaque(row * columns, "first")
        source = k.register("int64", init=tirx.floordiv(first, source_columns))
        column = k.register("int64", init=tirx.floormod(first, source_columns))
        done = k.register("int64", init=i64(0))
        with k.loop(0, tirx.floordiv(columns + column.get() + (source_columns - 1), source_columns)):
            count = k.opaque(tirx.min(columns - done.get(), source_columns - column.get()), "count")
            start = k.opaque(source.get() * ldx + column.get(), "start")
            to = k.opaque(row * ldy + done.get(), "to")
            vectors = k.opaque(tirx.floordiv(count, i64(LANES)), "vectors")
            with k.loop(0, vectors) as v:
                k.store(y, to + v * LANES, x.load(start + v * LANES, LANES))
            with k.loop(vectors * LANES, count) as at:
                k.store(y, to + at, x.load(start + at))
            done.set(done.get() + count)
            source.set(source.get() + 1)
            column.set(i64(0))
    return k
