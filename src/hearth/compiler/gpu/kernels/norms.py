"""RMS norms of rows that stand alone, with or without a residual: a workgroup for each row.

A norm whose result is added to a residual is also computed by the product that reads the sum (`activations.py`); the
functions that both use see to it that a row has the same bits either way.
"""

from __future__ import annotations

from tvm import tirx

from hearth.compiler.gpu.features import CORE, Features
from hearth.compiler.gpu.kernels.builder import (
    Expr,
    GpuKernel,
    Memory,
    Register,
    builtin,
    cast,
    div,
    dot,
    f32,
    fma,
    i32,
    lane,
    mod,
    splat,
    vector,
)
from hearth.compiler.gpu.kernels.meeting import Meeting
from hearth.compiler.gpu.kernels.subgroups import SUBGROUPS, SUM, Places, SubgroupMeeting
from hearth.compiler.physical import in_name
from hearth.quant.formats import LANES

THREADS = 256
_LANES = 16
"""Sums of the squares of blocks are added up in so many runs."""


def norm_name(eps: float, *, add: bool = False, scale: float = 1.0, noted: bool = False) -> str:
    return "_".join(
        ["rms_norm", in_name(eps), *(["add", in_name(scale)] if add else []), *(["noted"] if noted else [])]
    )


def norm_variants(eps: float, *, add: bool = False, scale: float = 1.0, noted: bool = False) -> list[GpuKernel]:
    """By what there are kernels for, the core first: noted squares are few."""
    features = [CORE] if noted else [CORE, SUBGROUPS]
    return [rms_norm(eps, add=add, scale=scale, noted=noted, features=each) for each in features]


def rms_norm(
    eps: float, *, add: bool = False, scale: float = 1.0, noted: bool = False, features: Features = CORE
) -> GpuKernel:
    """Y = norm(X) * weight, or with `add` Y = residual + scale * norm(X) * weight.

    Buffers: X f32 [m][ld]; weight f32 [size]; [residual f32 [m][ld]]; with `noted` sums of the squares of 16 columns
    each f32 [m][ceil(size / 16)]; Y f32 [m][ld]. Scalars: size, ld (a multiple of 4). Unit: row.
    """
    k = GpuKernel(norm_name(eps, add=add, scale=scale, noted=noted), threads=THREADS, features=features)
    x, weight = k.buffer("X", "float32x4"), k.buffer("weight", "float32x4")
    residual = k.buffer("residual", "float32x4") if add else None
    squares = k.buffer("squares", "float32") if noted else None
    y = k.buffer("Y", "float32x4")
    size, ld = k.scalar("size"), k.scalar("ld")
    start, quads = k.let(k.group * div(ld, 4), "start"), k.let(div(size + 3, 4), "quads")
    total = _squares(k, x, start, quads, size) if squares is None else noted_squares(k, squares, k.group, size)
    factor = inverse_rms(k, total, size, eps)
    with k.loop(k.thread, quads, THREADS) as i:
        if residual is not None:
            k.store(y, start + i, norm_sum(x.load(start + i), factor, scale, weight.load(i), residual.load(start + i)))
        else:
            k.store(y, start + i, x.load(start + i) * splat(factor) * weight.load(i))
    return k


def inverse_rms(k: GpuKernel, squares: Expr, size: Expr, eps: float) -> Expr:
    """What a norm multiplies a row by whose squares have this sum."""
    mean = squares / cast("float32", size)
    return k.let(f32(1.0) / builtin("sqrt", "float32", mean + f32(eps)), "factor")


def norm_sum(values: Expr, factor: Expr, scale: float, weight: Expr, residual: Expr) -> Expr:
    """residual + scale * factor * values * weight, of vectors of 4."""
    normed = values * splat(factor)
    return fma(normed if scale == 1.0 else normed * f32(scale, 4), weight, residual, 4)


def noted_squares(k: GpuKernel, squares: Memory, row: Expr, size: Expr) -> Expr:
    """The sum of a row's squares, of which those of 16 columns each are noted. All invocations have to be here."""
    blocks, own = k.let(div(size + (LANES - 1), LANES), "blocks"), k.let(mod(k.thread, _LANES), "own")
    runs, run = k.workgroup(_LANES, "float32", "runs"), k.register("float32", f32(0.0))
    with k.loop(own, blocks, _LANES) as i:
        run.set(run.get() + squares.load(row * blocks + i))
    with k.when(k.thread < _LANES):
        k.store(runs, own, run.get())
    k.barrier()
    total = k.register("float32", f32(0.0))
    for i in range(_LANES):
        total.set(total.get() + runs.load(i))
    return k.let(total.get(), "total")


def _squares(k: GpuKernel, x: Memory, start: Expr, quads: Expr, size: Expr) -> Expr:
    """The sum of a row's squares."""
    squares = k.register("float32", f32(0.0))
    with k.loop(k.thread, quads, THREADS) as i:
        values = k.let(x.load(start + i), "values")
        # What stands behind the row's columns may be anything.
        counted = k.let(
            vector(*(tirx.Select(i * 4 + j < size, lane(values, j), f32(0.0)) for j in range(4))), "counted"
        )
        squares.set(squares.get() + dot(counted, counted))
    return row_total(k, squares)


def row_total(k: GpuKernel, own: Register) -> Expr:
    """The sum of what all invocations of a workgroup have; all have to be here."""
    if k.features.subgroups:
        (total,) = SubgroupMeeting(Places(k), SUM).of([own.get()])
        return total
    meeting = Meeting(k, [own], "float32", 1)
    k.barrier()
    meeting.fold()
    k.barrier()
    return meeting.total(i32(0), i32(0))
