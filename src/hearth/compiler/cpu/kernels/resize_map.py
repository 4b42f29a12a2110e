"""Maps at another size, as `torch.nn.functional.interpolate` without antialiasing: nearest, linear, cubic.

Output position o reads around position `(o + 1/2) scale - 1/2` (half pixels) or `o scale` of the input; with
align_corners that is the second with scale (in - 1) / (out - 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, broadcast, cast, f32, fma, i64, llvm

LANES = 16
CUBIC_A = -0.75
"""Of the cubic convolution kernel (Keys 1981), as torch has it."""


@dataclass(frozen=True)
class ResizeMapSpec:
    """Which interpolation.

    Attributes:
        half_pixel: positions are centres of pixels. Nearest without: torch's `nearest`; with: `nearest-exact`.
    """

    mode: Literal["nearest", "linear", "cubic"]
    half_pixel: bool = True

    @property
    def name(self) -> str:
        return f"resize_{self.mode}{'_half' if self.half_pixel else ''}"

    def scratch_bytes(self) -> int:
        return 0


def resize_map(spec: ResizeMapSpec) -> Kernel:
    """Buffers: X f32 [image][h][w][ld]; Y f32 [image][out_h][out_w][ld].

    Scalars: h, w, out_h, out_w, ld, and scales as fractions: y_num, y_den, x_num, x_den (input positions for one of the
    output). Unit: row of Y (of all images).
    """
    k = Kernel(spec.name)
    x, y = k.buffer("X", "float32"), k.buffer("Y", "float32")
    h, w, out_h, out_w, ld = (k.scalar(name) for name in ("h", "w", "out_h", "out_w", "ld"))
    y_num, y_den, x_num, x_den = (k.scalar(name) for name in ("y_num", "y_den", "x_num", "x_den"))
    y_scale, x_scale = (
        k.let(cast("float32", num) / cast("float32", den), "scale") for num, den in ((y_num, y_den), (x_num, x_den))
    )
    with k.loop(k.begin, k.end) as unit:
        image = k.opaque(tirx.floordiv(unit, out_h), "image")
        rows, row_weights = _taps(k, spec, unit - image * out_h, y_scale, h)
        starts = [k.opaque((image * h + row) * w * ld, "start") for row in rows]
        with k.loop(0, out_w) as out_x:
            columns, weights = _taps(k, spec, out_x, x_scale, w)
            offsets = [k.opaque(column * ld, "offset") for column in columns]
            with k.loop(0, ld, LANES) as c:

                def across(start: Expr, offsets: list[Expr] = offsets, weights: list[Expr] = weights,
                           c: Expr = c) -> Expr:  # fmt: skip
                    return _weighted(k, [x.load(start + at + c, LANES) for at in offsets], weights)

                value = _weighted(k, [across(start) for start in starts], row_weights)
                k.store(y, (unit * out_w + out_x) * ld + c, value)
    return k


def _weighted(k: Kernel, values: Sequence[Expr], weights: Sequence[Expr]) -> Expr:
    """The sum of values times weights; one value is itself, whatever its weight."""
    if len(values) == 1:
        return k.let(values[0], "value")
    total = k.let(values[0] * broadcast(weights[0], LANES), "sum")
    for value, weight in zip(values[1:], weights[1:], strict=True):
        total = k.let(fma(value, broadcast(weight, LANES), total, LANES), "sum")
    return total


def _taps(k: Kernel, spec: ResizeMapSpec, out: Expr, scale: Expr, size: Expr) -> tuple[list[Expr], list[Expr]]:
    """Which input positions an output position is made of, and their weights."""
    position = cast("float32", out)
    last = size - 1
    if spec.mode == "nearest":
        at = _floor((position + f32(0.5)) * scale if spec.half_pixel else position * scale)
        return [k.opaque(tirx.min(cast("int64", at), last), "at")], [f32(1.0)]
    source = (position + f32(0.5)) * scale - f32(0.5) if spec.half_pixel else position * scale
    if spec.mode == "linear":
        source = k.opaque(tirx.max(source, f32(0.0)), "source")
    source = k.opaque(source, "source")
    whole = k.opaque(_floor(source), "whole")
    part = k.opaque(source - whole, "part")
    first = k.opaque(cast("int64", whole), "first")
    if spec.mode == "linear":
        places = [k.opaque(tirx.min(first + i, last), "at") for i in range(2)]
        return places, [k.opaque(f32(1.0) - part, "weight"), part]
    places = [k.opaque(tirx.max(tirx.min(first + i, last), i64(0)), "at") for i in (-1, 0, 1, 2)]
    rest = k.opaque(f32(1.0) - part, "rest")
    weights = [_far(part + f32(1.0)), _near(part), _near(rest), _far(rest + f32(1.0))]
    return places, [k.opaque(weight, "weight") for weight in weights]


def _floor(x: Expr) -> Expr:
    return llvm("llvm.floor", "float32", x)


def _near(x: Expr) -> Expr:
    """The cubic kernel at a distance of at most 1."""
    return ((f32(CUBIC_A + 2) * x - f32(CUBIC_A + 3)) * x) * x + f32(1.0)


def _far(x: Expr) -> Expr:
    """At a distance from 1 to 2."""
    return ((f32(CUBIC_A) * x - f32(5 * CUBIC_A)) * x + f32(8 * CUBIC_A)) * x - f32(4 * CUBIC_A)
