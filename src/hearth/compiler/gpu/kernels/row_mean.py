"""Means of rows: a workgroup for each."""

from __future__ import annotations

from tvm import tirx

from hearth.compiler.gpu.features import CORE, Features
from hearth.compiler.gpu.kernels.builder import GpuKernel, cast, div, dot, f32, lane, splat, vector
from hearth.compiler.gpu.kernels.norms import THREADS, row_total
from hearth.compiler.gpu.kernels.subgroups import SUBGROUPS

NAME = "row_mean"


def row_mean_variants() -> list[GpuKernel]:
    """By what there are kernels for, the core first."""
    return [row_mean(each) for each in (CORE, SUBGROUPS)]


def row_mean(features: Features = CORE) -> GpuKernel:
    """Buffers: X f32 [m][ld]; Y f32 [m][ldy], of which the first column is written. Scalars: size, ld (a multiple of
    4), ldy. Unit: row."""
    k = GpuKernel(NAME, threads=THREADS, features=features)
    x, y = k.buffer("X", "float32x4"), k.buffer("Y", "float32")
    size, ld, ldy = k.scalar("size"), k.scalar("ld"), k.scalar("ldy")
    start, quads = k.let(k.group * div(ld, 4), "start"), k.let(div(size + 3, 4), "quads")
    total = k.register("float32", f32(0.0))
    with k.loop(k.thread, quads, THREADS) as i:
        values = k.let(x.load(start + i), "values")
        # What stands behind the row's columns may be anything.
        inside = vector(*(tirx.Select(i * 4 + j < size, lane(values, j), f32(0.0)) for j in range(4)))
        total.set(total.get() + dot(k.let(inside, "inside"), splat(f32(1.0))))
    mean = k.let(row_total(k, total) / cast("float32", size), "mean")
    with k.when(tirx.EQ(k.thread, 0)):
        k.store(y, k.group * ldy, mean)
    return k
