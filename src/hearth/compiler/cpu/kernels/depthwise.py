"""Depthwise convolution in f32: each channel by itself, vectors over channels, straight from the map.

There is no int8 form: activations lie in f32 between steps, and reading them once is most of the work here already.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, broadcast, f32, fma, i64
from hearth.compiler.cpu.targets import Isa
from hearth.quant.formats import LANES


@dataclass(frozen=True)
class DepthwiseSpec:
    """Which depthwise convolution.

    Attributes:
        kernel_w, stride, dilation: along x, so that pixels which several taps meet are read once; all other geometry is
            in scalars.
        activation: of `vmath.ACTIVATIONS`.
    """

    isa: Isa
    kernel_w: int
    stride: int = 1
    dilation: int = 1
    activation: str | None = None

    @property
    def name(self) -> str:
        parts = [f"depthwise_k{self.kernel_w}_s{self.stride}", *([f"d{self.dilation}"] if self.dilation > 1 else [])]
        return "_".join([*parts, *([self.activation] if self.activation else [])])

    @property
    def tiles(self) -> tuple[int, ...]:
        """Pixels that are computed together, the largest first: a vector of weights serves them all."""
        most = max(self.isa.float_tile[1] // 3, 2)
        return tuple(size for size in (8, 4, 2, 1) if size <= most)

    def reach(self, pixels: int) -> int:
        """Columns from the first tap of a tile to its last."""
        return (pixels - 1) * self.stride + (self.kernel_w - 1) * self.dilation

    def scratch_bytes(self) -> int:
        return 0


def depthwise(spec: DepthwiseSpec) -> Kernel:
    """Buffers: X f32 [image][h][w][ld]; W f32 (`quant.convolution.pack_depthwise`); Y f32 [image][out_h][out_w][ld].

    Scalars: h, w, out_h, out_w, ld, kernel_h, stride_h, top, left, dilation_h. Unit: row of Y (of all images).
    """
    k = Kernel(spec.name)
    x, weights, y = (k.buffer(name, "float32") for name in ("X", "W", "Y"))
    names = ("h", "w", "out_h", "out_w", "ld", "kernel_h", "stride_h", "top", "left", "dilation_h")
    n = {name: k.scalar(name) for name in names}
    block = k.let((n["kernel_h"] * spec.kernel_w + 1) * LANES, "block")
    size = _tile_size(k, spec, n["out_w"])
    with k.loop(k.begin, k.end) as unit:
        image = k.opaque(tirx.floordiv(unit, n["out_h"]), "image")
        top = k.opaque((unit - image * n["out_h"]) * n["stride_h"] - n["top"], "top")
        taps = _Taps(k, spec, n, x, weights, image, top)
        with k.loop(0, tirx.floordiv(n["ld"], i64(LANES))) as channels:
            w_at = k.opaque(channels * block, "w_at")
            y_at = k.opaque(unit * n["out_w"] * n["ld"] + channels * LANES, "y_at")
            for pixels in spec.tiles:
                with (
                    k.when(tirx.EQ(size, i64(pixels))),
                    k.loop(0, tirx.floordiv(n["out_w"] + (pixels - 1), i64(pixels))) as tile,
                ):
                    # The last tile overlaps the one before it.
                    pixel = k.opaque(tirx.min(tile * pixels, n["out_w"] - pixels), "pixel")
                    left = k.opaque(pixel * spec.stride - n["left"], "left")
                    inside = tirx.all(left >= 0, left < n["w"] - spec.reach(pixels))
                    to = k.opaque(y_at + pixel * n["ld"], "to")
                    for whole, condition in ((True, inside), (False, tirx.Not(inside))):
                        with k.when(condition):
                            taps.run(y, to, left, pixels, channels * LANES, w_at, whole=whole)
    return k


def _tile_size(k: Kernel, spec: DepthwiseSpec, width: Expr) -> Expr:
    """The largest tile that fits."""
    size = i64(1)
    for pixels in reversed(spec.tiles):
        size = k.opaque(tirx.Select(width >= pixels, i64(pixels), size), "size")
    return size


@dataclass(frozen=True)
class _Taps:
    """The sums of some pixels of a row for 16 channels."""

    k: Kernel
    spec: DepthwiseSpec
    n: dict[str, Expr]
    x: Memory
    weights: Memory
    image: Expr
    top: Expr

    def run(self, y: Memory, y_at: Expr, left: Expr, pixels: int, c: Expr, w_at: Expr, *, whole: bool) -> None:
        """Args:
        left: column of the first pixel's first tap.
        whole: no tap lies outside the row.
        """
        k, n, width = self.k, self.n, self.spec.kernel_w
        bias = k.let(self.weights.load(w_at + n["kernel_h"] * (width * LANES), LANES), "bias")
        sums = [k.register("float32", LANES, bias) for _ in range(pixels)]
        with k.loop(0, n["kernel_h"]) as ky:
            row = k.opaque(self.top + ky * n["dilation_h"], "row")
            with k.when(tirx.all(row >= 0, row < n["h"])):
                start = k.opaque((self.image * n["h"] + row) * n["w"] * n["ld"] + c, "start")
                w_row = k.opaque(w_at + ky * (width * LANES), "w_row")
                columns: dict[int, Expr] = {}
                for kx in range(width):
                    weight = k.let(self.weights.load(w_row + kx * LANES, LANES), "w")
                    for p, total in enumerate(sums):
                        number = kx * self.spec.dilation + p * self.spec.stride
                        if number not in columns:
                            columns[number] = self._column(start, left + number, whole)
                        total.set(fma(columns[number], weight, total.get(), LANES))
        for p, total in enumerate(sums):
            value = total.get()
            if self.spec.activation is not None:
                value = vmath.ACTIVATIONS[self.spec.activation](k, k.let(value, "value"), LANES)
            k.store(y, y_at + n["ld"] * p, k.let(value, "y"))

    def _column(self, start: Expr, column: Expr, whole: bool) -> Expr:
        """16 channels of a column of the row; 0 where there is none."""
        k, n = self.k, self.n
        if whole:
            return k.let(self.x.load(start + column * n["ld"], LANES), "x")
        there = broadcast(tirx.all(column >= 0, column < n["w"]), LANES)
        near = k.opaque(tirx.max(tirx.min(column, n["w"] - 1), i64(0)), "near")
        return k.let(tirx.Select(there, self.x.load(start + near * n["ld"], LANES), f32(0.0, LANES)), "x")
