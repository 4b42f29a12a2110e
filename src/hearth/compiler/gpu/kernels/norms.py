"""RMS norms of rows that stand alone, with or without a residual: a workgroup for each row."""

from __future__ import annotations

from tvm import tirx

from hearth.compiler.gpu.kernels.builder import GpuKernel, builtin, cast, div, dot, f32, i32, lane, splat, vector
from hearth.compiler.gpu.kernels.meeting import Meeting
from hearth.compiler.physical import in_name

THREADS = 256


def norm_name(eps: float, *, add: bool = False, scale: float = 1.0) -> str:
    return "_".join(["rms_norm", in_name(eps), *(["add", in_name(scale)] if add else [])])


def rms_norm(eps: float, *, add: bool = False, scale: float = 1.0) -> GpuKernel:
    """Y = norm(X) * weight, or with `add` Y = residual + scale * norm(X) * weight.

    Buffers: X f32 [m][ld]; weight f32 [size]; [residual f32 [m][ld]]; Y f32 [m][ld]. Scalars: size, ld (a multiple of
    4). Unit: row.
    """
    k = GpuKernel(norm_name(eps, add=add, scale=scale), threads=THREADS)
    x, weight = k.buffer("X", "float32x4"), k.buffer("weight", "float32x4")
    residual = k.buffer("residual", "float32x4") if add else None
    y = k.buffer("Y", "float32x4")
    size, ld = k.scalar("size"), k.scalar("ld")
    start, quads = k.let(k.group * div(ld, 4), "start"), k.let(div(size + 3, 4), "quads")
    squares = k.register("float32", f32(0.0))
    with k.loop(k.thread, quads, THREADS) as i:
        values = k.let(x.load(start + i), "values")
        # What stands behind the row's columns may be anything.
        counted = k.let(
            vector(*(tirx.Select(i * 4 + j < size, lane(values, j), f32(0.0)) for j in range(4))), "counted"
        )
        squares.set(squares.get() + dot(counted, counted))
    meeting = Meeting(k, [squares], "float32", 1)
    k.barrier()
    meeting.fold()
    k.barrier()
    mean = meeting.total(i32(0), i32(0)) / cast("float32", size)
    factor = k.let(f32(1.0) / builtin("sqrt", "float32", mean + f32(eps)), "factor")
    with k.loop(k.thread, quads, THREADS) as i:
        value = x.load(start + i) * splat(factor) * weight.load(i)
        if residual is not None:
            value = residual.load(start + i) + (value if scale == 1.0 else value * f32(scale, 4))
        k.store(y, start + i, value)
    return k
