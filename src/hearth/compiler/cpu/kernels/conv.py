"""Convolutions as implicit products: f32 or int8, no im2col buffer, one kernel for all sizes, paddings and dilations.

    Y[n, oy, ox, o] = act(bias[o] + residual
                          + sum over ky, kx, c of W[o, c, ky, kx] X[n, oy sy + ky dy, ox sx + kx dx, c])

X is a *prepared map* (`conv_prepare`): padded with what stands for zero, so that no tap falls outside, and planar in
dwords (an f32 channel or a quad of int8 channels), so that the pixels of a row which a dword of weights meets lie side
by side. A tile of some pixels of a row times 16 or 32 output channels stays in registers through all taps and channels.
Each output is summed in one order whatever the tile: results are the same bits for any cut of the units.

Where there is a matrix unit int8 sums are computed by it instead (`conv_amx`), from a map that lies pixel by pixel.

A transposed convolution is one of these for each phase of its stride: only the output's scalars say where it writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from tvm import tirx

from hearth.compiler.cpu.kernels import amx, conv_amx, vmath
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, Register, broadcast, cast, const, f32, fma, i64
from hearth.compiler.cpu.kernels.conv_geometry import Conv
from hearth.compiler.cpu.kernels.conv_prepare import by_pixel, lanes_below, store_range
from hearth.compiler.cpu.kernels.dot import add_tap, finish_tap_sum, sum_vectors, tap_sums
from hearth.compiler.cpu.targets import Isa
from hearth.quant.convolution import BIAS, SCALE, SUM, ConvKind, field_count, field_vector

LANES = 16
VECTOR = 64  # bytes: one dword of input times 16 output channels
PREFETCH_BYTES = 1024
"""How far ahead weights are asked for: they come from the second-level cache, once for each tile."""
PREFETCH_PLANES = 4
"""How far ahead the map is asked for, in dwords: each stands in lines of its own."""
_TILES = (10, 8, 7, 6, 5, 4, 3, 2, 1)
"""Pixels of a tile. Rows of networks are multiples of 5, 7 or 8 pixels; code for more sizes is long to compile."""
_CHAINS = 8
"""Sums that must be under way for none to wait: two multiply-adds a cycle, each of four cycles."""


@dataclass(frozen=True)
class ConvSpec:
    """Which convolution.

    Attributes:
        kind: `int8`: integers with a scale and a zero point for each image; `float32`.
        stride: along x; all other geometry is in scalars.
        grouped: the channels that a block of outputs reads depend on the block.
        residual: adds a map of the output's layout before the activation.
        activation: of `vmath.ACTIVATIONS`.
        ranges: leaves the range of what it writes, for the next convolution's preparation (`map_range` spares itself).
        pointwise: the kernel is 1x1: a loop over dwords is all there is.
    """

    isa: Isa
    kind: ConvKind
    stride: int = 1
    grouped: bool = False
    residual: bool = False
    activation: str | None = None
    ranges: bool = False
    pointwise: bool = False

    @classmethod
    def of(
        cls, what: Conv, isa: Isa, *, residual: bool = False, activation: str | None = None, ranges: bool = False
    ) -> ConvSpec:
        """The one that computes `what`."""
        weight = what.weight
        return cls(
            isa, weight.kind, what.stride[1], weight.groups > 1, residual, activation, ranges, weight.kernel == (1, 1)
        )

    @property
    def name(self) -> str:
        parts = ["conv", "i8" if self.kind == "int8" else "f32", f"s{self.stride}"]
        parts += ["point"] if self.pointwise else []
        parts += ["grouped"] if self.grouped else []
        parts += ["add"] if self.residual else []
        parts += [self.activation] if self.activation else []
        return "_".join([*parts, *(["ranges"] if self.ranges else [])])

    @property
    def blocks(self) -> int:
        """Blocks of 16 output channels in a tile, and in a unit: 2 where the kernel may read the same input for both.

        Part of the contract, and so the same for all instruction sets."""
        return 1 if self.grouped else 2

    @property
    def tiles(self) -> tuple[int, ...]:
        """Pixels of the tiles that there is code for, the largest first."""
        sums = tap_sums(self.isa) if self.kind == "int8" else self.isa.float_tile[1]
        return tuple(size for size in _TILES if size <= sums // self.tile_blocks)

    @property
    def parts(self) -> int:
        """Vectors of a block's 16 sums."""
        return self.isa.parts if self.kind == "int8" else 1

    @property
    def vectors(self) -> int:
        """Registers of a pixel's sums."""
        return self.tile_blocks * self.isa.parts

    @property
    def tile_blocks(self) -> int:
        """Blocks of a tile: as in a unit where there are registers, else one after the other."""
        return min(self.blocks, 2 if self.isa.float_tile[1] > 8 else 1)

    def scratch_bytes(self) -> int:
        """Of the instruction set that needs the most."""
        return conv_amx.SCRATCH_BYTES if self.kind == "int8" else 0


