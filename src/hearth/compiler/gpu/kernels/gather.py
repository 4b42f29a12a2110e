"""Rows of an activation by their numbers, and rows put in the place of others: a workgroup for each row."""

from __future__ import annotations

from hearth.compiler.gpu.kernels.builder import GpuKernel, div

THREADS = 64


def gather_rows() -> GpuKernel:
    """Y[unit] = X[ids[unit]].

    Buffers: X f32 [row][ld]; ids i32; Y f32 [unit][ld]. Scalars: ld (a multiple of 4). Unit: row of Y.
    """
    k = GpuKernel("gather_rows", threads=THREADS)
    x, ids, y = k.buffer("X", "float32x4"), k.buffer("ids", "int32"), k.buffer("Y", "float32x4")
    quads = k.let(div(k.scalar("ld"), 4), "quads")
    start = k.let(ids.load(k.group) * quads, "start")
    with k.loop(k.thread, quads, THREADS) as i:
        k.store(y, k.group * quads + i, x.load(start + i))
    return k


def replace_rows() -> GpuKernel:
    """X[places[unit]] = R[unit], in place.

    Buffers: R f32 [unit][columns]; places i32 [unit]; X f32 [row][ld]. Scalars: columns, ld. Unit: row of R.
    """
    k = GpuKernel("replace_rows", threads=THREADS)
    rows, places, x = k.buffer("R", "float32"), k.buffer("places", "int32"), k.buffer("X", "float32")
    columns, ld = k.scalar("columns"), k.scalar("ld")
    start = k.let(places.load(k.group) * ld, "start")
    with k.loop(k.thread, columns, THREADS) as i:
        k.store(x, start + i, rows.load(k.group * columns + i))
    return k
