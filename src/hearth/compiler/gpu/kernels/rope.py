"""cos and sin of the angles that tokens turn by, exact at any position.

WGSL promises its `cos` and `sin` near 0 only, and drivers may contract or reorder arithmetic on floats. So the angle is
taken apart as the integer that its bits are, and turns are counted in integers of 2**-32 of one, which wrap where
turns do.
"""

from __future__ import annotations

import math

from tvm import tirx

from hearth.compiler.gpu.kernels.builder import Expr, GpuKernel, Memory, bitcast, cast, f32, fma, u32
from hearth.compiler.rope_table import RopeTableSpec

# sin(x) = x + x^3 P(x^2) on [-pi/2, pi/2], to 4e-9: our own least squares at Chebyshev's places.
_SINE = (
    -2.3904592083567877e-08, 2.7526341455086367e-06, -0.0001984088885365054, 0.008333330973982811, -0.1666666716337204,
)  # fmt: skip
_TURN = 1 / (2 * math.pi)  # turns of one radian
_TURN_WHOLE, _TURN_REST = divmod(_TURN * 2**32, 1.0)
_FRACTION_BITS = 23


def rotation(
    k: GpuKernel, spec: RopeTableSpec, positions: Memory, inv_freq: Memory, token: Expr, i: Expr
) -> tuple[Expr, Expr]:
    """cos and sin of what a token turns by at frequency i.

    Args:
        positions: i32 [t][columns], none below 0.
        inv_freq: f32 [half]; its product with a position, in f32, must be nearer to 0 than 2**24.
    """
    position = positions.load(token * spec.columns + _stream(k, spec, i))
    turned = _turns(k, cast("float32", position) * inv_freq.load(i))
    return _sine(k, turned + u32(1 << 30)) * f32(spec.factor), _sine(k, turned) * f32(spec.factor)


def _stream(k: GpuKernel, spec: RopeTableSpec, i: Expr) -> Expr:
    """By which of a token's positions frequency i turns."""
    if not spec.runs:
        return 0
    end = len(spec.streams)
    stream: Expr = tirx.IntImm("int32", spec.runs[-1][0])
    for number, count in reversed(spec.runs):
        stream = tirx.Select(i < end, number, stream)
        end -= count
    return k.let(stream, "stream")


def _turns(k: GpuKernel, angle: Expr) -> Expr:
    """The angle, nearer to 0 than 2**24, in 2**-32 of a turn, without whole turns."""
    given = k.let(bitcast("uint32", angle), "given")
    below = k.let(given >> u32(31), "below")  # 1: the other way round
    bits = k.let(given & u32((1 << 31) - 1), "bits")
    exponent = k.let(cast("int32", bits >> u32(_FRACTION_BITS)) - (127 + _FRACTION_BITS), "exponent")
    digits = k.let((bits & u32((1 << _FRACTION_BITS) - 1)) | u32(1 << _FRACTION_BITS), "digits")
    # The angle is digits * 2**exponent. Its whole radians, and the digits behind them as a number.
    shift = k.let(cast("uint32", tirx.max(tirx.min(0 - exponent, 31), 0)), "shift")
    whole = k.let(digits >> shift, "whole")
    behind = k.let(digits - (whole << shift), "behind")
    scale = bitcast("float32", k.let(cast("uint32", tirx.max(exponent + 127, 0)) << u32(_FRACTION_BITS), "scale"))
    rest = k.let(cast("float32", behind) * scale, "rest")
    turns = [
        whole * u32(int(_TURN_WHOLE)),
        cast("uint32", cast("float32", whole) * f32(_TURN_REST)),
        cast("uint32", rest * f32(_TURN * 2**32)),
    ]
    return k.let(((turns[0] + turns[1] + turns[2]) ^ (u32(0) - below)) + below, "turns")


def _sine(k: GpuKernel, turns: Expr) -> Expr:
    """The sine of an angle in 2**-32 of a turn."""
    turns = k.let(turns, "turns")
    odd = k.let((turns + u32(1 << 30)) >> u32(31), "odd")  # beyond a quarter turn: half a turn away, and negative
    x = k.let(cast("float32", bitcast("int32", turns - (odd << u32(31)))) * f32(2 * math.pi / 2**32), "x")
    square = k.let(x * x, "square")
    p: Expr = f32(_SINE[0])
    for coefficient in _SINE[1:]:
        p = k.let(fma(p, square, f32(coefficient)), "p")
    value = k.let(fma(p * square, x, x), "sine")
    return k.let(bitcast("float32", bitcast("uint32", value) ^ (odd << u32(31))), "signed")