SCALARS = (
    "rows", "out_h", "out_w",
    "kernel_h", "kernel_w", "dwords", "x_start", "x_image", "x_row", "x_line", "x_column", "x_plane",
    "blocks", "y_start", "y_image", "y_row", "y_pixel",
)  # fmt: skip


def conv(spec: ConvSpec) -> Kernel:
    """Buffers: X, the prepared map, int32 (quads) or f32; [S f32 [image][2], for int8]; W u8 (`ConvWeight.pack`);
    [residual f32]; Y f32; [R f32 [image][out_h][units of a row][2]: the least and the largest number, and 0].

    Scalars, strides of X in dwords and of Y in floats: rows (images * out_h), out_h, out_w; kernel_h, kernel_w; dwords
    (that a block reads: `ConvWeight.span`); x_start (of the first tap of the first output), x_image, x_row (from an
    output's row to the next), x_line (from ky to the next), x_column (from kx to the next), x_plane (from a dword to
    the next); blocks (of 16 outputs); y_start, y_image, y_row, y_pixel; [outs, ins: channels of a group; x_dwords: of
    the map, for grouped]; [channels: true outputs, for ranges].
    Units: (blocks / `spec.blocks`, rounded up) * rows: a pair of blocks meets all rows before the next one.
    """
    k = Kernel(spec.name)
    x = k.buffer("X", "int32" if spec.kind == "int8" else "float32")
    scales = k.buffer("S", "float32") if spec.kind == "int8" else None
    w = k.buffer("W", "uint8")
    residual = k.buffer("residual", "float32") if spec.residual else None
    y = k.buffer("Y", "float32")
    ranges = k.buffer("R", "float32") if spec.ranges else None
    n = {name: k.scalar(name) for name in SCALARS}
    groups = {name: k.scalar(name) for name in ("outs", "ins", "x_dwords")} if spec.grouped else {}
    channels = k.scalar("channels") if spec.ranges else None
    matrix = by_pixel(spec.isa, spec.kind)
    if matrix:
        map_dwords = groups["x_dwords"] if spec.grouped else n["dwords"]
        n = conv_amx.address_by_pixel(k, n, map_dwords, spec.stride)
    taps = k.opaque(n["kernel_h"] * n["kernel_w"], "taps")
    block_vectors = k.opaque(n["dwords"] * taps + field_count(spec.kind), "vectors")
    vectors = _Vectors(k, spec, n, x, w, y, scales, block_vectors)

    with k.loop(k.begin, k.end) as unit:
        first = k.opaque(tirx.floordiv(unit, n["rows"]) * spec.blocks, "block")
        there = k.opaque(tirx.min(n["blocks"] - first, i64(spec.blocks)), "there")
        row = k.opaque(tirx.floormod(unit, n["rows"]), "row")
        image = k.opaque(tirx.floordiv(row, n["out_h"]), "image")
        line = k.opaque(row - image * n["out_h"], "line")
        y_at = k.opaque(n["y_start"] + image * n["y_image"] + line * n["y_row"] + first * LANES, "y_at")
        x_at, dwords = n["x_start"] + image * n["x_image"] + line * n["x_row"], n["dwords"]
        if spec.grouped:
            channel = tirx.floordiv(first * LANES, groups["outs"]) * groups["ins"]
            dword = k.opaque(tirx.floordiv(channel, i64(4 if spec.kind == "int8" else 1)), "dword")
            x_at = x_at + dword * n["x_plane"]
            dwords = k.opaque(tirx.min(dwords, groups["x_dwords"] - dword), "dwords")
        x_at = k.opaque(x_at, "x_at")

        if matrix:
            assert scales is not None
            by_tiles = conv_amx.Row(k, n, x, w, y, scales, block_vectors, image, x_at, y_at, dwords)
            for blocks in range(1, spec.blocks + 1):
                with k.when(tirx.EQ(there, i64(blocks))):
                    by_tiles.run(first, blocks)
        else:
            vectors.row(first, there, x_at, y_at, image, dwords)
        if residual is not None or spec.activation is not None or spec.ranges:
            low, high = _Finish(k, spec, n, residual, y, channels).row(y_at, first, there)
            if ranges is not None:
                units = tirx.floordiv(n["blocks"] + (spec.blocks - 1), i64(spec.blocks))
                entry = (row * units + tirx.floordiv(first, i64(spec.blocks))) * 2
                store_range(k, ranges, entry, low, high)
    if matrix:
        amx.release(k)
    return k


