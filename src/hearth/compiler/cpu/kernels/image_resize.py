"""Pictures to the input of a network: resized as Pillow does, cut or padded, normalised to f32.

Two passes, one along each axis, each rounding to bytes, with the arithmetic of Pillow and in its order: along rows
first, but along columns where the height shrinks by more than twice what the width does (since Pillow 13; before, rows
always came first). Sizes are scalars, so both orders are in each kernel. Cutting and padding are positions of the
resized picture: the first that is wanted, which may be negative, and how many; those outside it are filled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, broadcast, cast, const, i64
from hearth.compiler.cpu.kernels.dot import pick
from hearth.compiler.cpu.kernels.image_filters import PRECISION, Filter, taps

PIXEL = 4  # bytes of a pixel between the passes
GROUP = 4  # pixels that are computed together
LANES = PIXEL * GROUP
HALF = 1 << (PRECISION - 1)


@dataclass(frozen=True)
class ImageResize:
    """The sizes of one picture's way through `resample_table` (for each axis), `resample_first`, `resample_second`.

    Attributes:
        size: height and width of the picture.
        resized: what it is resized to.
        first: row and column of the resized picture that the result begins with; negative: padding before it.
        result: rows and columns of the result.
    """

    kind: Filter
    size: tuple[int, int]
    resized: tuple[int, int]
    first: tuple[int, int]
    result: tuple[int, int]

    def taps(self, axis: int) -> int:
        """Args: axis: 0 for rows, 1 for columns."""
        return taps(self.kind, self.size[axis], self.resized[axis])

    def table_scalars(self, axis: int) -> list[int]:
        """Of `resample_table`."""
        return [self.size[axis], self.resized[axis], self.first[axis], self.taps(axis), self.result[axis]]

    def pass_scalars(self) -> list[int]:
        """Of `resample_first` and `resample_second`."""
        return [*self.size, *self.resized, *self.result, self.taps(0), self.taps(1)]

    @property
    def first_units(self) -> int:
        """Of `resample_first`: enough for either order."""
        return max(-(-self.size[0] // GROUP), self.result[0])

    @property
    def between_bytes(self) -> int:
        """Of T: enough for either order."""
        height, width = self.size
        rows, columns = self.result
        return PIXEL * max(height * -(-columns // GROUP), rows * -(-width // GROUP)) * GROUP


class _Passes:
    """What both passes read."""

    def __init__(self, k: Kernel, source: str, channels: int) -> None:
        self.k, self.channels = k, channels
        self.source = k.buffer(source, "uint8")
        tables = [k.buffer(f"{name}_{axis}", "int32") for axis in "yx" for name in ("bounds", "weights")]
        self.y_table, self.x_table = tables[:2], tables[2:]

    def scalars(self) -> None:
        names = ("h", "w", "resized_h", "resized_w", "rows", "columns", "taps_y", "taps_x")
        self.h, self.w, resized_h, resized_w, self.rows, self.columns, self.taps_y, self.taps_x = (
            self.k.scalar(name) for name in names
        )
        shrinks = self.h - resized_h
        self.columns_first = tirx.all(shrinks > 0, shrinks > (self.w - resized_w) * 2)

    def window(self, table: list[Memory], taps: Expr, position: Expr) -> tuple[Expr, Expr, Callable[[Expr], Expr]]:
        """First pixel, how many, and the weight of each."""
        bounds, weights = table
        first, number = (self.k.opaque(cast("int64", bounds.load(position * 2 + i)), "bound") for i in range(2))
        start = self.k.opaque(position * taps, "weights")
        return first, number, lambda i: weights.load(start + i)

    def weighted(self, number: Expr, weight: Callable[[Expr], Expr], four: Callable[[Expr], Expr]) -> Expr:
        """The sum over i < number of four(i), bytes of 4 pixels, times weight(i), as bytes."""
        total = self.k.register("int32", LANES, const("int32", HALF, LANES))
        with self.k.loop(0, number) as i:
            total.set(total.get() + cast("int32", four(i), LANES) * broadcast(weight(i), LANES))
        return self.k.let(_byte(total.get(), LANES), "bytes")


def resample_first(channels: int) -> Kernel:
    """The first pass.

    Buffers: X u8 [h][w][channels]; bounds_y, weights_y, bounds_x, weights_x of `resample_table`; T u8, see
    `ImageResize.between_bytes`: [h][columns][4], or with columns first [rows][w][4], each row a multiple of 4 pixels.
    Scalars: h, w, resized_h, resized_w, rows, columns (of the result), taps_y, taps_x. Unit: 4 rows of X, or a row of
    the result; there may be more units than are needed.
    """
    assert 1 <= channels <= PIXEL
    k = Kernel(f"resample_first_{channels}")
    p = _Passes(k, "X", channels)
    out = k.buffer("T", "uint8")
    p.scalars()
    with k.loop(k.begin, k.end) as unit:
        with k.when(tirx.all(tirx.Not(p.columns_first), unit * GROUP < p.h)):
            _rows_of_picture(p, unit, out)
        with k.when(tirx.all(p.columns_first, unit < p.rows)):
            _columns_of_picture(p, unit, out)
    return k


def _rows_of_picture(p: _Passes, unit: Expr, out: Memory) -> None:
    """Four rows along x."""
    k, channels = p.k, p.channels
    pitch = _padded(p.columns) * PIXEL
    top = k.opaque(unit * GROUP, "top")
    with k.loop(0, p.columns) as position:
        first, number, weight = p.window(p.x_table, p.taps_x, position)
        # Whole pixels read a few bytes past the last of each: not in the last rows, where nothing may follow.
        whole = top + GROUP < p.h
        with k.when(whole):
            starts = [k.opaque(((top + r) * p.w + first) * channels, "start") for r in range(GROUP)]
            done = p.weighted(number, weight, lambda i: _gathered(p, [start + i * channels for start in starts]))
            for r in range(GROUP):
                k.store(out, (top + r) * pitch + position * PIXEL, _pixel(done, r))
        with k.when(tirx.Not(whole)), k.loop(top, tirx.min(top + GROUP, p.h)) as row:
            start = k.opaque((row * p.w + first) * channels, "start")
            _one_by_one(p, number, weight, start, channels, out, row * pitch + position * PIXEL)


def _columns_of_picture(p: _Passes, row: Expr, out: Memory) -> None:
    """A row of the result along y, over all columns of the picture."""
    k, channels = p.k, p.channels
    pitch = _padded(p.w) * PIXEL
    first, number, weight = p.window(p.y_table, p.taps_y, row)
    line = p.w * channels
    fours = k.opaque(tirx.floordiv(p.w - 1, i64(GROUP)), "fours")  # the last pixels by themselves, as above
    with k.loop(0, fours) as four:
        start = k.opaque(first * line + four * (GROUP * channels), "start")
        done = p.weighted(
            number, weight, lambda i: _gathered(p, [start + i * line + c * channels for c in range(GROUP)])
        )
        k.store(out, row * pitch + four * LANES, done)
    with k.loop(fours * GROUP, p.w) as column:
        start = k.opaque(first * line + column * channels, "start")
        _one_by_one(p, number, weight, start, line, out, row * pitch + column * PIXEL)


def _gathered(p: _Passes, starts: list[Expr]) -> Expr:
    """Four pixels of the picture as one vector."""
    pixels = [p.k.let(p.source.load(start, PIXEL), "pixel") for start in starts]
    return pick(pixels, range(LANES))


def _one_by_one(
    p: _Passes, number: Expr, weight: Callable[[Expr], Expr], start: Expr, step: Expr | int, out: Memory, to: Expr
) -> None:
    with p.k.loop(0, p.channels) as c:
        total = p.k.register("int32", init=const("int32", HALF))
        with p.k.loop(0, number) as i:
            total.set(total.get() + cast("int32", p.source.load(start + i * step + c)) * weight(i))
        p.k.store(out, to + c, _byte(total.get(), 1))


def resample_second(channels: int, *, normalise: bool) -> Kernel:
    """The second pass, and what follows.

    Buffers: T of `resample_first`; bounds_y, weights_y, bounds_x, weights_x; with `normalise` N f32 [3][4], factor,
    offset and fill of each channel, and Y f32 [rows][columns][16] = byte * factor + offset, or fill outside the resized
    picture; without Y u8 [rows][columns][channels], 0 outside. Scalars: as `resample_first`. Unit: row of the result.
    """
    k = Kernel(f"resample_second_{channels}" + ("_normalise" if normalise else ""))
    p = _Passes(k, "T", channels)
    numbers = k.buffer("N", "float32") if normalise else None
    y = k.buffer("Y", "float32" if normalise else "uint8")
    p.scalars()
    with k.loop(k.begin, k.end) as unit:
        first, number, weight = p.window(p.y_table, p.taps_y, unit)
        with k.when(tirx.Not(p.columns_first)), k.loop(0, tirx.floordiv(p.columns + 3, i64(GROUP))) as four:
            pitch = _padded(p.columns) * PIXEL
            start = k.opaque(first * pitch + four * LANES, "start")
            done = p.weighted(number, weight, lambda i: p.source.load(start + i * pitch, LANES))
            for c in range(GROUP):
                column = k.opaque(four * GROUP + c, "column")
                with k.when(column < p.columns):
                    inside = tirx.all(number > 0, p.x_table[0].load(column * 2 + 1) > 0)
                    _put(p, unit, column, _pixel(done, c), inside, numbers, y)
        with k.when(p.columns_first), k.loop(0, p.columns) as column:
            left, across, own = p.window(p.x_table, p.taps_x, column)
            start = k.opaque((unit * _padded(p.w) + left) * PIXEL, "start")
            total = k.register("int32", PIXEL, const("int32", HALF, PIXEL))
            with k.loop(0, across) as i:
                pixel = cast("int32", p.source.load(start + i * PIXEL, PIXEL), PIXEL)
                total.set(total.get() + pixel * broadcast(own(i), PIXEL))
            done = k.let(_byte(total.get(), PIXEL), "bytes")
            _put(p, unit, column, done, tirx.all(number > 0, across > 0), numbers, y)
    return k


def _put(p: _Passes, row: Expr, column: Expr, pixel: Expr, inside: Expr, numbers: Memory | None, y: Memory) -> None:
    """One pixel of the result from its bytes."""
    k = p.k
    at = k.opaque(row * p.columns + column, "at")
    if numbers is not None:
        factor, offset, fill = (numbers.load(i64(line * PIXEL), PIXEL) for line in range(3))
        value = cast("float32", cast("int32", pixel, PIXEL), PIXEL) * factor + offset
        k.store(y, at * 16, k.let(tirx.Select(broadcast(inside, PIXEL), value, fill), "value"))
        return
    for c in range(p.channels):
        byte = tirx.Shuffle([pixel], [const("int32", c)])
        k.store(y, at * p.channels + c, tirx.Select(inside, byte, const("uint8", 0)))


def _pixel(group: Expr, number: int) -> Expr:
    return pick([group], range(number * PIXEL, (number + 1) * PIXEL))


def _padded(width: Expr) -> Expr:
    """Pixels of a row between the passes."""
    return tirx.floordiv(width + (GROUP - 1), i64(GROUP)) * GROUP


def _byte(total: Expr, lanes: int) -> Expr:
    """A sum with `PRECISION` bits after the point as a byte; the half that rounds it is in the sum already."""
    whole = tirx.shift_right(total, const("int32", PRECISION, lanes))
    return cast("uint8", tirx.min(tirx.max(whole, const("int32", 0, lanes)), const("int32", 255, lanes)), lanes)
