"""How the rows of activations of a product with a scale a row (row_product.py) are cut into tiles, and the loop over
those of a stretch."""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx

from hearth.compiler.cpu.kernels import amx, tiles
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, i64
from hearth.compiler.cpu.kernels.row_weight import AHEAD_TILES, RowWeight, quotient
from hearth.compiler.cpu.kernels.tiles import Operands
from hearth.compiler.cpu.targets import Isa


class RowTiles:
    """Tiles of two sizes, one row apart, the larger ones first, rather than full ones and a small rest.

    Attributes:
        count: of tiles.
    """

    def __init__(self, k: Kernel, isa: Isa, activations: Memory, m: Expr, kp: Expr) -> None:
        """Args: activations: as int32, [m][kp / 4]."""
        self.k, self.isa, self.activations = k, isa, activations
        self.quads = k.let(quotient(kp, 4), "quads")
        self.most = isa.tile[0]
        self.count = k.let(quotient(m + (self.most - 1), self.most), "count")
        self.size = k.let(quotient(m, tirx.max(self.count, i64(1))), "size")
        self.larger = k.let(m - self.count * self.size, "larger")

    def row(self, tile: Expr) -> Expr:
        """The first row of a tile."""
        return self.k.let(tile * self.size + tirx.min(tile, self.larger), "row")

    def run(
        self, w: RowWeight, bases: list[Expr], sums: Memory, bounds: list[Expr], finish: Callable[[Expr, Expr], None]
    ) -> None:
        """Sums of the tiles [bounds[0], bounds[1]) with a unit of the weight, and finish(first row, rows) after each.

        Args:
            bases: of the unit's blocks, from `w.open`.
            sums: scratch, as int32.
        """
        k = self.k
        with k.loop(0, 2) as sizes:
            rows = k.let(self.size + 1 - sizes, "rows")
            begin = k.let(tirx.Select(sizes < i64(1), bounds[0], tirx.max(bounds[0], self.larger)), "begin")
            end = k.let(tirx.Select(sizes < i64(1), tirx.min(bounds[1], self.larger), bounds[1]), "end")

            def run(
                compute: Callable[[Operands], None], begin: Expr = begin, end: Expr = end, rows: Expr = rows
            ) -> None:
                with k.loop(begin, tirx.max(begin, end)) as number:
                    row = self.row(number)
                    word = k.let(row * self.quads, "word")
                    ahead = w.look_ahead(tirx.min(number - bounds[0], i64(AHEAD_TILES - 1)), self.quads)
                    compute(
                        Operands(
                            self.activations, word, self.quads, w.quads, bases, w.starts(), sums, ahead, w.steps(),
                            positive=w.sign == "positive",
                        )
                    )  # fmt: skip
                    finish(row, rows)

            self._tiles(rows, end > begin, run)

    def _tiles(self, rows: Expr, some: Expr, run: Callable[[Callable[[Operands], None]], None]) -> None:
        """Runs tiles of so many rows by the matrix unit, or the vectors where there is none or there are few rows.

        Args:
            some: whether there are any tiles.
        """
        k, isa = self.k, self.isa
        if isa.matrix is None:
            run(lambda x: tiles.compute(isa, k, rows, x, isa.tile[0]))
            return
        with k.when(tirx.And(some, rows > i64(amx.FEW_ROWS))):
            halves = amx.configure(k, rows, self.quads)
            run(lambda x: amx.compute(k, halves, x))
        with k.when(rows <= i64(amx.FEW_ROWS)):
            run(lambda x: tiles.compute(isa, k, rows, x, amx.FEW_ROWS))
