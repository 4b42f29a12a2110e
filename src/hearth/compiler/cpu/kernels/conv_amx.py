"""Convolutions by tiles of Intel's AMX: up to 32 pixels of a row times two blocks of 16 output channels.

A tile of activations is 16 pixels of up to 64 channels under one tap, so the map's dwords lie pixel by pixel here
(`conv_prepare.by_pixel`); one of weights is as many quad vectors of that tap, where they lie in the packed block. Sums
are exact, so the bits are those of the vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels import amx
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, broadcast, cast, const, fma, i64
from hearth.quant.convolution import BIAS, SCALE, SUM, field_vector

LANES = 16
VECTOR = 64  # bytes of a quad vector, and of 16 sums
MOST_PIXELS = 2 * amx.TILE_ROWS
_STARTS = MOST_PIXELS * 2 * VECTOR
_CONFIG = _STARTS + 2 * VECTOR
SCRATCH_BYTES = _CONFIG + 64
"""Sums [pixel][block][16], what they begin at [block][16], the shapes of the registers."""


def address_by_pixel(k: Kernel, n: dict[str, Expr], map_dwords: Expr, stride: int) -> dict[str, Expr]:
    """The scalars of `conv`, which are made for planes of dwords, for a map that lies pixel by pixel; `pixel` is from a
    pixel of a tile to the next."""
    column = k.opaque(tirx.floormod(n["x_start"], map_dwords * n["x_plane"]), "column")
    return n | {
        "x_start": k.opaque(n["x_start"] + column * (map_dwords - 1), "x_start"),
        "x_column": k.opaque(n["x_column"] * map_dwords, "x_column"),
        "x_plane": i64(1),
        "pixel": k.opaque(map_dwords * stride, "pixel"),
    }


@dataclass(frozen=True)
class Row:
    """A row of the output for one or two blocks.

    Attributes:
        n: of `address_by_pixel`.
        block_vectors: of a packed block, its fields included.
        x_at: where the first tap of the row's first pixel lies in X.
        dwords: that each pixel has for these blocks.
    """

    k: Kernel
    n: dict[str, Expr]
    x: Memory
    w: Memory
    y: Memory
    scales: Memory
    block_vectors: Expr
    image: Expr
    x_at: Expr
    y_at: Expr
    dwords: Expr

    def run(self, block: Expr, blocks: int) -> None:
        """Computes `blocks` blocks from `block` on."""
        k, width = self.k, self.n["out_w"]
        count = k.opaque(tirx.floordiv(width + (MOST_PIXELS - 1), i64(MOST_PIXELS)), "count")
        size = k.opaque(tirx.floordiv(width + count - 1, count), "size")
        halved = k.opaque(tirx.floordiv(size + 1, i64(2)), "halved")
        first = k.opaque(tirx.Select(size > i64(amx.TILE_ROWS), halved, size), "first")
        second = k.opaque(size - first, "second")
        step = self._step()
        amx.shape(k, _CONFIG, first, second, step * 4)
        starts = [k.opaque((block + i) * self.block_vectors * VECTOR, "w_at") for i in range(blocks)]
        self._store_starts(starts)
        with k.loop(0, count) as number:
            # The last tile overlaps the one before it.
            pixel = k.opaque(tirx.min(number * size, width - size), "pixel")
            x_at = k.opaque(self.x_at + pixel * self.n["pixel"], "from")
            y_at = k.opaque(self.y_at + pixel * self.n["y_pixel"], "to")
            for halves, some in ((1, tirx.EQ(second, i64(0))), (2, second > i64(0))):
                with k.when(some):
                    self._multiply(starts, step, x_at, first, halves)
            self._finish(starts, size, y_at)

    def _step(self) -> Expr:
        """Quads that a tile holds of a pixel: the most, up to 16, that divide those there are."""
        k = self.k
        step = k.register("int64", init=i64(1))
        with k.loop(2, 17) as quads, k.when(tirx.EQ(tirx.floormod(self.dwords, quads), i64(0))):
            step.set(quads)
        return k.opaque(step.get(), "step")

    def _field(self, start: Expr, name: str, dtype: str) -> Expr:
        at = start + self._weight_bytes() + field_vector("int8", name) * VECTOR
        return self.k.let(self.k.view(self.w, dtype).load(tirx.floordiv(at, i64(4)), LANES), name)

    def _weight_bytes(self) -> Expr:
        return self.n["dwords"] * self.n["kernel_h"] * self.n["kernel_w"] * VECTOR

    def _store_starts(self, starts: list[Expr]) -> None:
        """Sums begin at -zero times the weights' own."""
        k = self.k
        zero = k.let(const("int32", 0) - k.view(self.scales, "int32").load(self.image * 2 + 1), "zero")
        for number, start in enumerate(starts):
            begin = self._field(start, SUM, "int32") * broadcast(zero, LANES)
            k.store(k.scratch("int32"), i64(_STARTS // 4 + number * LANES), begin)

    def _multiply(self, starts: list[Expr], step: Expr, x_at: Expr, first: Expr, halves: int) -> None:
        k, n = self.k, self.n
        sums, bytes_ = k.scratch("int32"), k.view(self.x, "int8")
        pairs = [(half, block) for half in range(halves) for block in range(len(starts))]
        for half, block in pairs:
            # The same line for every pixel.
            amx.load(k, amx.SUMS[2 * half + block], sums, i64(_STARTS // 4 + block * LANES), i64(0))
        taps = k.opaque(n["kernel_h"] * n["kernel_w"], "taps")
        with k.loop(0, n["kernel_h"]) as ky, k.loop(0, n["kernel_w"]) as kx:
            from_x = k.opaque(x_at + ky * n["x_line"] + kx * n["x_column"], "x")
            tap = k.opaque(ky * n["kernel_w"] + kx, "tap")
            with k.loop(0, tirx.floordiv(self.dwords, step)) as number:
                quad = k.opaque(number * step, "quad")
                for half in range(halves):
                    at = (from_x + quad + (first * n["pixel"] if half else 0)) * 4
                    amx.load(k, amx.A[half], bytes_, k.opaque(at, "a"), n["pixel"] * 4)
                for block, start in enumerate(starts):
                    at = k.opaque(start + (quad * taps + tap) * VECTOR, "b")
                    amx.load(k, amx.B[block], self.w, at, taps * VECTOR)
                for half, block in pairs:
                    amx.multiply(k, half, block)
        for half, block in pairs:
            to = (first * (2 * LANES) if half else i64(0)) + block * LANES
            amx.store(k, amx.SUMS[2 * half + block], sums, to, i64(2 * VECTOR))

    def _finish(self, starts: list[Expr], size: Expr, y_at: Expr) -> None:
        k, sums = self.k, self.k.scratch("int32")
        image_scale = broadcast(self.scales.load(self.image * 2), LANES)
        scales = [k.let(self._field(start, SCALE, "float32") * image_scale, "scale") for start in starts]
        biases = [self._field(start, BIAS, "float32") for start in starts]
        with k.loop(0, size) as pixel:
            for block, (scale, bias) in enumerate(zip(scales, biases, strict=True)):
                whole = cast("float32", sums.load(pixel * (2 * LANES) + block * LANES, LANES), LANES)
                at = y_at + pixel * self.n["y_pixel"] + block * LANES
                k.store(self.y, at, k.let(fma(whole, scale, bias, LANES), "y"))
