"""Elementary functions that networks seldom need: powers, inverse and hyperbolic functions, remainders.

Relative errors are below 1e-6 unless it says otherwise, near 0 as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, bitcast, cast, const, f32, fma, llvm, vec
from hearth.compiler.cpu.kernels.vmath import exp, horner, log

# atan(x) = x + x^3 P(x^2) up to tan(pi / 8), to 7e-10: our own least squares at Chebyshev's places.
_ATAN = (
    -0.06071304108760348, 0.10590773286595731, -0.14243064163587804, 0.1999844208545864, -0.333333145796313,
)  # fmt: skip
# asin(x) = x + x^3 P(x^2) up to 1/2, to 5e-9: the same.
_ASIN = (
    0.04214736496484372, 0.024188649562478265, 0.04546918822004952, 0.07495297941937103, 0.16666752919193528,
)  # fmt: skip
_SINH = tuple(1 / math.factorial(i) for i in (9, 7, 5, 3))
"""sinh(x) = x + x^3 P(x^2) up to 1: its series."""


def _signed(x: Expr, of: Expr, lanes: int) -> Expr:
    """x, which is not negative, with the sign of the other."""
    sign = tirx.bitwise_and(bitcast("uint32", of, lanes), const("uint32", 0x80000000, lanes))
    return bitcast("float32", tirx.bitwise_or(bitcast("uint32", x, lanes), sign), lanes)


def _odd(k: Kernel, x: Expr, coefficients: tuple[float, ...], lanes: int) -> Expr:
    """x + x^3 P(x^2)."""
    square = k.let(x * x, "square")
    return k.let(fma(horner(k, square, coefficients, lanes) * square, x, x, lanes), "odd")


def _floor(x: Expr, lanes: int) -> Expr:
    return llvm("llvm.floor", vec("float32", lanes), x)


def _sqrt(x: Expr, lanes: int) -> Expr:
    return llvm("llvm.sqrt", vec("float32", lanes), x)


def atan(k: Kernel, x: Expr, lanes: int) -> Expr:
    x, one = k.let(x, "x"), f32(1.0, lanes)
    size = k.let(tirx.abs(x), "size")
    # Three stretches: as it is; (x - 1) / (x + 1) away from pi / 4; -1 / x away from pi / 2.
    middle, far = size > f32(math.tan(math.pi / 8), lanes), size > f32(math.tan(3 * math.pi / 8), lanes)
    above = tirx.Select(far, f32(-1.0, lanes), size - one)
    below = tirx.Select(far, size, size + one)
    reduced = k.let(tirx.Select(middle, above / below, size), "reduced")
    away = tirx.Select(far, f32(math.pi / 2, lanes), tirx.Select(middle, f32(math.pi / 4, lanes), f32(0.0, lanes)))
    return _signed(k.let(away + _odd(k, reduced, _ATAN, lanes), "angle"), x, lanes)


def atan2(k: Kernel, y: Expr, x: Expr, lanes: int) -> Expr:
    """The angle of (x, y)."""
    y, x, zero = k.let(y, "y"), k.let(x, "x"), f32(0.0, lanes)
    turn = tirx.Select(x < zero, _signed(f32(math.pi, lanes), y, lanes), zero)
    angle = k.let(atan(k, y / x, lanes) + turn, "angle")
    return tirx.Select(tirx.And(tirx.EQ(x, zero), tirx.EQ(y, zero)), zero, angle)


def asin(k: Kernel, x: Expr, lanes: int) -> Expr:
    x, half = k.let(x, "x"), f32(0.5, lanes)
    size = k.let(tirx.abs(x), "size")
    # Beyond 1/2 it is pi / 2 - 2 asin(sqrt((1 - x) / 2)).
    far = size > half
    reduced = k.let(tirx.Select(far, _sqrt((f32(1.0, lanes) - size) * half, lanes), size), "reduced")
    near = _odd(k, reduced, _ASIN, lanes)
    return _signed(k.let(tirx.Select(far, f32(math.pi / 2, lanes) - (near + near), near), "angle"), x, lanes)


def acos(k: Kernel, x: Expr, lanes: int) -> Expr:
    x, one = k.let(x, "x"), f32(1.0, lanes)
    half = k.let(atan(k, _sqrt((one - x) / (one + x), lanes), lanes), "half")
    return half + half


def sinh(k: Kernel, x: Expr, lanes: int) -> Expr:
    x = k.let(x, "x")
    size = k.let(tirx.abs(x), "size")
    grown = k.let(exp(k, size, lanes), "grown")
    large = (grown - f32(1.0, lanes) / grown) * f32(0.5, lanes)
    small = _odd(k, k.let(tirx.min(size, f32(1.0, lanes)), "small"), _SINH, lanes)
    return _signed(k.let(tirx.Select(size < f32(1.0, lanes), small, large), "value"), x, lanes)


def cosh(k: Kernel, x: Expr, lanes: int) -> Expr:
    grown = k.let(exp(k, tirx.abs(k.let(x, "x")), lanes), "grown")
    return (grown + f32(1.0, lanes) / grown) * f32(0.5, lanes)


def log1p(k: Kernel, x: Expr, lanes: int) -> Expr:
    """log(1 + x): what rounding 1 + x takes off is put right by a factor (Kahan)."""
    x, one = k.let(x, "x"), f32(1.0, lanes)
    # Its bits are looked at, since of (1 + x) - 1 TVM makes x.
    sum_ = k.let(bitcast("float32", k.let(bitcast("int32", one + x, lanes), "bits"), lanes), "sum")
    value = k.let(log(k, sum_, lanes) * x / (sum_ - one), "value")
    same = tirx.EQ(sum_, one)
    beyond = tirx.EQ(sum_, f32(math.inf, lanes))
    return tirx.Select(same, x, tirx.Select(beyond, sum_, value))


def expm1(k: Kernel, x: Expr, lanes: int) -> Expr:
    """e**x - 1: as 2 sinh(x / 2) e**(x / 2)."""
    half = k.let(x * f32(0.5, lanes), "half")
    return k.let(sinh(k, half, lanes) * exp(k, half, lanes) * f32(2.0, lanes), "value")


def asinh(k: Kernel, x: Expr, lanes: int) -> Expr:
    x, one = k.let(x, "x"), f32(1.0, lanes)
    size = k.let(tirx.abs(x), "size")
    square = k.let(size * size, "square")
    return _signed(log1p(k, size + square / (one + _sqrt(square + one, lanes)), lanes), x, lanes)


def acosh(k: Kernel, x: Expr, lanes: int) -> Expr:
    away = k.let(x - f32(1.0, lanes), "away")
    return log1p(k, away + _sqrt(away * (away + f32(2.0, lanes)), lanes), lanes)


def atanh(k: Kernel, x: Expr, lanes: int) -> Expr:
    x = k.let(x, "x")
    size = k.let(tirx.abs(x), "size")
    half = f32(0.5, lanes) * log1p(k, (size + size) / (f32(1.0, lanes) - size), lanes)
    return _signed(k.let(half, "value"), x, lanes)


def power(k: Kernel, x: Expr, y: Expr, lanes: int) -> Expr:
    """x**y; of negative x where y is a whole number. The error grows with the exponent of the result, to 1e-5."""
    x, y, zero, one = k.let(x, "x"), k.let(y, "y"), f32(0.0, lanes), f32(1.0, lanes)
    logarithm = k.let(log(k, tirx.abs(x), lanes), "logarithm")
    product = k.let(y * logarithm, "product")
    grown = k.let(exp(k, product, lanes, fma(y, logarithm, zero - product, lanes)), "grown")
    half = k.let(y * f32(0.5, lanes), "half")
    odd = tirx.NE(_floor(half, lanes), half)
    whole = tirx.EQ(_floor(y, lanes), y)
    of_negative = tirx.Select(whole, tirx.Select(odd, zero - grown, grown), f32(math.nan, lanes))
    of_zero = tirx.Select(y > zero, zero, f32(math.inf, lanes))
    value = tirx.Select(x < zero, of_negative, tirx.Select(tirx.EQ(x, zero), of_zero, grown))
    return k.let(tirx.Select(tirx.EQ(y, zero), one, value), "power")


def _rest(k: Kernel, x: Expr, y: Expr, quotient: Expr, lanes: int) -> Expr:
    return k.let(fma(f32(0.0, lanes) - quotient, y, x, lanes), "rest")


def floor_mod(k: Kernel, x: Expr, y: Expr, lanes: int) -> Expr:
    """x - floor(x / y) y, of the sign of y: exact where the quotient is below 2**24."""
    x, y, zero = k.let(x, "x"), k.let(y, "y"), f32(0.0, lanes)
    rest = _rest(k, x, y, _floor(x / y, lanes), lanes)
    # The quotient may have been rounded to the next whole number.
    wrong = tirx.Or(tirx.And(rest < zero, y > zero), tirx.And(rest > zero, y < zero))
    return k.let(tirx.Select(wrong, rest + y, rest), "rest")


def mod(k: Kernel, x: Expr, y: Expr, lanes: int) -> Expr:
    """x - trunc(x / y) y, of the sign of x, as C's fmod."""
    x, size = k.let(x, "x"), k.let(tirx.abs(y), "size")
    return _signed(floor_mod(k, tirx.abs(x), size, lanes), x, lanes)


