"""Depthwise convolution in f32: each channel by itself, vectors over channels, straight from the map.

There is no int8 form: activations lie in f32 between steps, and reading them once is most of the work here already.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, Register, fma, i64
from hearth.compiler.cpu.targets import Isa
from hearth.quant.formats import LANES, round_up


@dataclass(frozen=True)
class DepthwiseSpec:
    """Which depthwise convolution.

    Attributes:
        kernel_w, stride: along x; all other geometry is in scalars.
        activation: of `vmath.ACTIVATIONS`.
    """

    isa: Isa
    kernel_w: int
    stride: int = 1
    activation: str | None = None

    @property
    def name(self) -> str:
        return f"depthwise_k{self.kernel_w}_s{self.stride}" + (f"_{self.activation}" if self.activation else "")

    @property
    def tiles(self) -> tuple[int, ...]:
        """Pixels that are computed together, the largest first: a vector of weights serves them all."""
        most = max(self.isa.float_tile[1] // 3, 2)
        return tuple(size for size in (8, 4, 2) if size <= most)

    def scratch_bytes(self) -> int:
        return 0


def pack_depthwise(weight: NDArray[np.float32], bias: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """[block of 16 channels][ky][kx][16] and the bias [16] after each block.

    Args:
        weight: `(channels, 1, kh, kw)`.
    """
    channels, _, height, width = weight.shape
    blocks = round_up(channels, LANES) // LANES
    rows = np.zeros((blocks * LANES, height * width + 1), np.float32)
    rows[:channels, :-1] = weight.reshape(channels, -1)
    rows[:channels, -1] = 0 if bias is None else bias
    return np.ascontiguousarray(rows.reshape(blocks, LANES, -1).transpose(0, 2, 1))


def depthwise(spec: DepthwiseSpec) -> Kernel:
    """Buffers: X f32 [image][h][w][ld]; W f32 (`pack_depthwise`); Y f32 [image][out_h][out_w][ld].

    Scalars: h, w, out_h, out_w, ld, kernel_h, stride_h, top, left, dilation_h, dilation_w. Unit: row of Y (of all
    images).
    """
    k = Kernel(spec.name)
    x, weights, y = (k.buffer(name, "float32") for name in ("X", "W", "Y"))
    names = ("h", "w", "out_h", "out_w", "ld", "kernel_h", "stride_h", "top", "left", "dilation_h", "dilation_w")
    n = {name: k.scalar(name) for name in names}
    block = k.let((n["kernel_h"] * spec.kernel_w + 1) * LANES, "block")
    reach = k.let(n["dilation_w"] * (spec.kernel_w - 1), "reach")
    # Outputs whose taps all lie in the row: [low, high).
    low = k.opaque(tirx.min(tirx.floordiv(n["left"] + (spec.stride - 1), i64(spec.stride)), n["out_w"]), "low")
    past = tirx.floordiv(n["w"] + n["left"] - reach - 1 + spec.stride, i64(spec.stride))
    high = k.opaque(tirx.max(tirx.min(past, n["out_w"]), low), "high")
    size = k.opaque(_tile_size(k, spec, high - low), "size")
    with k.loop(k.begin, k.end) as unit:
        image = k.opaque(tirx.floordiv(unit, n["out_h"]), "image")
        top = k.opaque((unit - image * n["out_h"]) * n["stride_h"] - n["top"], "top")
        taps = _Taps(k, spec, n, x, weights, image, top)
        with k.loop(0, tirx.floordiv(n["ld"], i64(LANES))) as channels:
            w_at = k.opaque(channels * block, "w_at")
            y_at = k.opaque(unit * n["out_w"] * n["ld"] + channels * LANES, "y_at")

            def single(begin: Expr, end: Expr, taps: _Taps = taps, c: Expr = channels, w_at: Expr = w_at,
                       y_at: Expr = y_at) -> None:  # fmt: skip
                with k.loop(begin, end) as pixel:
                    taps.run(y, y_at + pixel * n["ld"], pixel, 1, c * LANES, w_at, whole=False)

            single(i64(0), low)
            for pixels in spec.tiles:
                with k.when(tirx.EQ(size, i64(pixels))), k.loop(0, _ceil_div(high - low, pixels)) as tile:
                    # The last tile overlaps the one before it.
                    pixel = k.opaque(low + tirx.min(tile * pixels, high - low - pixels), "pixel")
                    taps.run(y, y_at + pixel * n["ld"], pixel, pixels, channels * LANES, w_at, whole=True)
            with k.when(tirx.EQ(size, i64(0))):
                single(low, high)
            single(high, n["out_w"])
    return k


def _tile_size(k: Kernel, spec: DepthwiseSpec, inside: Expr) -> Expr:
    """The largest tile that fits; 0: none."""
    size = i64(0)
    for pixels in reversed(spec.tiles):
        size = k.opaque(tirx.Select(inside >= pixels, i64(pixels), size), "size")
    return size


def _ceil_div(value: Expr, by: int) -> Expr:
    return tirx.floordiv(value + (by - 1), i64(by))


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

    def run(self, y: Memory, y_at: Expr, pixel: Expr, pixels: int, c: Expr, w_at: Expr, *, whole: bool) -> None:
        """Args: whole: no tap lies outside the row."""
        k, n, width = self.k, self.n, self.spec.kernel_w
        bias = k.let(self.weights.load(w_at + n["kernel_h"] * (width * LANES), LANES), "bias")
        sums = [k.register("float32", LANES, bias) for _ in range(pixels)]
        left = k.opaque(pixel * self.spec.stride - n["left"], "left")
        with k.loop(0, n["kernel_h"]) as ky:
            row = k.opaque(self.top + ky * n["dilation_h"], "row")
            with k.when(tirx.all(row >= 0, row < n["h"])):
                start = k.opaque(((self.image * n["h"] + row) * n["w"] + left) * n["ld"] + c, "start")
                w_row = k.opaque(w_at + ky * (width * LANES), "w_row")
                for kx in range(width):
                    column = k.opaque(n["dilation_w"] * kx, "column")
                    if whole:
                        self._tap(sums, start, column, w_row + kx * LANES)
                        continue
                    with k.when(tirx.all(left + column >= 0, left + column < n["w"])):
                        self._tap(sums, start, column, w_row + kx * LANES)
        for p, total in enumerate(sums):
            value = total.get()
            if self.spec.activation is not None:
                value = vmath.ACTIVATIONS[self.spec.activation](k, k.let(value, "value"), LANES)
            k.store(y, y_at + p * n["ld"], k.let(value, "y"))

    def _tap(self, sums: list[Register], start: Expr, column: Expr, w_at: Expr) -> None:
        weight = self.k.let(self.weights.load(w_at, LANES), "w")
        for p, total in enumerate(sums):
            value = self.x.load(start + (column + p * self.spec.stride) * self.n["ld"], LANES)
            total.set(fma(value, weight, total.get(), LANES))
