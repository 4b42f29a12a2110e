"""The elements of rows of one length as rows of another, where padding lies between them."""

from __future__ import annotations

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Kernel


def reshape() -> Kernel:
    """Buffers: X f32 [.][ldx]; Y f32 [.][ldy]. Scalars: columns of Y, ldy, columns of X, ldx. Unit: row of Y."""
    k = Kernel("reshape")
    x, y = k.buffer("X", "float32"), k.buffer("Y", "float32")
    columns, ldy, source_columns, ldx = (k.scalar(n) for n in ("columns", "ldy", "source_columns", "ldx"))
    with k.loop(k.begin, k.end) as row:
        first = k.let(row * columns, "first")
        start = k.register("int64", init=tirx.floordiv(first, source_columns) * ldx)
        column = k.register("int64", init=tirx.floormod(first, source_columns))
        with k.loop(0, columns) as at:
            k.store(y, row * ldy + at, x.load(start.get() + column.get()))
            column.set(column.get() + 1)
            with k.when(tirx.EQ(column.get(), source_columns)):
                column.set(tirx.IntImm("int64", 0))
                start.set(start.get() + ldx)
    return k
