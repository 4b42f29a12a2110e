"""Elementary functions on f32 vectors of WGSL, safe where its own may overflow or where drivers assume nothing does."""

from __future__ import annotations

import math
from collections.abc import Callable

from hearth.compiler.coefficients import TAIL_D, TAIL_END, TAIL_N
from hearth.compiler.gpu.kernels.builder import Expr, GpuKernel, builtin, f32, fma, vec

# Beyond this argument e**x is infinite, which drivers may take to be impossible; e**-x is nothing beside 1 long before.
_LARGEST_EXPONENT = 80.0


def exp(x: Expr, lanes: int) -> Expr:
    """e**x; 5e34 for larger arguments than 80."""
    vector = vec("float32", lanes)
    return builtin("exp", vector, builtin("min", vector, x, f32(_LARGEST_EXPONENT, lanes)))


def sigmoid(x: Expr, lanes: int) -> Expr:
    """1 / (1 + e**-x)."""
    return f32(1.0, lanes) / (f32(1.0, lanes) + exp(f32(0.0, lanes) - x, lanes))


def silu(k: GpuKernel, x: Expr, lanes: int) -> Expr:
    x = k.let(x, "x")
    return x / (f32(1.0, lanes) + exp(f32(0.0, lanes) - x, lanes))


def softplus(k: GpuKernel, x: Expr, lanes: int) -> Expr:
    """log(1 + e**x), with small relative errors on both sides: WGSL promises a logarithm near 1 absolutely alone."""
    x, vector = k.let(x, "x"), vec("float32", lanes)
    power = k.let(exp(f32(0.0, lanes) - builtin("abs", vector, x), lanes), "power")
    # log(1 + p) = 2 artanh(s), of which s is 1/3 at most.
    s = k.let(power / (power + f32(2.0, lanes)), "s")
    series = _horner(k, k.let(s * s, "square"), tuple(2.0 / n for n in range(15, 0, -2)), lanes)
    return builtin("max", vector, x, f32(0.0, lanes)) + s * series


def gelu_tanh(k: GpuKernel, x: Expr, lanes: int) -> Expr:
    """0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), written as x * sigmoid(2 ...)."""
    x = k.let(x, "x")
    inner = f32(-2 * math.sqrt(2 / math.pi), lanes) * (x + f32(0.044715, lanes) * x * x * x)
    return x / (f32(1.0, lanes) + exp(inner, lanes))


def gelu(k: GpuKernel, x: Expr, lanes: int) -> Expr:
    """x Phi(x) = 0.5 x (1 + erf(x / sqrt 2)), by the tail of the normal distribution so that nothing cancels."""
    x, vector = k.let(x, "x"), vec("float32", lanes)
    size = k.let(builtin("min", vector, builtin("abs", vector, x), f32(TAIL_END, lanes)), "size")
    ratio = _horner(k, size, TAIL_N, lanes) / _horner(k, size, TAIL_D, lanes)
    tail = size * ratio * builtin("exp", vector, f32(-0.5, lanes) * size * size)
    return builtin("max", vector, x, f32(0.0, lanes)) - tail


def relu(k: GpuKernel, x: Expr, lanes: int) -> Expr:
    return builtin("max", vec("float32", lanes), x, f32(0.0, lanes))


def softcap(k: GpuKernel, x: Expr, cap: float, lanes: int) -> Expr:
    """cap tanh(x / cap)."""
    return f32(cap, lanes) * (f32(1.0, lanes) - f32(2.0, lanes) * sigmoid(x * f32(-2.0 / cap, lanes), lanes))


def _horner(k: GpuKernel, x: Expr, coefficients: tuple[float, ...], lanes: int) -> Expr:
    """The polynomial in x, highest power first."""
    value = f32(coefficients[0], lanes)
    for coefficient in coefficients[1:]:
        value = fma(value, x, f32(coefficient, lanes), lanes)
    return k.let(value, "p")


ACTIVATIONS: dict[str, Callable[[GpuKernel, Expr, int], Expr]] = {
    "silu": silu,
    "gelu_tanh": gelu_tanh,
    "gelu": gelu,
    "relu": relu,
}

__all__ = ["ACTIVATIONS", "exp", "sigmoid", "softcap", "softplus"]
