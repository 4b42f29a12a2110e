"""LayerNorm of rows, with or without weights: a workgroup for each row.

Mean first, then the variance around it: two passes over a row, and no difference of large squares.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.gpu.features import CORE, Features
from hearth.compiler.gpu.kernels.builder import (
    Expr,
    GpuKernel,
    Register,
    cast,
    div,
    dot,
    f32,
    fma,
    lane,
    splat,
    vector,
)
from hearth.compiler.gpu.kernels.norms import THREADS, inverse_rms, row_total
from hearth.compiler.gpu.kernels.subgroups import SUBGROUPS
from hearth.compiler.physical import in_name


@dataclass(frozen=True)
class LayerNormSpec:
    """Which norm.

    Attributes:
        eps: added to the variance.
        weight, bias: f32 [size] that multiplies, that is added.
    """

    eps: float
    weight: bool = True
    bias: bool = True

    @property
    def name(self) -> str:
        return "_".join(["layer_norm", in_name(self.eps), *(n for n in ("weight", "bias") if getattr(self, n))])


def layer_norm_variants(spec: LayerNormSpec) -> list[GpuKernel]:
    """By what there are kernels for, the core first."""
    return [layer_norm(spec, each) for each in (CORE, SUBGROUPS)]


def layer_norm(spec: LayerNormSpec, features: Features = CORE) -> GpuKernel:
    """Buffers: X f32 [m][ld]; [weight f32 [size]]; [bias f32 [size]]; Y f32 [m][ld]. Scalars: size, ld (a multiple of
    4). Unit: row."""
    k = GpuKernel(spec.name, threads=THREADS, features=features)
    x = k.buffer("X", "float32x4")
    weight = k.buffer("weight", "float32x4") if spec.weight else None
    bias = k.buffer("bias", "float32x4") if spec.bias else None
    y = k.buffer("Y", "float32x4")
    size, ld = k.scalar("size"), k.scalar("ld")
    start, quads = k.let(k.group * div(ld, 4), "start"), k.let(div(size + 3, 4), "quads")

    def inside(i: Expr, values: Expr) -> Expr:
        """With zeros in place of what stands behind the row's columns, which may be anything."""
        elements = (tirx.Select(i * 4 + j < size, lane(values, j), f32(0.0)) for j in range(4))
        return k.let(vector(*elements), "inside")

    sums: Register = k.register("float32", f32(0.0))
    with k.loop(k.thread, quads, THREADS) as i:
        sums.set(sums.get() + dot(inside(i, k.let(x.load(start + i), "values")), splat(f32(1.0))))
    mean = k.let(row_total(k, sums) / cast("float32", size), "mean")
    k.barrier()  # what one sum met in is used by the next
    squares: Register = k.register("float32", f32(0.0))
    with k.loop(k.thread, quads, THREADS) as i:
        apart = inside(i, k.let(x.load(start + i) - splat(mean), "apart"))
        squares.set(squares.get() + dot(apart, apart))
    factor = inverse_rms(k, row_total(k, squares), size, spec.eps)
    with k.loop(k.thread, quads, THREADS) as i:
        value = k.let((x.load(start + i) - splat(mean)) * splat(factor), "value")
        if weight is not None and bias is not None:
            value = fma(value, weight.load(i), bias.load(i), 4)
        elif weight is not None:
            value = value * weight.load(i)
        elif bias is not None:
            value = value + bias.load(i)
        k.store(y, start + i, value)
    return k
