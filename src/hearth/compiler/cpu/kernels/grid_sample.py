"""Samples maps at given positions, as `torch.nn.functional.grid_sample`: what deformable attention reads its values by.

Positions are (x, y) from -1 to 1 across the map: of the centres of its outermost pixels (`align_corners`) or of their
outer edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, broadcast, cast, f32, i64, llvm

LANES = 16
_ALPHA = -0.75
"""Of the cubic convolution (Keys 1981), as torch and ONNX have it."""


@dataclass(frozen=True)
class GridSampleSpec:
    """Which sampling: names as torch has them."""

    mode: Literal["bilinear", "nearest", "bicubic"] = "bilinear"
    padding: Literal["zeros", "border", "reflection"] = "zeros"
    align_corners: bool = False

    @property
    def name(self) -> str:
        corners = "_corners" if self.align_corners else ""
        return f"grid_sample_{self.mode}_{self.padding}{corners}"

    def scratch_bytes(self) -> int:
        return 0


def grid_sample(spec: GridSampleSpec) -> Kernel:
    """Buffers: X f32; grid f32 [image][point][grid_ld], x and y first; Y f32 [image][point][ld].

    Scalars: h, w, ld (channels, a multiple of 16), points (of an image), grid_ld; heads, x_batch, x_head, x_row,
    x_pixel: image i is head i % heads of batch i // heads, and its pixel (row, column) begins at X[batch * x_batch +
    head * x_head + row * x_row + column * x_pixel]. Unit: point (of all images).
    """
    k = Kernel(spec.name)
    x, grid, y = (k.buffer(name, "float32") for name in ("X", "grid", "Y"))
    names = ("h", "w", "ld", "points", "grid_ld", "heads", "x_batch", "x_head", "x_row", "x_pixel")
    h, w, ld, points, grid_ld, heads, x_batch, x_head, x_row, x_pixel = (k.scalar(name) for name in names)
    with k.loop(k.begin, k.end) as unit:
        image = k.opaque(tirx.floordiv(unit, points), "image")
        batch = k.opaque(tirx.floordiv(image, heads), "batch")
        start = k.opaque(batch * x_batch + (image - batch * heads) * x_head, "start")
        columns = _axis(k, spec, grid.load(unit * grid_ld), w)
        rows = _axis(k, spec, grid.load(unit * grid_ld + 1), h)
        corners = [(k.opaque(start + row * x_row + column * x_pixel, "at"), k.opaque(row_weight * weight, "weight"))
                   for row, row_weight in rows for column, weight in columns]  # fmt: skip
        with k.loop(0, ld, LANES) as c:
            total = f32(0.0, LANES)
            for at, weight in corners:
                # A corner outside reads some pixel for nothing: whatever that holds, it does not count.
                value = k.let(x.load(at + c, LANES), "x")
                counts = broadcast(tirx.NE(weight, f32(0.0)), LANES)
                product = tirx.Select(counts, value * broadcast(weight, LANES), f32(0.0, LANES))
                total = k.let(total + product, "sum")
            k.store(y, unit * ld + c, total)
    return k


def _axis(k: Kernel, spec: GridSampleSpec, given: Expr, size: Expr) -> list[tuple[Expr, Expr]]:
    """Along one axis the pixels that a position is made of, all of them in the map, and their weights."""
    real = k.opaque(cast("float32", size), "size")
    last = k.opaque(real - f32(1.0), "last")
    given = k.opaque(given, "given")
    if spec.align_corners:
        at = (given + f32(1.0)) * f32(0.5) * last
    else:
        at = ((given + f32(1.0)) * real - f32(1.0)) * f32(0.5)
    at = k.opaque(at, "position")
    if spec.mode == "bicubic":
        return _cubic_taps(k, spec, at, size, real)
    at = _into_map(k, spec, at, real)
    if spec.mode == "nearest":
        return [_inside(k, cast("int64", llvm("llvm.rint", "float32", at)), f32(1.0), size)]
    whole = k.opaque(llvm("llvm.floor", "float32", at), "whole")
    part = k.opaque(at - whole, "part")
    first = k.opaque(cast("int64", whole), "first")
    return [_inside(k, first, f32(1.0) - part, size), _inside(k, first + 1, part, size)]


def _into_map(k: Kernel, spec: GridSampleSpec, at: Expr, real: Expr) -> Expr:
    """A position as the padding has it; with zeros it may lie outside."""
    last = k.opaque(real - f32(1.0), "last")
    if spec.padding == "reflection":
        at = _reflected(k, at, f32(0.0), last) if spec.align_corners else _reflected(k, at, f32(-0.5), real)
    if spec.padding == "zeros":
        # Far outside is as good as just outside, and NaN too: integers must hold what follows.
        return k.opaque(tirx.min(tirx.max(at, f32(-2.0)), real + f32(1.0)), "position")
    return k.opaque(tirx.min(tirx.max(at, f32(0.0)), last), "position")


def _cubic_taps(k: Kernel, spec: GridSampleSpec, at: Expr, size: Expr, real: Expr) -> list[tuple[Expr, Expr]]:
    """Four pixels around a position; here it is they that the padding brings into the map."""
    if spec.padding != "reflection":
        at = k.opaque(tirx.min(tirx.max(at, f32(-4.0)), real + f32(3.0)), "position")
    whole = k.opaque(llvm("llvm.floor", "float32", at), "whole")
    part = k.opaque(at - whole, "part")
    taps = []
    for i, weight in enumerate(_cubic(k, part)):
        place = _into_map(k, spec, k.opaque(whole + f32(i - 1.0), "place"), real)
        taps.append(_inside(k, cast("int64", place), weight, size))
    return taps


def _cubic(k: Kernel, part: Expr) -> list[Expr]:
    """Weights of the pixels 1 + part, part, 1 - part and 2 - part away."""
    rest = k.opaque(f32(1.0) - part, "rest")

    def near(x: Expr) -> Expr:
        return ((f32(_ALPHA + 2) * x - f32(_ALPHA + 3)) * x) * x + f32(1.0)

    def far(x: Expr) -> Expr:
        return ((f32(_ALPHA) * x - f32(5 * _ALPHA)) * x + f32(8 * _ALPHA)) * x - f32(4 * _ALPHA)

    further = [k.opaque(each + f32(1.0), "away") for each in (part, rest)]
    return [far(further[0]), near(part), near(rest), far(further[1])]


def _inside(k: Kernel, at: Expr, weight: Expr, size: Expr) -> tuple[Expr, Expr]:
    at = k.opaque(at, "at")
    weight = tirx.Select(tirx.all(at >= 0, at < size), weight, f32(0.0))
    return k.opaque(tirx.max(tirx.min(at, size - 1), i64(0)), "pixel"), k.opaque(weight, "weight")


def _reflected(k: Kernel, at: Expr, low: Expr, span: Expr) -> Expr:
    """Back and forth between `low` and `low + span`; where span is 0, 0."""
    safe = k.opaque(tirx.max(span, f32(1e-30)), "span")
    distance = k.opaque(tirx.abs(at - low), "distance")
    turns = k.opaque(llvm("llvm.floor", "float32", distance / safe), "turns")
    extra = k.opaque(distance - turns * safe, "extra")
    half = turns * f32(0.5)
    odd = llvm("llvm.floor", "float32", half) < half
    back = tirx.Select(odd, safe - extra, extra) + low
    return k.opaque(tirx.Select(span > f32(0.0), back, f32(0.0)), "reflected")
