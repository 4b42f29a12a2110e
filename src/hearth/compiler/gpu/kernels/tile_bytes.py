"""Arithmetic of a tile in bytes: activations are rounded to int8 with a scale for each 32 columns, as processors do it,
weights stay the integers that they are, and 4 columns are multiplied at once (`dot4I8Packed`).

64 columns at a time lie in workgroup memory: a word is 4 columns of a row. Sums of integers are exact; each sum over
columns with one scale is then added as f32. Offsets of weights (zero points and minima) multiply the sums of the
rounded activations.
"""

from __future__ import annotations

from functools import reduce

from tvm import tirx

from hearth.compiler.gpu.kernels.builder import (
    Expr,
    Register,
    builtin,
    cast,
    div,
    f32,
    fma,
    i32,
    lane,
    mod,
    splat,
    u32,
    vec,
    vector,
)
from hearth.compiler.gpu.kernels.product_output import QUARTERS
from hearth.compiler.gpu.kernels.tile import ACROSS, DOWN, ROWS, THREADS, TILE_ROWS, VECTORS, Tile
from hearth.compiler.gpu.kernels.weights import OCTETS
from hearth.quant.formats import PLANE_COLUMNS

COLUMNS = 2 * PLANE_COLUMNS
_GROUPS = COLUMNS // PLANE_COLUMNS
_ROW_VECTORS = COLUMNS // 16  # vectors of 16 columns in a row
assert (TILE_ROWS * _GROUPS, VECTORS * _GROUPS * OCTETS) == (THREADS, THREADS)
# The tile's memory: activations, weights, then the numbers that belong to groups of columns.
_WEIGHTS = TILE_ROWS * _ROW_VECTORS
_ROW_NUMBERS = _WEIGHTS + COLUMNS // 4 * VECTORS  # of each row and group: its scale, scale * sum of each half
_SCALES = _ROW_NUMBERS + TILE_ROWS * _GROUPS
_MOST_SPANS = 2 * _GROUPS
_OFFSETS = _SCALES + _MOST_SPANS * VECTORS
assert _OFFSETS + _MOST_SPANS * VECTORS <= TILE_ROWS * VECTORS
_SMALLEST = 1e-30  # groups below this are zero


def _largest(values: list[Expr], lanes: int = 1) -> Expr:
    return reduce(lambda a, b: builtin("max", vec("float32", lanes), a, b), values)


