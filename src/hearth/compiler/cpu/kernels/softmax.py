"""Softmax over the last axis, for what is no attention. One unit is one row."""

from __future__ import annotations

from tvm import tirx

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, broadcast, f32
from hearth.compiler.cpu.kernels.layer_norm import LANES, over

LOWEST = -3.4028234e38


def softmax() -> Kernel:
    """Buffers: X f32 [m][ldx]; Y f32 [m][ldy], which may be X where strides are the same. Scalars: size, ldx, ldy.
    Unit: row."""
    k = Kernel("softmax")
    x, y = k.buffer("X", "float32"), k.buffer("Y", "float32")
    size, ldx, ldy = (k.scalar(name) for name in ("size", "ldx", "ldy"))
    with k.loop(k.begin, k.end) as m:
        start, to = k.let(m * ldx, "start"), k.let(m * ldy, "to")
        # Whole vectors and what is left one by one have a register each.
        peaks = {lanes: k.register("float32", lanes, f32(LOWEST, lanes)) for lanes in (LANES, 1)}
        totals = {lanes: k.register("float32", lanes, f32(0.0, lanes)) for lanes in (LANES, 1)}

        def find(j: Expr, lanes: int) -> None:
            peaks[lanes].set(tirx.max(peaks[lanes].get(), x.load(start + j, lanes)))

        over(k, size, find)
        highest = vmath.reduce_lanes(k, peaks[LANES].get(), LANES, tirx.max)
        peak = k.opaque(tirx.max(highest, peaks[1].get()), "peak")

        def weigh(j: Expr, lanes: int) -> None:
            weight = vmath.exp(k, x.load(start + j, lanes) - broadcast(peak, lanes), lanes)
            totals[lanes].set(totals[lanes].get() + weight)
            k.store(y, to + j, weight)

        over(k, size, weigh)
        total = vmath.reduce_sum(k, totals[LANES].get(), LANES) + totals[1].get()
        inverse = k.let(f32(1.0) / total, "inverse")

        def share(j: Expr, lanes: int) -> None:
            k.store(y, to + j, k.let(y.load(to + j, lanes) * broadcast(inverse, lanes), "y"))

        over(k, size, share)
    return k
