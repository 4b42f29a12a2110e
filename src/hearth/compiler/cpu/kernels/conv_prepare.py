"""Makes a map ready for convolutions: padded, planar in dwords, and for int8 quantised with one scale an image.

A tap's sum runs over pixels and channels, so their integers must have one scale: that of the image, measured when it
runs (`map_range`), with a zero point, which wins a bit where all numbers are of one sign, as after a ReLU.

A prepared map is X [image][row][dword][column]: dwords are f32 channels or quads of int8 channels, rows and columns
include the padding, whose elements are worth zero.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.builder import (
    Expr,
    Kernel,
    Memory,
    Register,
    bitcast,
    broadcast,
    cast,
    const,
    f32,
    fma,
    i64,
    lanes_of,
    llvm,
    load_pieces,
)
from hearth.compiler.cpu.kernels.dot import pick
from hearth.compiler.cpu.targets import Isa
from hearth.quant.convolution import ConvKind

LANES = 16
PIXELS = 4  # transposed together
TINY = 1e-30
STEPS = 252.0
"""From the least to the largest number: two less than there are integers, as either end may be rounded away from 0."""
ROUNDING = 1.5 * 2.0**23
"""A number added to this is rounded to an integer, which stands in the last bits of the sum."""


def map_range() -> Kernel:
    """The least and the largest number of each row of a map, and 0.

    Buffers: X f32 [row][w][ld]; R f32 [row][2]. Scalars: w, channels, ld. Unit: row (of all images).
    """
    k = Kernel("map_range")
    x, ranges = k.buffer("X", "float32"), k.buffer("R", "float32")
    width, channels, ld = (k.scalar(name) for name in ("w", "channels", "ld"))
    whole = k.opaque(tirx.floordiv(channels, i64(LANES)) * LANES, "whole")
    fours = k.opaque(tirx.floordiv(whole, i64(4 * LANES)) * (4 * LANES), "fours")
    inside = lanes_below(channels - whole)
    with k.loop(k.begin, k.end) as row:
        # Four of each, so that none waits for the one before it.
        low, high = ([k.register("float32", LANES, f32(0.0, LANES)) for _ in range(4)] for _ in range(2))

        def take(value: Expr, number: int = 0, low: list[Register] = low, high: list[Register] = high) -> None:
            low[number].set(tirx.min(value, low[number].get()))
            high[number].set(tirx.max(value, high[number].get()))

        with k.loop(0, width) as column:
            at = k.opaque((row * width + column) * ld, "at")
            with k.loop(0, fours, 4 * LANES) as c:
                for number in range(4):
                    take(k.let(x.load(at + c + number * LANES, LANES), "x"), number)
            with k.loop(fours, whole, LANES) as c:
                take(k.let(x.load(at + c, LANES), "x"))
            # What is left together with some of those before, or of a row that is padded.
            with k.when(tirx.And(whole < channels, whole > i64(0))):
                take(k.let(x.load(at + (channels - LANES), LANES), "x"))
            with k.when(tirx.EQ(whole, i64(0))):
                take(k.let(tirx.Select(inside, x.load(at, LANES), f32(0.0, LANES)), "x"))
        for number in range(1, 4):
            low[0].set(tirx.min(low[0].get(), low[number].get()))
            high[0].set(tirx.max(high[0].get(), high[number].get()))
        store_range(k, ranges, row * 2, low[0], high[0])
    return k


def lanes_below(count: Expr) -> Expr:
    """Which of 16 lanes are below `count`; not to be named (TVM names no vector of booleans)."""
    lanes = tirx.Ramp(tirx.IntImm("int32", 0), tirx.IntImm("int32", 1), LANES)
    return lanes < broadcast(cast("int32", count), LANES)


def store_range(k: Kernel, ranges: Memory, at: Expr, low: Register, high: Register) -> None:
    """The least lane of `low`, none of which is above 0, and the largest of `high`, none of which is below."""
    k.store(ranges, at, f32(0.0) - _largest(f32(0.0, LANES) - low.get()))
    k.store(ranges, at + 1, _largest(high.get()))


def _largest(x: Expr) -> Expr:
    """Of numbers that are not below 0 (the same bits, read as integers, are in the same order)."""
    return bitcast("float32", vmath.reduce_max_int(bitcast("int32", x, LANES)))


def by_pixel(isa: Isa, kind: ConvKind) -> bool:
    """Whether the dwords of a prepared map lie pixel by pixel, [row][column][dword]: tiles of a matrix unit have pixels
    for rows."""
    return kind == "int8" and isa.matrix is not None


@dataclass(frozen=True)
class PrepareMapSpec:
    """Which preparation.

    Attributes:
        upsample: each pixel is repeated so often along both axes, as by an interpolation to the nearest: a map that is
            only enlarged for its convolution need not lie in memory.
        narrow: the channels, 1 to 4, of a map whose pixels lie side by side, as a picture's do; 0: they are padded.
    """

    isa: Isa
    kind: ConvKind
    upsample: int = 1
    narrow: int = 0

    @property
    def name(self) -> str:
        name = f"prepare_map_{'i8' if self.kind == 'int8' else 'f32'}" + (f"_x{self.upsample}" * (self.upsample > 1))
        return name + (f"_narrow{self.narrow}" if self.narrow else "")

    def scratch_bytes(self) -> int:
        return 0


def prepare_map(spec: PrepareMapSpec) -> Kernel:
    """Buffers: X f32 [image][h][w][ld]; [R f32 [image][entries][2], of `map_range` or a convolution]; P int32 or f32
    [image][rows][dwords][columns]; [S f32 [image][2]: scale, and as int32 the integer that stands for zero].

    Scalars: h, w, channels, ld, rows, columns, top, left (where the map's first pixel goes), dwords; [entries].
    Unit: row of P (of all images).
    """
    k = Kernel(spec.name)
    quantised = spec.kind == "int8"
    x = k.buffer("X", "float32")
    ranges = k.buffer("R", "float32") if quantised else None
    out = k.buffer("P", "int32" if quantised else "float32")
    scales = k.buffer("S", "float32") if quantised else None
    names = ("h", "w", "channels", "ld", "rows", "columns", "top", "left", "dwords")
    h, w, channels, ld, rows, columns, top, left, dwords = (k.scalar(name) for name in names)
    entries = k.scalar("entries") if quantised else None
    layout = _Layout(i64(1), dwords) if by_pixel(spec.isa, spec.kind) else _Layout(columns, i64(1))
    height, width = k.opaque(h * spec.upsample, "height"), k.opaque(w * spec.upsample, "width")
    with k.loop(k.begin, k.end) as unit:
        image = k.opaque(tirx.floordiv(unit, rows), "image")
        row = k.opaque(unit - image * rows, "row")
        source = k.opaque(row - top, "source")
        quantiser = None
        if quantised:
            assert ranges is not None
            assert scales is not None
            quantiser = _Quantiser(k, spec.isa, ranges, image * entries, entries)
            with k.when(tirx.EQ(row, i64(0))):
                k.store(scales, image * 2, quantiser.scale)
                k.store(scales, image * 2 + 1, bitcast("float32", quantiser.zero))
        blank = f32(0.0) if quantiser is None else quantiser.blank
        p_row = k.opaque(unit * dwords * columns, "p_row")
        inside = tirx.all(source >= 0, source < height)
        with k.when(tirx.Not(inside)), k.loop(p_row, p_row + dwords * columns) as at:
            k.store(out, at, blank)
        with k.when(inside):
            with k.loop(0, dwords) as dword:
                for begin, end in ((i64(0), left), (left + width, columns)):
                    with k.loop(begin, end) as column:
                        k.store(out, p_row + layout.at(dword, column), blank)
            x_row = k.opaque((image * h + tirx.floordiv(source, i64(spec.upsample))) * w * ld, "x_row")
            p_first = p_row + layout.at(i64(0), left)
            pixels = _Pixels(k, spec, x, out, quantiser, layout, x_row, p_first, channels, ld, dwords)
            fours = k.opaque(tirx.floordiv(width, i64(PIXELS)), "fours")
            copy = pixels.copy_narrow if spec.narrow else pixels.copy
            with k.loop(0, fours) as four:
                copy(four * PIXELS, PIXELS)
            with k.loop(fours * PIXELS, width) as pixel:
                copy(pixel, 1)
    return k


@dataclass(frozen=True)
class _Layout:
    """How far apart the dwords of a pixel and the pixels of a row lie in P."""

    dword: Expr
    column: Expr

    def at(self, dword: Expr, column: Expr) -> Expr:
        return dword * self.dword + column * self.column


@dataclass(frozen=True)
class _Pixels:
    """The pixels of a row, on their way from X to P."""

    k: Kernel
    spec: PrepareMapSpec
    x: Memory
    out: Memory
    quantiser: _Quantiser | None
    layout: _Layout
    x_row: Expr
    p_row: Expr
    channels: Expr
    ld: Expr
    dwords: Expr

    def copy(self, first: Expr, count: int) -> None:
        """1 or 4 pixels: four dwords of each at a time, then one. The last channel of a quad may lie past the true
        ones, within the padding of the row, and meets weights of zero."""
        k, per_dword = self.k, 4 if self.spec.kind == "int8" else 1
        fours = k.opaque(tirx.floordiv(self.channels, i64(PIXELS * per_dword)), "fours")
        places = [
            (k.opaque(self.x_row + tirx.floordiv(first + p, i64(self.spec.upsample)) * self.ld, "start"),
             k.opaque(self.p_row + self.layout.at(i64(0), first + p), "to"))
            for p in range(count)
        ]  # fmt: skip
        put = self._put_pixels if by_pixel(self.spec.isa, self.spec.kind) else self._put_planes
        with k.loop(0, fours) as four:
            put(places, four * PIXELS, PIXELS, PIXELS * per_dword)
        with k.loop(fours * PIXELS, self.dwords) as dword:
            put(places, dword, 1, per_dword)

    def copy_narrow(self, first: Expr, count: int) -> None:
        """1 or 4 pixels that lie side by side."""
        k, channels = self.k, self.spec.narrow
        start = k.opaque(self.x_row + first * channels, "start")
        to = k.opaque(self.p_row + self.layout.at(i64(0), first), "to")
        pieces = load_pieces(channels * count) if count > 1 else [(c, 1) for c in range(channels)]
        numbers = [self.x.load(start + at, lanes) for at, lanes in pieces]
        if self.spec.kind == "int8":
            more = (4 - channels) * count  # channels that a quad has beyond the map's
            zeros = [f32(0.0)] * more if count == 1 else [f32(0.0, more)] * (more > 0)
            places = [p * channels + c if c < channels else count * channels for p in range(count) for c in range(4)]
            quads = pick([*numbers, *zeros], places)
            k.store(self.out, to, k.let(self._dwords(quads, 4 * count), "dwords"))
            return
        for c in range(channels):
            plane = pick(numbers, [p * channels + c for p in range(count)]) if count > 1 else numbers[c]
            k.store(self.out, to + c * self.layout.dword, k.let(plane, "plane"))

    def _put_pixels(self, places: list[tuple[Expr, Expr]], dword: Expr, count: int, floats: int) -> None:
        """`count` dwords, which lie side by side."""
        for start, to in places:
            value = self._dwords(self.x.load(start + dword * (floats // count), floats), floats)
            self.k.store(self.out, to + dword, self.k.let(value, "dwords"))

    def _put_planes(self, places: list[tuple[Expr, Expr]], dword: Expr, count: int, floats: int) -> None:
        """`count` dwords, each beside those of the next pixels."""
        k, to = self.k, places[0][1]
        numbers = [self.x.load(start + dword * (floats // count), floats) for start, _ in places]
        if count == 1 and len(places) > 1:
            numbers = [pick(numbers, range(floats * len(places)))]
        held = [k.let(self._dwords(number, lanes_of(number)), "dwords") for number in numbers]
        if count == 1:
            k.store(self.out, to + dword * self.layout.dword, held[0])
            return
        for d in range(count):
            lanes = [d + count * p for p in range(len(places))]
            k.store(self.out, to + (dword + d) * self.layout.dword, pick(held, lanes))

    def _dwords(self, numbers: Expr, count: int) -> Expr:
        return numbers if self.quantiser is None else self.quantiser.quads(numbers, count)


class _Quantiser:
    """The integers of an image: x = scale * (q - zero), q in [-127, 127], zero such that 0 is one of them."""

    def __init__(self, k: Kernel, isa: Isa, ranges: Memory, first: Expr, entries: Expr) -> None:
        low, high = _range(k, ranges, first, entries)
        size = k.let(high - low, "size")
        self.scale = k.let(size * f32(1 / STEPS), "scale")
        safe = tirx.max(size, f32(TINY))
        self.inverse = k.let(tirx.Select(size > f32(TINY), f32(STEPS) / safe, f32(0.0)), "inverse")
        lowest = llvm("llvm.rint", "float32", low * self.inverse)
        stored = f32(-STEPS / 2 + (128.0 if isa.unsigned_activations else 0.0)) - lowest
        self.zero = k.let(cast("int32", stored), "zero")
        self.blank = k.let(tirx.bitwise_and(self.zero, const("int32", 255)) * const("int32", 0x01010101), "blank")
        self.offset = k.let(stored + f32(ROUNDING), "offset")

    def quads(self, x: Expr, lanes: int) -> Expr:
        """`lanes` floats as `lanes / 4` int32 of 4 bytes."""
        rounded = fma(x, broadcast(self.inverse, lanes), broadcast(self.offset, lanes), lanes)
        return bitcast("int32", cast("uint8", bitcast("uint32", rounded, lanes), lanes), lanes // 4)


def _range(k: Kernel, ranges: Memory, first: Expr, entries: Expr) -> tuple[Expr, Expr]:
    """The least and the largest of all entries: of 8 at a time, then of those that are left."""
    lows, highs = (k.register("float32", LANES, f32(0.0, LANES)) for _ in range(2))
    eights = k.opaque(tirx.floordiv(entries, i64(LANES // 2)) * (LANES // 2), "eights")
    with k.loop(0, eights, LANES // 2) as entry:
        both = k.let(ranges.load((first + entry) * 2, LANES), "both")
        lows.set(tirx.min(both, lows.get()))
        highs.set(tirx.max(both, highs.get()))
    # No least number is above 0, no largest below: neither stands in the other's way.
    low = k.register("float32", init=f32(0.0) - _largest(f32(0.0, LANES) - lows.get()))
    high = k.register("float32", init=_largest(highs.get()))
    with k.loop(first + eights, first + entries) as entry:
        low.set(tirx.min(ranges.load(entry * 2), low.get()))
        high.set(tirx.max(ranges.load(entry * 2 + 1), high.get()))
    return k.opaque(low.get(), "low"), k.opaque(high.get(), "high")