class ByteTile:
    """Multiplies `COLUMNS` columns after the other, of integers."""

    memory_dtype = "uint32x4"
    columns = COLUMNS

    def __init__(self, tile: Tile) -> None:
        self.tile, k = tile, tile.k
        # An invocation rounds a group of columns of one row.
        self._row, self._group = k.let(div(k.thread, _GROUPS), "own_row"), k.let(mod(k.thread, _GROUPS), "own_group")
        self._start = tile.x.start(tile.first_row + self._row)
        self._square = None if tile.x.spec.norm is None else k.register("float32", f32(0.0))
        self._spans = tile.weight.spans

    def stage(self, index: Expr) -> None:
        """Puts the activations and weights of columns `COLUMNS * index` on into the tile's memory."""
        tile, k = self.tile, self.tile.k
        group = k.let(index * _GROUPS + self._group, "group")
        inside = group * PLANE_COLUMNS < tile.x.columns
        numbers = _ROW_NUMBERS + k.thread
        with k.when(inside):
            self._round(group, numbers)
        with k.when(tirx.Not(inside)):  # behind the last column weights have no scales, and these rows no numbers
            tile.put(numbers, f32(0.0, 4))
            for i in range(2):
                k.store(tile.memory, self._activation(self._row, self._group * 2 + i), splat(u32(0)))
        self._store_weights(index)

    def _round(self, group: Expr, numbers: Expr) -> None:
        """32 columns of a row to bytes: scale = largest magnitude / 127."""
        tile, k = self.tile, self.tile.k
        squares = [] if self._square is None else [self._square]
        loaded = [tile.x.load([self._start], group * 8 + i, squares)[0] for i in range(8)]
        most = k.let(_largest([builtin("abs", "float32x4", values) for values in loaded], 4), "most")
        # A register: TVM follows what is named through all that is made of it, which takes seconds here.
        largest = k.register("float32", _largest([lane(most, i) for i in range(4)])).get()
        inverse = k.let(tirx.Select(largest > _SMALLEST, f32(1.0) / largest, f32(0.0)), "inverse")
        words = [k.let(builtin("pack4x8snorm", "uint32", values * splat(inverse)), "word") for values in loaded]
        scale = k.let(largest * f32(1 / 127), "scale")
        halves = []
        for half in range(2):
            four = words[4 * half : 4 * half + 4]
            k.store(tile.memory, self._activation(self._row, self._group * 2 + half), vector(*four))
            sums = [builtin("dot4I8Packed", "int32", word, u32(0x01010101)) for word in four]
            halves.append(scale * cast("float32", reduce(lambda a, b: a + b, sums)))
        tile.put(numbers, vector(scale, *halves, f32(0.0)))

    def _store_weights(self, index: Expr) -> None:
        """Each invocation takes 8 columns of 4 weight rows; the first ones of a span note its scales."""
        tile, k, weight = self.tile, self.tile.k, self.tile.weight
        octet = k.let(div(k.thread, VECTORS), "octet")
        last = div(tile.x.columns - 1, PLANE_COLUMNS)  # behind it there may be no more, and activations are zeros
        number = k.let(builtin("min", "int32", index * _GROUPS + div(octet, OCTETS), last), "number")
        group = weight.group(tile.start, number)
        own = k.let(tile.vector(div(tile.place, QUARTERS), mod(tile.place, QUARTERS)), "own")
        inner = k.let(mod(octet, OCTETS), "inner")
        words = group.octet(inner)
        for half in range(2):
            k.store(tile.memory, _WEIGHTS + (octet * 2 + half) * VECTORS + own, words.quad(half))
        octets = OCTETS // self._spans
        with k.when(tirx.EQ(mod(octet, octets), i32(0))):
            scale, offset = group.scale(div(inner, octets))
            at = k.let(div(octet, octets) * VECTORS + own, "at")
            tile.put(_SCALES + at, scale)
            if offset is not None:
                tile.put(_OFFSETS + at, offset)

    def _activation(self, row: Expr, sixteen: Expr) -> Expr:
        """Where 16 columns of a row lie: those of neighbouring rows stand turned, to be in different banks."""
        return row * _ROW_VECTORS + tirx.bitwise_xor(sixteen, mod(div(row, 2), _ROW_VECTORS))

    def multiply(self, index: Expr) -> None:
        """Adds the products of what `stage` has put into the tile's memory, one span of columns with a scale after the
        other."""
        k = self.tile.k
        with k.loop(0, _GROUPS * self._spans) as span:
            integers = [[k.register("int32x4", tirx.Broadcast(i32(0), 4)) for _ in range(2)] for _ in range(ROWS)]
            sixteens = 2 // self._spans
            with k.loop(span * sixteens, span * sixteens + sixteens) as sixteen:
                self._multiply_integers(sixteen, integers)
            self._add_scaled(span, integers)

    def _multiply_integers(self, sixteen: Expr, integers: list[list[Register]]) -> None:
        tile, k = self.tile, self.tile.k
        at = k.let(self._activation(tile.down, sixteen), "a")
        rows = [k.let(tile.memory.load(at + i * DOWN * _ROW_VECTORS), "x") for i in range(ROWS)]
        for b in range(4):
            place = k.let(_WEIGHTS + (sixteen * 4 + b) * VECTORS + tile.across, "b")
            weights = [k.let(tile.memory.load(place + half * ACROSS), "w") for half in range(2)]
            for words, sums in zip(rows, integers, strict=True):
                for numbers, total in zip(weights, sums, strict=True):
                    dots = [builtin("dot4I8Packed", "int32", lane(words, b), lane(numbers, i)) for i in range(4)]
                    total.set(total.get() + vector(*dots))

    def _add_scaled(self, span: Expr, integers: list[list[Register]]) -> None:
        tile, k = self.tile, self.tile.k
        at = k.let(span * VECTORS + tile.across, "at")
        scales = [tile.get(_SCALES + at + half * ACROSS) for half in range(2)]
        has_offset = tile.weight.has_offset
        offsets = [tile.get(_OFFSETS + at + half * ACROSS) for half in range(2)] if has_offset else []
        group = k.let(div(span, self._spans), "group")
        for i, (sums, totals) in enumerate(zip(integers, tile.sums, strict=True)):
            numbers = tile.get(_ROW_NUMBERS + (tile.down + i * DOWN) * _GROUPS + group)
            if self._spans > 1:
                share = tirx.Select(tirx.EQ(mod(span, 2), i32(0)), lane(numbers, 1), lane(numbers, 2))
            else:
                share = lane(numbers, 1) + lane(numbers, 2)
            share = k.let(share, "share") if has_offset else share
            for half, (total, integer) in enumerate(zip(totals, sums, strict=True)):
                value = total.get()
                if has_offset:
                    value = fma(offsets[half], splat(share), value, 4)
                scale = scales[half] * splat(lane(numbers, 0))
                total.set(fma(cast("float32", integer.get(), 4), scale, value, 4))

    def share_squares(self) -> None:
        """Puts the sum of squares that it has into the tile's memory."""
        assert self._square is not None
        self.tile.put(self.tile.k.thread, splat(self._square.get()))

    def squares(self) -> Expr:
        """Those of the invocation's rows: a vector, of what the invocations that rounded them have."""
        tile = self.tile
        rows = [(tile.down + i * DOWN) * _GROUPS for i in range(ROWS)]
        shares = [vector(*[lane(tile.get(row + group), 0) for row in rows]) for group in range(_GROUPS)]
        return tile.k.let(reduce(lambda a, b: a + b, shares), "squares")
