"""Arithmetic of a tile in f32: 32 columns of activations and weights at a time are put into workgroup memory as floats,
so that each weight is taken apart once for 64 rows."""

from __future__ import annotations

from functools import reduce

from tvm import tirx

from hearth.compiler.gpu.kernels.builder import Expr, div, f32, fma, lane, mod, splat, vector
from hearth.compiler.gpu.kernels.product_output import QUARTERS
from hearth.compiler.gpu.kernels.tile import ACROSS, DOWN, ROWS, TILE_ROWS, VECTORS, Tile
from hearth.compiler.gpu.kernels.weights import OCTETS
from hearth.quant.formats import PLANE_COLUMNS

COLUMNS = PLANE_COLUMNS
_QUADS = COLUMNS // 4
_WEIGHTS = TILE_ROWS * _QUADS  # where weights begin in the memory of the tile
assert (ACROSS, ROWS) == (_QUADS, 4)  # invocations beside each other load the quads of a row


class FloatTile:
    """Multiplies `COLUMNS` columns after the other."""

    memory_dtype = "float32x4"
    columns = COLUMNS

    def __init__(self, tile: Tile) -> None:
        self.tile, k, x = tile, tile.k, tile.x
        self._rows = [x.start(tile.first_row + tile.down + i * DOWN) for i in range(ROWS)]
        self._squares = [] if x.spec.norm is None else [k.register("float32", f32(0.0)) for _ in range(ROWS)]

    def stage(self, index: Expr) -> None:
        """Puts the activations and weights of columns `COLUMNS * index` on into the tile's memory."""
        tile, k = self.tile, self.tile.k
        for i, values in enumerate(tile.x.load(self._rows, index * _QUADS + tile.across, self._squares)):
            tile.put(_activation(tile.down, tile.across) + i * DOWN * _QUADS, values)
        # Each invocation takes 4 columns of 4 weight rows apart.
        weight, fmt = tile.weight, tile.weight.fmt
        quad = k.let(div(k.thread, VECTORS), "quad")
        group, octet = weight.group(tile.start, index), k.let(div(quad, 2), "octet")
        numbers = group.octet(octet).columns(k.let(mod(quad, 2), "half"))
        scale, offset = (None, None) if fmt.is_float else group.scale(div(octet, OCTETS // weight.spans))
        own = tile.vector(div(tile.place, QUARTERS), mod(tile.place, QUARTERS))
        at = k.let(_WEIGHTS + quad * 4 * VECTORS + own, "at")
        for b, column in enumerate(numbers):
            value = column()
            if scale is not None:
                value = value * scale if offset is None else fma(value, scale, offset, 4)
            tile.put(at + b * VECTORS, value)

    def multiply(self) -> None:
        """Adds the products of what is in the tile's memory."""
        tile, k = self.tile, self.tile.k
        with k.loop(0, _QUADS) as quad:
            turned = k.let(_activation(tile.down, quad), "a")
            rows = [tile.get(turned + i * DOWN * _QUADS) for i in range(ROWS)]
            for b in range(4):
                at = k.let(_WEIGHTS + (quad * 4 + b) * VECTORS + tile.across, "b")
                weights = [tile.get(at + half * ACROSS) for half in range(2)]
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


def _activation(row: Expr, quad: Expr) -> Expr:
    """Where 4 columns of a row lie: quads of neighbouring rows stand turned, so that they are in different banks."""
    return row * _QUADS + tirx.bitwise_xor(quad, mod(row, _QUADS))