Bits = Callable[[Expr, Expr], Expr]


def bitwise(combine: Bits) -> Callable[[Kernel, Expr, Expr, int], Expr]:
    """Of the bits of two whole numbers."""

    def function(k: Kernel, a: Expr, b: Expr, lanes: int) -> Expr:
        whole = (cast("int32", x, lanes) for x in (a, b))
        return cast("float32", k.let(combine(*whole), "bits"), lanes)

    return function


UNARY: dict[str, Callable[[Kernel, Expr, int], Expr]] = {
    "acos": acos,
    "acosh": acosh,
    "asin": asin,
    "asinh": asinh,
    "atan": atan,
    "atanh": atanh,
    "cosh": cosh,
    "expm1": expm1,
    "log1p": log1p,
    "sinh": sinh,
}
BINARY: dict[str, Callable[[Kernel, Expr, Expr, int], Expr]] = {
    "atan2": atan2,
    "bitwise_and": bitwise(tirx.bitwise_and),
    "bitwise_or": bitwise(tirx.bitwise_or),
    "bitwise_xor": bitwise(tirx.bitwise_xor),
    "left_shift": bitwise(tirx.shift_left),
    "right_shift": bitwise(tirx.shift_right),
    "floor_mod": floor_mod,
    "mod": mod,
    "power": power,
}
