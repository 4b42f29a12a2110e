"""Arithmetic of a tile in f32: some columns of activations and weights at a time are put into workgroup memory as
floats, so that each weight is taken apart once for 64 rows."""

from __future__ import annotations

from functools import reduce

from tvm import tirx

from hearth.compiler.gpu.kernels.builder import (
    Expr,
    builtin,
    div,
    f32,
    fma,
    lane,
    mod,
    pack_halves,
    splat,
    unpack_halves,
    vector,
)
from hearth.compiler.gpu.kernels.product_output import QUARTERS
from hearth.compiler.gpu.kernels.tile import ACROSS, DOWN, ROWS, TILE_ROWS, VECTORS, Tile
from hearth.compiler.gpu.kernels.weights import OCTETS
from hearth.quant.formats import PLANE_COLUMNS

_GROUP_QUADS = PLANE_COLUMNS // 4
_LARGEST_HALF = 65504.0
assert (ACROSS, ROWS) == (_GROUP_QUADS, 4)  # invocations beside each other load the quads of a group of a row


class FloatTile:
    """Multiplies `columns` columns after the other.

    The tile's memory holds fours of numbers: activations by row and quad of columns, then weights by column and quarter
    of a block.
    """

    memory_dtype = "float32x4"
    columns = PLANE_COLUMNS

    def __init__(self, tile: Tile) -> None:
        self.tile, k, x = tile, tile.k, tile.x
        self._groups, self._quads = self.columns // PLANE_COLUMNS, self.columns // 4
        self._weights = TILE_ROWS * self._quads  # where they begin
        self._rows = [x.start(tile.first_row + tile.down + i * DOWN) for i in range(ROWS)]
        self._squares = [] if x.spec.norm is None else [k.register("float32", f32(0.0)) for _ in range(ROWS)]
        self._all_groups = k.let(div(x.columns + (PLANE_COLUMNS - 1), PLANE_COLUMNS), "groups")

    def put(self, at: Expr, values: Expr) -> None:
        """Stores a four of numbers."""
        self.tile.put(at, values)

    def get(self, at: Expr) -> Expr:
        return self.tile.get(at)

    def stage(self, index: Expr) -> None:
        """Puts the activations and weights of columns `columns * index` on into the tile's memory."""
        for i in range(self._groups):
            group = index * self._groups + i
            if i == 0:
                self._stage_group(group, i)
            else:
                with self.tile.k.when(group < self._all_groups):
                    self._stage_group(group, i)

    def _stage_group(self, index: Expr, own: int) -> None:
        """32 columns, the `own`-th of those that lie in memory together."""
        tile, k = self.tile, self.tile.k
        quad = k.let(tile.across + own * _GROUP_QUADS, "quad")
        for i, values in enumerate(tile.x.load(self._rows, index * _GROUP_QUADS + tile.across, self._squares)):
            self.put(self._activation(tile.down, quad) + i * DOWN * self._quads, values)
        # Each invocation takes 4 columns of 4 weight rows apart.
        weight, fmt = tile.weight, tile.weight.fmt
        quad = k.let(div(k.thread, VECTORS), "quad")
        group, octet = weight.group(tile.start, index), k.let(div(quad, 2), "octet")
        numbers = group.octet(octet).columns(k.let(mod(quad, 2), "half"))
        scale, offset = (None, None) if fmt.is_float else group.scale(div(octet, OCTETS // weight.spans))
        place = tile.vector(div(tile.place, QUARTERS), mod(tile.place, QUARTERS))
        at = k.let(self._weights + (quad + own * _GROUP_QUADS) * 4 * VECTORS + place, "at")
        for b, column in enumerate(numbers):
            value = column()
            if scale is not None:
                value = value * scale if offset is None else fma(value, scale, offset, 4)
            self.put(at + b * VECTORS, value)

    def _activation(self, row: Expr, quad: Expr) -> Expr:
        """Where 4 columns of a row lie: quads of neighbouring rows stand turned, to be in different banks."""
        return row * self._quads + tirx.bitwise_xor(quad, mod(row, self._quads))

    def multiply(self, index: Expr) -> None:
        """Adds the products of what `stage` has put into the tile's memory."""
        tile, k = self.tile, self.tile.k
        quads = (self._all_groups - index * self._groups) * _GROUP_QUADS
        with k.loop(0, builtin("min", "int32", quads, self._quads) if self._groups > 1 else self._quads) as quad:
            turned = k.let(self._activation(tile.down, quad), "a")
            rows = [self.get(turned + i * DOWN * self._quads) for i in range(ROWS)]
            for b in range(4):
                at = k.let(self._weights + (quad * 4 + b) * VECTORS + tile.across, "b")
                weights = [self.get(at + half * ACROSS) for half in range(2)]
                for values, sums in zip(rows, tile.sums, strict=True):
                    for numbers, total in zip(weights, sums, strict=True):
                        total.set(fma(splat(lane(values, b)), numbers, total.get(), 4))

    def share_squares(self) -> None:
        """Puts the sums of squares that it has into the tile's memory."""
        self.tile.put(self.tile.k.thread, vector(*[square.get() for square in self._squares]))

    def squares(self) -> Expr:
        """Those of the invocation's rows: a vector, of what invocations beside each other have."""
        tile = self.tile
        shares = [tile.get(tile.down * ACROSS + i) for i in range(ACROSS)]
        return tile.k.let(reduce(lambda a, b: a + b, shares), "squares")


class HalfTile(FloatTile):
    """The same with numbers that are 16-bit floats in memory: half as many bytes, and twice as many columns at a time.
    Sums are f32."""

    memory_dtype = "uint32x2"
    columns = 2 * PLANE_COLUMNS

    def put(self, at: Expr, values: Expr) -> None:
        k, limit = self.tile.k, f32(_LARGEST_HALF, 4)
        values = k.let(builtin("clamp", "float32x4", values, f32(-_LARGEST_HALF, 4), limit), "values")
        words = [pack_halves(vector(lane(values, i), lane(values, i + 1))) for i in (0, 2)]
        k.store(self.tile.memory, at, vector(*words))

    def get(self, at: Expr) -> Expr:
        k = self.tile.k
        words = k.let(self.tile.memory.load(at), "words")
        pairs = [k.let(unpack_halves(lane(words, i)), "pair") for i in range(2)]
        return k.let(vector(*[lane(pairs[i // 2], i % 2) for i in range(4)]), "values")
