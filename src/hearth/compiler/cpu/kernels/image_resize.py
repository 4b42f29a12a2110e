"""Pictures to the input of a network: resized as Pillow does, cut or padded, normalised to f32.

Two passes, one along each axis, each rounding to bytes, with the arithmetic of Pillow and in its order: along rows
first, but along columns where the height shrinks by more than twice what the width does (since Pillow 13; before, rows
always came first). Sizes are data of each call, so both orders are in each kernel. Cutting and padding are positions of
the resized picture: the first that is wanted, which may be negative, and how many; those outside it are filled.

All kernels take the same three arrays i32 [2], for rows and columns: `size` of the picture, to what it is `resized`,
and `offset`, the position that the result begins with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, broadcast, cast, const, i64
from hearth.compiler.cpu.kernels.dot import pick
from hearth.compiler.cpu.kernels.image_filters import ENTRY, PRECISION

CHANNELS = 3
PIXEL = 4  # bytes of a pixel between the passes
GROUP = 4  # pixels that are computed together
LANES = PIXEL * GROUP
HALF = 1 << (PRECISION - 1)
SHARES = 64
"""Units of the first pass, whatever the size of the picture."""


def between_bytes(result: tuple[int, int], most_side: int) -> int:
    """Of T, for pictures up to `most_side` along both axes: enough for either order."""
    rows, columns = (-(-side // GROUP) * GROUP for side in result)
    return PIXEL * max(most_side * columns, rows * -(-most_side // GROUP) * GROUP)


@dataclass(frozen=True)
class _Table:
    """One axis of `resample_table`, as a pass reads it."""

    k: Kernel
    entries: Memory
    weights: Memory

    def window(self, position: Expr) -> tuple[Expr, Expr, Callable[[Expr], Expr]]:
        """First pixel, how many, and the weight of each."""
        first, number, start = (
            self.k.opaque(cast("int64", self.entries.load(position * ENTRY + i)), "entry") for i in range(ENTRY)
        )
        return first, number, lambda i: self.weights.load(start + i)

    def inside(self, position: Expr) -> Expr:
        """Whether a position is one of the resized picture."""
        return self.entries.load(position * ENTRY + 1) > 0


class _Passes:
    """What both passes read."""

    def __init__(self, k: Kernel, source: str) -> None:
        self.k = k
        self.source = k.buffer(source, "uint8")
        sizes = [k.buffer(name, "int32") for name in ("size", "resized", "offset")]
        tables = [(k.buffer(f"entries_{axis}", "int32"), k.buffer(f"weights_{axis}", "int32")) for axis in "yx"]
        self._sizes = sizes
        self.y, self.x = (_Table(k, *table) for table in tables)

    def read_sizes(self) -> None:
        """Once all buffers are declared."""
        k = self.k
        self.rows, self.columns = k.scalar("rows"), k.scalar("columns")
        (self.h, self.w), (resized_h, resized_w), (top, _) = (
            [k.opaque(cast("int64", sizes.load(axis)), "size") for axis in range(2)] for sizes in self._sizes
        )
        shrinks = self.h - resized_h
        self.columns_first = tirx.all(shrinks > 0, shrinks > (self.w - resized_w) * 2)
        # Positions of the result that are rows of the resized picture.
        self.first_row = k.opaque(tirx.max(i64(0) - top, i64(0)), "first_row")
        self.end_row = k.opaque(tirx.min(resized_h - top, self.rows), "end_row")

    def weighted(self, number: Expr, weight: Callable[[Expr], Expr], four: Callable[[Expr], Expr]) -> Expr:
        """The sum over i < number of four(i), bytes of 4 pixels, times weight(i), as bytes."""
        total = self.k.register("int32", LANES, const("int32", HALF, LANES))
        with self.k.loop(0, number) as i:
            total.set(total.get() + cast("int32", four(i), LANES) * broadcast(weight(i), LANES))
        return self.k.let(_byte(total.get(), LANES), "bytes")


def resample_first() -> Kernel:
    """The first pass.

    Buffers: X u8 [h][w][3]; size, resized, offset; entries_y, weights_y, entries_x, weights_x of `resample_table`;
    T u8 (`between_bytes`): [h][columns][4], or with columns first [rows][w][4], each row a multiple of 4 pixels.
    Scalars: rows, columns (of the result). Unit: one of `SHARES`.
    """
    k = Kernel("resample_first")
    p = _Passes(k, "X")
    out = k.buffer("T", "uint8")
    p.read_sizes()
    with k.when(p.first_row < p.end_row), k.loop(k.begin, k.end) as unit:
        with k.when(tirx.Not(p.columns_first)):
            # Only rows that the second pass will read.
            begin, *_ = p.y.window(p.first_row)
            last, number, _ = p.y.window(p.end_row - 1)
            groups = k.opaque(tirx.floordiv(last + number - begin + (GROUP - 1), i64(GROUP)), "groups")
            with k.loop(*_share(k, unit, groups)) as group:
                _rows_of_picture(p, k.opaque(begin + group * GROUP, "top"), last + number, out)
        with k.when(p.columns_first), k.loop(*_share(k, unit, p.end_row - p.first_row)) as row:
            _columns_of_picture(p, k.opaque(p.first_row + row, "row"), out)
    return k


def _share(k: Kernel, unit: Expr, whole: Expr) -> tuple[Expr, Expr]:
    """What of `whole` a unit does: from where to where."""
    begin, end = (k.opaque(tirx.floordiv((unit + i) * whole, i64(SHARES)), "share") for i in range(2))
    return begin, end


def _rows_of_picture(p: _Passes, top: Expr, end: Expr, out: Memory) -> None:
    """Four rows along x."""
    k = p.k
    pitch = _padded(p.columns) * PIXEL
    # Whole pixels read a byte past the last of each: not in the last rows, where nothing may follow.
    whole = top + GROUP < p.h
    with k.loop(0, p.columns) as position:
        first, number, weight = p.x.window(position)
        with k.when(whole):
            starts = [k.opaque(((top + r) * p.w + first) * CHANNELS, "start") for r in range(GROUP)]
            done = p.weighted(number, weight, lambda i: _gathered(p, [start + i * CHANNELS for start in starts]))
            for r in range(GROUP):
                k.store(out, (top + r) * pitch + position * PIXEL, _pixel(done, r))
        with k.when(tirx.Not(whole)), k.loop(top, tirx.min(top + GROUP, end)) as row:
            start = k.opaque((row * p.w + first) * CHANNELS, "start")
            _one_by_one(p, number, weight, start, CHANNELS, out, row * pitch + position * PIXEL)


def _columns_of_picture(p: _Passes, row: Expr, out: Memory) -> None:
    """A row of the result along y, over all columns of the picture."""
    k = p.k
    pitch = _padded(p.w) * PIXEL
    first, number, weight = p.y.window(row)
    line = p.w * CHANNELS
    fours = k.opaque(tirx.floordiv(p.w - 1, i64(GROUP)), "fours")  # the last pixels by themselves, as above
    with k.loop(0, fours) as four:
        start = k.opaque(first * line + four * (GROUP * CHANNELS), "start")
        done = p.weighted(
            number, weight, lambda i: _gathered(p, [start + i * line + c * CHANNELS for c in range(GROUP)])
        )
        k.store(out, row * pitch + four * LANES, done)
    with k.loop(fours * GROUP, p.w) as column:
        start = k.opaque(first * line + column * CHANNELS, "start")
        _one_by_one(p, number, weight, start, line, out, row * pitch + column * PIXEL)


def _gathered(p: _Passes, starts: list[Expr]) -> Expr:
    """Four pixels of the picture as one vector."""
    pixels = [p.k.let(p.source.load(start, PIXEL), "pixel") for start in starts]
    return pick(pixels, range(LANES))


def _one_by_one(
    p: _Passes, number: Expr, weight: Callable[[Expr], Expr], start: Expr, step: Expr | int, out: Memory, to: Expr
) -> None:
    with p.k.loop(0, CHANNELS) as c:
        total = p.k.register("int32", init=const("int32", HALF))
        with p.k.loop(0, number) as i:
            total.set(total.get() + cast("int32", p.source.load(start + i * step + c)) * weight(i))
        p.k.store(out, to + c, _byte(total.get(), 1))


def resample_second(*, bgr: bool) -> Kernel:
    """The second pass, and what follows.

    Buffers: T of `resample_first`; size, resized, offset; entries_y, weights_y, entries_x, weights_x; N f32 [3][4]:
    factor, offset and fill of each channel; Y f32 [rows][columns][3] = byte * factor + offset, or fill outside the
    resized picture. Scalars: as `resample_first`. Unit: row of the result.

    Args:
        bgr: Y has blue first, and so has N.
    """
    k = Kernel("resample_second" + ("_bgr" if bgr else ""))
    p = _Passes(k, "T")
    numbers, y = k.buffer("N", "float32"), k.buffer("Y", "float32")
    p.read_sizes()
    factor, offset, fill = (k.let(numbers.load(i64(line * PIXEL), PIXEL), "numbers") for line in range(3))

    def put(row: Expr, column: Expr, pixel: Expr, inside: Expr) -> None:
        """One pixel of the result from its bytes."""
        order = (2, 1, 0, 3) if bgr else range(PIXEL)
        value = cast("float32", cast("int32", pick([pixel], order), PIXEL), PIXEL) * factor + offset
        done = k.let(tirx.Select(broadcast(inside, PIXEL), value, fill), "value")
        at = k.opaque((row * p.columns + column) * CHANNELS, "at")
        for c in range(CHANNELS):
            k.store(y, at + c, tirx.Shuffle([done], [const("int32", c)]))

    with k.loop(k.begin, k.end) as unit:
        first, number, weight = p.y.window(unit)
        with k.when(tirx.Not(p.columns_first)), k.loop(0, tirx.floordiv(p.columns + 3, i64(GROUP))) as four:
            pitch = _padded(p.columns) * PIXEL
            start = k.opaque(first * pitch + four * LANES, "start")
            done = p.weighted(number, weight, lambda i: p.source.load(start + i * pitch, LANES))
            for c in range(GROUP):
                column = k.opaque(four * GROUP + c, "column")
                with k.when(column < p.columns):
                    put(unit, column, _pixel(done, c), tirx.all(number > 0, p.x.inside(column)))
        with k.when(p.columns_first), k.loop(0, p.columns) as column:
            left, across, own = p.x.window(column)
            start = k.opaque((unit * _padded(p.w) + left) * PIXEL, "start")
            total = k.register("int32", PIXEL, const("int32", HALF, PIXEL))
            with k.loop(0, across) as i:
                pixel = cast("int32", p.source.load(start + i * PIXEL, PIXEL), PIXEL)
                total.set(total.get() + pixel * broadcast(own(i), PIXEL))
            put(unit, column, k.let(_byte(total.get(), PIXEL), "bytes"), tirx.all(number > 0, across > 0))
    return k


def _pixel(group: Expr, number: int) -> Expr:
    return pick([group], range(number * PIXEL, (number + 1) * PIXEL))


def _padded(width: Expr) -> Expr:
    """Pixels of a row between the passes."""
    return tirx.floordiv(width + (GROUP - 1), i64(GROUP)) * GROUP


def _byte(total: Expr, lanes: int) -> Expr:
    """A sum with `PRECISION` bits after the point as a byte; the half that rounds it is in the sum already."""
    whole = tirx.shift_right(total, const("int32", PRECISION, lanes))
    return cast("uint8", tirx.min(tirx.max(whole, const("int32", 0, lanes)), const("int32", 255, lanes)), lanes)