class _Vectors:
    """Rows in tiles of pixels, for a block at a time or two, whose sums stay in vector registers."""

    def __init__(
        self, k: Kernel, spec: ConvSpec, n: dict[str, Expr], x: Memory, w: Memory, y: Memory, scales: Memory | None,
        block_vectors: Expr,
    ) -> None:  # fmt: skip
        self.k, self.spec, self.n, self.x, self.w, self.y, self.scales = k, spec, n, x, w, y, scales
        self.block_vectors = block_vectors
        self.size = _tile_size(k, spec, n["out_w"])
        self.count = k.opaque(tirx.floordiv(n["out_w"] + self.size - 1, self.size), "tiles")

    def row(self, first: Expr, there: Expr, x_at: Expr, y_at: Expr, image: Expr, dwords: Expr) -> None:
        """A row of the output for the blocks of a unit, of which there are `there` from `first` on."""
        k = self.k
        if self.spec.tile_blocks == 2:
            for blocks in (1, 2):
                with k.when(tirx.EQ(there, i64(blocks))):
                    self._tiles(blocks, first, x_at, y_at, image, dwords)
            return
        with k.loop(0, there) as number:
            self._tiles(1, first + number, x_at, k.opaque(y_at + number * LANES, "y_at"), image, dwords)

    def _tiles(self, blocks: int, block: Expr, x_at: Expr, y_at: Expr, image: Expr, dwords: Expr) -> None:
        """All pixels of the row. The last tile overlaps the one before it rather than be small."""
        k, n, spec = self.k, self.n, self.spec
        tile = _Tile(k, spec, n, self.x, self.w, self.y, self.scales, self.block_vectors, dwords, image)
        with k.loop(0, self.count) as number:
            start = k.opaque(tirx.min(number * self.size, n["out_w"] - self.size), "start")
            from_x = k.opaque(x_at + start * spec.stride, "from")
            to = k.opaque(y_at + start * n["y_pixel"], "to")
            for pixels in spec.tiles:
                with k.when(tirx.EQ(self.size, i64(pixels))):
                    tile.run(pixels, blocks, block, from_x, to)


