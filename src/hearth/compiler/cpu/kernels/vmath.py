"""Elementary functions on f32 vectors, without calls: exp, tanh, the gated activations, horizontal reductions."""

from __future__ import annotations

import math
from collections.abc import Callable

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, bitcast, broadcast, cast, const, f32, fma, llvm, vec

# exp(r) on [-ln2/2, ln2/2]: minimax coefficients of Cephes' expf (Moshier), error below 2 ulp.
_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)


def exp(k: Kernel, x: Expr, lanes: int) -> Expr:
    """e**x for x in [-87, 88]; smaller arguments give about 1e-38, larger ones about 1.6e38."""
    x = k.let(tirx.max(tirx.min(x, f32(88.0, lanes)), f32(-87.0, lanes)), "x")
    n = k.let(llvm("llvm.rint", vec("float32", lanes), x * f32(1 / math.log(2), lanes)), "n")
    # ln 2 in two pieces, the first exact in few bits, so that n * ln2 loses nothing.
    r = k.let(fma(n, f32(2.12194440e-4, lanes), fma(n, f32(-0.693359375, lanes), x, lanes), lanes), "r")
    p = f32(_EXP[0], lanes)
    for c in _EXP[1:]:
        p = k.let(fma(p, r, f32(c, lanes), lanes), "p")
    p = k.let(fma(p, r * r, r + f32(1.0, lanes), lanes), "p")
    bits = tirx.shift_left(cast("int32", n, lanes) + const("int32", 127, lanes), const("int32", 23, lanes))
    return k.let(p * bitcast("float32", bits, lanes), "exp")


def tanh(k: Kernel, x: Expr, lanes: int) -> Expr:
    """1 - 2 / (e**2x + 1): relative error 1e-7 but for |x| near 0, where it is absolute."""
    one = f32(1.0, lanes)
    return one - f32(2.0, lanes) / (exp(k, x * f32(2.0, lanes), lanes) + one)


def softcap(k: Kernel, x: Expr, cap: float, lanes: int) -> Expr:
    return f32(cap, lanes) * tanh(k, x * f32(1.0 / cap, lanes), lanes)


def silu(k: Kernel, x: Expr, lanes: int) -> Expr:
    return x / (f32(1.0, lanes) + exp(k, f32(0.0, lanes) - x, lanes))


def gelu_tanh(k: Kernel, x: Expr, lanes: int) -> Expr:
    """0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), written as x * sigmoid(2 ...)."""
    inner = f32(math.sqrt(2 / math.pi), lanes) * (x + f32(0.044715, lanes) * x * x * x)
    return x / (f32(1.0, lanes) + exp(k, f32(-2.0, lanes) * inner, lanes))


def gelu(k: Kernel, x: Expr, lanes: int) -> Expr:
    """0.5 x (1 + erf(x / sqrt 2)); erf by Abramowitz and Stegun 7.1.26, absolute error 1.5e-7."""
    one = f32(1.0, lanes)
    z = k.let(tirx.abs(x) * f32(math.sqrt(0.5), lanes), "z")
    t = k.let(one / (one + f32(0.3275911, lanes) * z), "t")
    p = f32(1.061405429, lanes)
    for c in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        p = k.let(fma(p, t, f32(c, lanes), lanes), "p")
    erf = k.let(one - p * t * exp(k, f32(0.0, lanes) - z * z, lanes), "erf")
    signed = tirx.Select(x < f32(0.0, lanes), f32(0.0, lanes) - erf, erf)
    return f32(0.5, lanes) * x * (one + signed)


ACTIVATIONS: dict[str, Callable[[Kernel, Expr, int], Expr]] = {"silu": silu, "gelu_tanh": gelu_tanh, "gelu": gelu}


def reduce_max(x: Expr) -> Expr:
    return llvm("llvm.vector.reduce.fmax", "float32", x)


def reduce_max_int(x: Expr) -> Expr:
    return llvm("llvm.vector.reduce.smax", "int32", x)


def reduce_sum_int(x: Expr) -> Expr:
    return llvm("llvm.vector.reduce.add", "int32", x)


def reduce_min_int(x: Expr) -> Expr:
    return llvm("llvm.vector.reduce.smin", "int32", x)


def reduce_sum(k: Kernel, x: Expr, lanes: int) -> Expr:
    """Sum of the lanes by halves: always in the same order."""
    x = k.let(x, "lanes")
    while lanes > 1:
        lanes //= 2
        halves = [tirx.Shuffle([x], [const("int32", i + start) for i in range(lanes)]) for start in (0, lanes)]
        x = k.let(halves[0] + halves[1], "half")
    return x


__all__ = [
    "ACTIVATIONS",
    "broadcast",
    "exp",
    "reduce_max",
    "reduce_max_int",
    "reduce_min_int",
    "reduce_sum",
    "reduce_sum_int",
    "softcap",
    "tanh",
]
