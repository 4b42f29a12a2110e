"""LayerNorm of rows, with or without weights, alone or added to a residual. One unit is one row.

Mean first, then the variance around it: two passes over a row in the cache, and no difference of large squares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, broadcast, cast, f32, fma, i64, in_name

LANES = 16
_CHAINS = 4


@dataclass(frozen=True)
class LayerNormSpec:
    """Which norm.

    Attributes:
        eps: added to the variance.
        weight, bias: f32 [size] that multiplies, that is added.
        add: the result is residual + scale * norm(X).
    """

    eps: float
    weight: bool = True
    bias: bool = True
    add: bool = False
    scale: float = 1.0

    @property
    def name(self) -> str:
        parts = ["layer_norm", in_name(self.eps), *(name for name in ("weight", "bias") if getattr(self, name))]
        return "_".join([*parts, *(["add", in_name(self.scale)] if self.add else [])])

    def scratch_bytes(self) -> int:
        return 0


def layer_norm(spec: LayerNormSpec) -> Kernel:
    """Buffers: X f32 [m][ldx]; [weight f32 [size]]; [bias f32 [size]]; [residual f32 [m][ldy]]; Y f32 [m][ldy], which
    may be X or the residual where strides are the same. Scalars: size, ldx, ldy. Unit: row."""
    k = Kernel(spec.name)
    x = k.buffer("X", "float32")
    weight = k.buffer("weight", "float32") if spec.weight else None
    bias = k.buffer("bias", "float32") if spec.bias else None
    residual = k.buffer("residual", "float32") if spec.add else None
    y = k.buffer("Y", "float32")
    size, ldx, ldy = (k.scalar(name) for name in ("size", "ldx", "ldy"))
    with k.loop(k.begin, k.end) as m:
        start, to = k.let(m * ldx, "start"), k.let(m * ldy, "to")
        mean, factor = layer_statistics(k, x, start, size, spec.eps)

        def put(j: Expr, lanes: int) -> None:
            v = (x.load(start + j, lanes) - broadcast(mean, lanes)) * broadcast(factor, lanes)
            if weight is not None:
                v = v * weight.load(j, lanes)
            if bias is not None:
                v = v + bias.load(j, lanes)
            if residual is not None:
                v = residual.load(to + j, lanes) + (v if spec.scale == 1.0 else v * f32(spec.scale, lanes))
            k.store(y, to + j, k.let(v, "y"))

        over(k, size, put)
    return k


def layer_statistics(k: Kernel, x: Memory, start: Expr, size: Expr, eps: float) -> tuple[Expr, Expr]:
    """Mean and 1 / sqrt(variance + eps) of x[start : start + size]."""
    count = cast("float32", size)
    mean = k.let(sum_over(k, size, lambda j, lanes, total: total + x.load(start + j, lanes)) / count, "mean")

    def squares(j: Expr, lanes: int, total: Expr) -> Expr:
        v = k.let(x.load(start + j, lanes) - broadcast(mean, lanes), "v")
        return fma(v, v, total, lanes)

    variance = sum_over(k, size, squares) / count
    return mean, k.let(f32(1.0) / tirx.sqrt(variance + f32(eps)), "factor")


def sum_over(k: Kernel, size: Expr, add: Callable[[Expr, int, Expr], Expr]) -> Expr:
    """Folds add(index, lanes, total) over a row: into four vectors in turn, which need not wait for each other, then
    into one, then one by one."""
    step = _CHAINS * LANES
    most = k.let(tirx.truncdiv(size, i64(step)) * step, "most")
    whole = k.let(tirx.truncdiv(size, i64(LANES)) * LANES, "whole")
    partial = [k.register("float32", LANES, f32(0.0, LANES)) for _ in range(_CHAINS)]
    with k.loop(0, most, step) as j:
        for chain, register in enumerate(partial):
            register.set(add(j + chain * LANES, LANES, register.get()))
    with k.loop(most, whole, LANES) as j:
        partial[0].set(add(j, LANES, partial[0].get()))
    pairs = [partial[i].get() + partial[i + 2].get() for i in (0, 1)]
    total = k.register("float32", init=vmath.reduce_sum(k, pairs[0] + pairs[1], LANES))
    with k.loop(whole, size) as j:
        total.set(add(j, 1, total.get()))
    return total.get()


def over(k: Kernel, size: Expr, body: Callable[[Expr, int], None]) -> None:
    """body(index, lanes) over [0, size): vectors, then single elements."""
    whole = k.let(tirx.truncdiv(size, i64(LANES)), "whole")
    with k.loop(0, whole) as i:
        body(i * LANES, LANES)
    with k.loop(whole * LANES, size) as j:
        body(j, 1)