def _tile_size(k: Kernel, spec: ConvSpec, width: Expr) -> Expr:
    """The tile, no wider than the row, whose copies cover the row with the least work; the largest of equals."""
    size, least = i64(1), width * (_CHAINS // spec.vectors + 1)
    for pixels in reversed(spec.tiles[:-1]):
        # A tile of few pixels takes as long as one that has all its sums under way, and each tile has its overhead.
        cost = max(pixels, _CHAINS // spec.vectors) + 1
        work = k.opaque(tirx.floordiv(width + (pixels - 1), i64(pixels)) * cost, "work")
        better = tirx.all(work <= least, width >= pixels)
        size = k.opaque(tirx.Select(better, i64(pixels), size), "size")
        least = k.opaque(tirx.Select(better, work, least), "least")
    return size


@dataclass(frozen=True)
class _Tile:
    """Some pixels of a row times some blocks of output channels."""

    k: Kernel
    spec: ConvSpec
    n: dict[str, Expr]
    x: Memory
    w: Memory
    y: Memory
    scales: Memory | None
    block_vectors: Expr
    dwords: Expr
    image: Expr

    def run(self, pixels: int, blocks: int, block: Expr, x_at: Expr, y_at: Expr) -> None:
        """Y of `blocks` blocks from `block` on, for pixels whose first tap is at X[x_at]; the first goes to Y[y_at]."""
        k, spec, n = self.k, self.spec, self.n
        at = [k.opaque((block + i) * self.block_vectors * VECTOR, "w_at") for i in range(blocks)]
        fields = [k.opaque(start + n["kernel_h"] * n["kernel_w"] * n["dwords"] * VECTOR, "fields") for start in at]
        parts = spec.parts
        lanes = LANES // parts
        sums = self._zero_sums(pixels, fields, parts, lanes)
        with self._each_tap(x_at, pixels) as (base, tap):
            starts = [k.opaque(start + tap * VECTOR, "w") for start in at]
            for start in starts:
                k.prefetch(self.w, start + PREFETCH_BYTES)
            taps = [self.x.load(base + p * spec.stride) for p in range(pixels)]
            if spec.kind == "int8":
                signed, step = k.view(self.w, "int8"), VECTOR // parts
                weights = [k.let(signed.load(s + part * step, step), "w") for s in starts for part in range(parts)]
                add_tap(spec.isa, k, sums, weights, taps)
            else:
                floats = k.view(self.w, "float32")
                weights = [k.let(floats.load(tirx.floordiv(s, i64(4)), LANES), "w") for s in starts]
                for place, one in zip(sums, taps, strict=True):
                    value = k.let(broadcast(one, LANES), "x")
                    for (register,), weight in zip(place, weights, strict=True):
                        register.set(fma(value, weight, register.get(), LANES))
        self._store(sums, fields, parts, lanes, y_at)

    @contextmanager
    def _each_tap(self, x_at: Expr, pixels: int) -> Iterator[tuple[Expr, Expr]]:
        """Loops over dwords, rows and columns of the kernel: where the first pixel's tap lies in X, and its number."""
        k, n = self.k, self.n
        ahead = [PREFETCH_PLANES * n["x_plane"] + end for end in (0, pixels * self.spec.stride)]
        if self.spec.pointwise:
            with k.loop(0, self.dwords) as dword:
                from_x = k.opaque(x_at + dword * n["x_plane"], "x")
                k.prefetch(self.x, from_x + ahead[0])
                yield from_x, dword
            return
        with k.loop(0, self.dwords) as dword, k.loop(0, n["kernel_h"]) as ky:
            from_x = k.opaque(x_at + dword * n["x_plane"] + ky * n["x_line"], "x")
            for distance in ahead:
                k.prefetch(self.x, from_x + distance)
            from_w = k.opaque((dword * n["kernel_h"] + ky) * n["kernel_w"], "w")
            with k.loop(0, n["kernel_w"]) as kx:
                yield k.opaque(from_x + kx * n["x_column"], "x"), from_w + kx

    def _zero_sums(self, pixels: int, fields: list[Expr], parts: int, lanes: int) -> list[list[list[Register]]]:
        """For each pixel, block and part registers of a sum. Of integers it begins at what the zero point of the
        activations adds to it, with the other sign: weights' sum * -zero point."""
        k, spec = self.k, self.spec
        if spec.kind == "float32":
            zero = f32(0.0, LANES)
            return [[[k.register("float32", LANES, zero)] for _ in fields] for _ in range(pixels)]
        assert self.scales is not None
        zero_point = k.let(k.view(self.scales, "int32").load(self.image * 2 + 1), "zero_point")
        begin = []
        for start in fields:
            for part in range(parts):
                there = self._field(start, SUM, "int32", part * lanes, lanes)
                begin.append(k.let(there * broadcast(const("int32", 0) - zero_point, lanes), "begin"))
        rest = sum_vectors(spec.isa) - 1
        return [
            [
                # Where a sum is in two vectors the first one's pairs of lanes are the outputs of half of them.
                self._split_start(b, lanes) if rest else [k.register("int32", lanes, b)]
                for b in begin
            ]
            for _ in range(pixels)
        ]

    def _split_start(self, begin: Expr, lanes: int) -> list[Register]:
        zero = const("int32", 0, lanes)
        halves = [tirx.Shuffle([begin, zero], [const("int32", i) for i in order])
                  for order in ((0, lanes, 1, lanes), (2, lanes, 3, lanes))]  # fmt: skip
        return [self.k.register("int32", lanes, half) for half in halves]

    def _field(self, start: Expr, name: str, dtype: Literal["int32", "float32"], lane: int, lanes: int) -> Expr:
        at = start + field_vector(self.spec.kind, name) * VECTOR
        return self.k.view(self.w, dtype).load(tirx.floordiv(at, i64(4)) + lane, lanes)

    def _store(self, sums: list[list[list[Register]]], fields: list[Expr], parts: int, lanes: int, y_at: Expr) -> None:
        k, spec = self.k, self.spec
        for number, start in enumerate(fields):
            for part in range(parts):
                lane = part * lanes
                bias = k.let(self._field(start, BIAS, "float32", lane, lanes), "bias")
                scale = None
                if self.scales is not None:
                    own = self._field(start, SCALE, "float32", lane, lanes)
                    scale = k.let(own * broadcast(self.scales.load(self.image * 2), lanes), "scale")
                for p, place in enumerate(sums):
                    registers = place[number * parts + part]
                    if scale is None:
                        value = registers[0].get() + bias
                    else:
                        whole = finish_tap_sum(spec.isa, registers)
                        value = fma(cast("float32", whole, lanes), scale, bias, lanes)
                    k.store(self.y, y_at + p * self.n["y_pixel"] + (number * LANES + lane), k.let(value, "y"))


@dataclass(frozen=True)
class _Finish:
    """What happens to a row whose sums have just been stored."""

    k: Kernel
    spec: ConvSpec
    n: dict[str, Expr]
    residual: Memory | None
    y: Memory
    channels: Expr | None

    def row(self, y_at: Expr, first: Expr, blocks: Expr) -> tuple[Register, Register]:
        """Residual, which lies as Y does, and activation. Returns the least and the largest in each lane, where they
        are wanted."""
        k, spec = self.k, self.spec
        low, high = (k.register("float32", LANES, f32(0.0, LANES)) for _ in range(2))
        with k.loop(0, self.n["out_w"]) as pixel, k.loop(0, blocks) as block:
            at = k.opaque(y_at + pixel * self.n["y_pixel"] + block * LANES, "at")
            value = self.y.load(at, LANES)
            if self.residual is not None:
                value = value + self.residual.load(at, LANES)
            if spec.activation is not None:
                value = vmath.ACTIVATIONS[spec.activation](k, k.let(value, "value"), LANES)
            value = k.let(value, "y")
            if self.residual is not None or spec.activation is not None:
                k.store(self.y, at, value)
            if self.channels is not None:
                inside = lanes_below(self.channels - (first + block) * LANES)
                counted = k.let(tirx.Select(inside, value, f32(0.0, LANES)), "counted")
                low.set(tirx.min(counted, low.get()))
                high.set(tirx.max(counted, high.get()))
        return low, high
