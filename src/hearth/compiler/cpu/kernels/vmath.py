"""Elementary functions on f32 vectors, without calls: exp, tanh, activations, transposition, horizontal reductions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tvm import tirx

from hearth.compiler.coefficients import TAIL_D, TAIL_END, TAIL_N
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, bitcast, broadcast, cast, const, f32, fma, llvm, vec

# exp(r) on [-ln2/2, ln2/2]: minimax coefficients of Cephes' expf (Moshier), error below 2 ulp.
_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)


# 2**x on [-1/2, 1/2]: our own minimax fit, to 8e-5.
_EXP2_SHORT = (0.05517100915312767, 0.24261119961738586, 0.6932610869407654, 0.9999280571937561)
# tanh(x) = x + x^3 P(x^2) below 0.625: Cephes' tanhf.
_TANH = (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)
_TANH_SMALL = 0.625
# The normal distribution is 0.5 + x P(x^2) on [-4.4, 4.4], and 0 or 1 at its ends: our own minimax fit of x times that.
_NEAR = (
    3.569426698657452e-11, -3.754046851156545e-09, 1.7408466135293565e-07, -4.724866812466644e-06,
    8.42930021462962e-05, -0.0010549924336373806, 0.009643027558922768, -0.06607642769813538, 0.3987616002559662,
)  # fmt: skip
_NEAR_END = 4.4
# sin(x) = x + x^3 P(x^2) on [-pi/2, pi/2], to 4e-9: our own least squares at Chebyshev's places.
_SINE = (
    -2.3904592083567877e-08, 2.7526341455086367e-06, -0.0001984088885365054, 0.008333330973982811, -0.1666666716337204,
)  # fmt: skip
# Pi in three pieces, the first two of 8 and 10 bits, whose products with numbers below 2**13 are exact.
_PI = (3.140625, 0.0009679794311523438, -3.2584135922775204e-07)
# erf(x) = x P(x^2) below 1/2: its series.
_ERF = tuple(2 / math.sqrt(math.pi) * (-1) ** i / (math.factorial(i) * (2 * i + 1)) for i in range(6, -1, -1))
_ERF_SMALL, _ERF_END = 0.5, 9.5


def horner(k: Kernel, x: Expr, coefficients: tuple[float, ...], lanes: int) -> Expr:
    """The polynomial in x, highest power first."""
    p = f32(coefficients[0], lanes)
    for c in coefficients[1:]:
        p = k.let(fma(p, x, f32(c, lanes), lanes), "p")
    return p


def exp(k: Kernel, x: Expr, lanes: int, low: Expr | None = None) -> Expr:
    """e**(x + low) for x in [-87, 88]; smaller arguments give about 1e-38, larger ones about 1.6e38, NaN NaN.

    Args:
        low: what rounding has taken off the argument, if it is known: far from 0 that much changes the result's last
            bits.
    """
    # The constants come first: of these two `max` and `min` keep the second where they cannot compare, which is NaN.
    x = k.let(tirx.max(f32(-87.0, lanes), tirx.min(f32(88.0, lanes), x)), "x")
    n = k.let(llvm("llvm.rint", vec("float32", lanes), x * f32(1 / math.log(2), lanes)), "n")
    # ln 2 in two pieces, the first exact in few bits, so that n * ln2 loses nothing.
    r = k.let(fma(n, f32(2.12194440e-4, lanes), fma(n, f32(-0.693359375, lanes), x, lanes), lanes), "r")
    if low is not None:
        r = k.let(r + low, "r")
    p = horner(k, r, _EXP, lanes)
    p = k.let(fma(p, r * r, r + f32(1.0, lanes), lanes), "p")
    bits = tirx.shift_left(cast("int32", n, lanes) + const("int32", 127, lanes), const("int32", 23, lanes))
    return k.let(p * bitcast("float32", bits, lanes), "exp")


def exp2_short(k: Kernel, x: Expr, lanes: int) -> Expr:
    """2**x for x at most 127, smaller arguments than -126 giving about 1e-38; relative error below 8e-5."""
    x = k.let(tirx.max(f32(-126.0, lanes), x), "x")
    n = k.let(llvm("llvm.rint", vec("float32", lanes), x), "n")
    p = horner(k, k.let(x - n, "fraction"), _EXP2_SHORT, lanes)
    bits = bitcast("int32", p, lanes) + tirx.shift_left(cast("int32", n, lanes), const("int32", 23, lanes))
    return k.let(bitcast("float32", bits, lanes), "exp2")


def log2(k: Kernel, x: Expr, lanes: int) -> Expr:
    """Logarithm to the base 2 of positive normal numbers: absolute error below 1e-6."""
    # x = 2**n m with m near 1, where log m = 2 artanh((m - 1) / (m + 1)).
    bits = k.let(bitcast("int32", x, lanes), "bits")
    half = const("int32", 0x3F3504F3, lanes)  # sqrt(1/2)
    n = k.let(tirx.shift_right(bits - half, const("int32", 23, lanes)), "n")
    m = k.let(bitcast("float32", bits - tirx.shift_left(n, const("int32", 23, lanes)), lanes), "m")
    t = k.let((m - f32(1.0, lanes)) / (m + f32(1.0, lanes)), "t")
    series = horner(k, k.let(t * t, "square"), tuple(2 / math.log(2) / i for i in (7, 5, 3, 1)), lanes)
    return k.let(fma(series, t, cast("float32", n, lanes), lanes), "log2")


def log(k: Kernel, x: Expr, lanes: int) -> Expr:
    """Natural logarithm of any number: relative error below 3e-7."""
    small = x < f32(2.0**-126, lanes)
    scaled = k.let(tirx.Select(small, x * f32(2.0**25, lanes), x), "scaled")
    bits = k.let(bitcast("int32", scaled, lanes), "bits")
    half = const("int32", 0x3F3504F3, lanes)  # sqrt(1/2)
    n = k.let(tirx.shift_right(bits - half, const("int32", 23, lanes)), "n")
    m = k.let(bitcast("float32", bits - tirx.shift_left(n, const("int32", 23, lanes)), lanes), "m")
    power = k.let(cast("float32", n, lanes) - tirx.Select(small, f32(25.0, lanes), f32(0.0, lanes)), "power")
    t = k.let((m - f32(1.0, lanes)) / (m + f32(1.0, lanes)), "t")
    series = horner(k, k.let(t * t, "square"), tuple(2 / i for i in (9, 7, 5, 3, 1)), lanes)
    # log 2 in two parts: the first has few bits, so that its product with n is exact.
    rest = k.let(fma(series, t, power * f32(math.log(2) - 0.693359375, lanes), lanes), "rest")
    value = k.let(fma(power, f32(0.693359375, lanes), rest, lanes), "log")
    beyond = tirx.Select(x < f32(0.0, lanes), f32(math.nan, lanes), x)  # infinite, or no number at all
    value = tirx.Select(tirx.And(x > f32(0.0, lanes), x < f32(math.inf, lanes)), value, beyond)
    return k.let(tirx.Select(tirx.EQ(x, f32(0.0, lanes)), f32(-math.inf, lanes), value), "log")


def tanh(k: Kernel, x: Expr, lanes: int) -> Expr:
    """Relative error below 3e-7, tiny and large arguments included."""
    x, one = k.let(x, "x"), f32(1.0, lanes)
    size = k.let(tirx.abs(x), "size")
    square = k.let(x * x, "square")
    small = fma(horner(k, square, _TANH, lanes) * square, size, size, lanes)
    large = one - f32(2.0, lanes) / (exp(k, size * f32(2.0, lanes), lanes) + one)
    value = k.let(tirx.Select(size < f32(_TANH_SMALL, lanes), small, large), "value")
    sign = tirx.bitwise_and(bitcast("uint32", x, lanes), const("uint32", 0x80000000, lanes))
    return bitcast("float32", tirx.bitwise_or(bitcast("uint32", value, lanes), sign), lanes)


def sin(k: Kernel, x: Expr, lanes: int) -> Expr:
    """Absolute error below 2e-7 for arguments up to 25,000; beyond, as many bits are lost as the argument has more."""
    x = k.let(x, "x")
    turns = k.let(llvm("llvm.rint", vec("float32", lanes), x * f32(1 / math.pi, lanes)), "turns")
    return _half_turns(k, x, turns, turns, lanes)


def cos(k: Kernel, x: Expr, lanes: int) -> Expr:
    """As `sin`, which it is a quarter of a turn away from."""
    x, half = k.let(x, "x"), f32(0.5, lanes)
    turns = k.let(llvm("llvm.rint", vec("float32", lanes), fma(x, f32(1 / math.pi, lanes), half, lanes)), "turns")
    return _half_turns(k, x, turns - half, turns, lanes)


def _half_turns(k: Kernel, x: Expr, away: Expr, turns: Expr, lanes: int) -> Expr:
    """sin(x - away pi), negative where `turns` is odd."""
    away, limit = k.let(away, "away"), f32(2.0, lanes)
    for piece in _PI:
        x = k.let(fma(away, f32(-piece, lanes), x, lanes), "x")
    x = k.let(tirx.max(f32(-2.0, lanes), tirx.min(limit, x)), "x")  # where no bit is right any more
    square = k.let(x * x, "square")
    value = fma(horner(k, square, _SINE, lanes) * square, x, x, lanes)
    most = f32(2.0**30, lanes)
    whole = cast("int32", tirx.max(f32(-(2.0**30), lanes), tirx.min(most, turns)), lanes)
    sign = tirx.shift_left(whole, const("int32", 31, lanes))
    return bitcast("float32", tirx.bitwise_xor(bitcast("int32", k.let(value, "sine"), lanes), sign), lanes)


def erf(k: Kernel, x: Expr, lanes: int) -> Expr:
    """The error function: relative error below 3e-7."""
    x, one = k.let(x, "x"), f32(1.0, lanes)
    size = k.let(tirx.min(f32(_ERF_END, lanes), tirx.abs(x)), "size")
    square = k.let(size * size, "square")
    small = size * horner(k, square, _ERF, lanes)
    low = fma(size, size, f32(0.0, lanes) - square, lanes)
    away = k.let(size * f32(math.sqrt(2), lanes), "away")
    ratio = horner(k, away, TAIL_N, lanes) / horner(k, away, TAIL_D, lanes)
    tail = ratio * exp(k, f32(0.0, lanes) - square, lanes, f32(0.0, lanes) - low)
    large = one - f32(2.0, lanes) * tail
    value = k.let(tirx.Select(size < f32(_ERF_SMALL, lanes), small, large), "value")
    sign = tirx.bitwise_and(bitcast("uint32", x, lanes), const("uint32", 0x80000000, lanes))
    return bitcast("float32", tirx.bitwise_or(bitcast("uint32", value, lanes), sign), lanes)


def sigmoid(k: Kernel, x: Expr, lanes: int) -> Expr:
    """1 / (1 + e**-x)."""
    one = f32(1.0, lanes)
    return one / (one + exp(k, f32(0.0, lanes) - x, lanes))


def softplus(k: Kernel, x: Expr, lanes: int) -> Expr:
    """log(1 + e**x), with small relative errors on both sides."""
    one, x = f32(1.0, lanes), k.let(x, "x")
    power = k.let(exp(k, f32(0.0, lanes) - tirx.abs(x), lanes), "power")
    # What 1 + power rounds away is put back by the quotient: their logarithms are to each other as they are.
    total = k.let(one + power, "total")
    rounded = k.let(total - one, "rounded")
    part = log(k, total, lanes) * (power / tirx.max(rounded, f32(2.0**-24, lanes)))
    value = tirx.max(x, f32(0.0, lanes)) + tirx.Select(rounded > f32(0.0, lanes), part, power)
    return k.let(k.register("float32", lanes, value).get(), "softplus")  # as `opaque`: what bounds it is slow to find


def softcap(k: Kernel, x: Expr, cap: float, lanes: int) -> Expr:
    """cap tanh(x / cap), with an absolute error: scores near 0 differ by it from each other anyway."""
    one = f32(1.0, lanes)
    return f32(cap, lanes) * (one - f32(2.0, lanes) / (exp(k, x * f32(2.0 / cap, lanes), lanes) + one))


def silu(k: Kernel, x: Expr, lanes: int) -> Expr:
    return x / (f32(1.0, lanes) + exp(k, f32(0.0, lanes) - x, lanes))


def gelu_tanh(k: Kernel, x: Expr, lanes: int) -> Expr:
    """0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), written as x * sigmoid(2 ...)."""
    inner = f32(math.sqrt(2 / math.pi), lanes) * (x + f32(0.044715, lanes) * x * x * x)
    return x / (f32(1.0, lanes) + exp(k, f32(-2.0, lanes) * inner, lanes))


def gelu(k: Kernel, x: Expr, lanes: int) -> Expr:
    """x Phi(x) = 0.5 x (1 + erf(x / sqrt 2)): relative error about 2e-7 for x > 0 and 4e-7 below, where 1 + erf would
    have cancelled."""
    x = k.let(x, "x")
    size = k.let(tirx.min(tirx.abs(x), f32(TAIL_END, lanes)), "size")
    ratio = horner(k, size, TAIL_N, lanes) / horner(k, size, TAIL_D, lanes)
    square = k.let(size * size, "square")
    low = fma(size, size, f32(0.0, lanes) - square, lanes)
    density = exp(k, square * f32(-0.5, lanes), lanes, low * f32(-0.5, lanes))
    tail = k.let(size * ratio * density, "tail")
    return tirx.Select(x < f32(0.0, lanes), f32(0.0, lanes), x) - tail


def gelu_of_bytes(k: Kernel, x: Expr, lanes: int) -> Expr:
    """`gelu` with an absolute error below 4e-5, in a third of the time: for values that come of products of bytes, and
    are rounded to bytes again."""
    x = k.let(x, "x")
    end = f32(_NEAR_END, lanes)
    near = k.let(tirx.max(tirx.min(x, end), f32(0.0, lanes) - end), "near")
    phi = fma(near, horner(k, k.let(near * near, "square"), _NEAR, lanes), f32(0.5, lanes), lanes)
    return x * phi


def quick_gelu(k: Kernel, x: Expr, lanes: int) -> Expr:
    """x sigmoid(1.702 x): relative error below 3e-7."""
    x, factor = k.let(x, "x"), f32(-1.702, lanes)
    near = k.let(tirx.max(tirx.min(x, f32(51.0, lanes)), f32(-51.0, lanes)), "near")
    product = k.let(near * factor, "product")
    low = fma(near, factor, f32(0.0, lanes) - product, lanes)
    return x / (f32(1.0, lanes) + exp(k, product, lanes, low))


def relu(k: Kernel, x: Expr, lanes: int) -> Expr:
    x = k.let(x, "x")
    return tirx.Select(x < f32(0.0, lanes), f32(0.0, lanes), x)


def relu6(k: Kernel, x: Expr, lanes: int) -> Expr:
    x = relu(k, x, lanes)
    return tirx.Select(x > f32(6.0, lanes), f32(6.0, lanes), x)


def hardswish(k: Kernel, x: Expr, lanes: int) -> Expr:
    """x min(max(x + 3, 0), 6) / 6."""
    return x * relu6(k, x + f32(3.0, lanes), lanes) * f32(1 / 6, lanes)


ACTIVATIONS: dict[str, Callable[[Kernel, Expr, int], Expr]] = {
    "silu": silu,
    "gelu_tanh": gelu_tanh,
    "gelu": gelu,
    "quick_gelu": quick_gelu,
    "relu": relu,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu6": relu6,
    "hardswish": hardswish,
}


def transpose(k: Kernel, rows: Sequence[Expr]) -> list[Expr]:
    """The columns of 16 vectors of 16 lanes: halves, quarters, pairs, then lanes change places."""
    rows = [k.let(row, "row") for row in rows]
    size = len(rows)
    span = size // 2
    while span > 0:
        upper = [lane + (size - span if lane & span else 0) for lane in range(size)]
        lower = [lane + (size if lane & span else span) for lane in range(size)]
        for first in (i for i in range(size) if not i & span):
            both = [rows[first], rows[first + span]]
            for at, lanes in ((first, upper), (first + span, lower)):
                rows[at] = k.let(tirx.Shuffle(both, [const("int32", lane) for lane in lanes]), "row")
        span //= 2
    return rows


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
    return reduce_lanes(k, x, lanes, lambda a, b: a + b)


def reduce_lanes(k: Kernel, x: Expr, lanes: int, combine: Callable[[Expr, Expr], Expr]) -> Expr:
    """The lanes, combined by halves."""
    x = k.let(x, "lanes")
    while lanes > 1:
        lanes //= 2
        halves = [tirx.Shuffle([x], [const("int32", i + start) for i in range(lanes)]) for start in (0, lanes)]
        x = k.let(combine(*halves), "half")
    return x


__all__ = [
    "ACTIVATIONS",
    "broadcast",
    "cos",
    "erf",
    "exp",
    "exp2_short",
    "gelu",
    "horner",
    "log",
    "log2",
    "quick_gelu",
    "reduce_lanes",
    "reduce_max",
    "reduce_max_int",
    "reduce_min_int",
    "reduce_sum",
    "reduce_sum_int",
    "relu",
    "sigmoid",
    "sin",
    "softcap",
    "softplus",
    "tanh",
    "transpose",
]
