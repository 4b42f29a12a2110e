"""How the rows of activations of a product with a scale a row (row_product.py) are cut into tiles, and the loop over
those of a stretch."""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx

from hearth.compiler.cpu.kernels import amx, tiles
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, i64
from hearth.compiler.cpu.kernels.row_weight import AHEAD_TILES, RowWeight, quotient
from hearth.compiler.cpu.kernels.tiles import UNIT_BLOCKS, Operands
from hearth.compiler.cpu.targets import Isa

Compute = Callable[[Operands], None]
"""Writes out the sums of a tile."""


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
            rows = k.opaque(self.size + 1 - sizes, "rows")
            begin = k.opaque(tirx.Select(sizes < i64(1), bounds[0], tirx.max(bounds[0], self.larger)), "begin")
            end = k.opaque(tirx.Select(sizes < i64(1), tirx.min(bounds[1], self.larger), bounds[1]), "end")

            def run(compute: Compute, begin: Expr = begin, end: Expr = end, rows: Expr = rows) -> None:
                with k.loop(begin, tirx.max(begin, end)) as number:
                    row = self.row(number)
                    part = tirx.min(number - bounds[0], i64(AHEAD_TILES - 1))
                    compute(self._operands(w, row, bases, sums, w.look_ahead(part, self.quads)))
                    finish(row, rows)

            with k.when(end > begin):
                self._each_size(rows, run)

    def run_units(
        self, w: RowWeight, sums: Memory, tile: Expr, blocks: Expr, begin: Callable[[Expr], None],
        finish: Callable[[Expr, Expr, Expr, Expr], None],
    ) -> None:  # fmt: skip
        """Sums of one tile with all units of the weight: for each begin(unit), then finish(first row, rows, first
        block, end of blocks)."""
        k = self.k
        row = self.row(tile)
        rows = k.opaque(self.size + tirx.Select(tile < self.larger, i64(1), i64(0)), "rows")
        units = k.let(quotient(blocks + (UNIT_BLOCKS - 1), UNIT_BLOCKS), "units")

        def run(compute: Compute) -> None:
            with k.loop(0, units) as unit:
                begin(unit)
                first = k.let(unit * UNIT_BLOCKS, "first")
                last = k.let(tirx.min(first + UNIT_BLOCKS, blocks), "last")
                compute(self._operands(w, row, w.open(first, last), sums, lambda quad, count: None))
                finish(row, rows, first, last)

        self._each_size(rows, run)

    def _operands(
        self, w: RowWeight, row: Expr, bases: list[Expr], sums: Memory, ahead: Callable[[Expr, int], None]
    ) -> Operands:
        word = self.k.let(row * self.quads, "word")
        positive = w.sign == "positive"
        return Operands(
            self.activations, word, self.quads, w.quads, bases, w.starts(), sums, ahead, w.steps(), positive=positive
        )

    def _each_size(self, rows: Expr, run: Callable[[Compute], None]) -> None:
        """Writes out what `run` does for tiles of each number of rows, 1 at least; by the matrix unit once, if there is
        one, for all but few rows."""
        k, isa = self.k, self.isa
        most = isa.tile[0]
        if isa.matrix is not None:
            most = amx.FEW_ROWS
            with k.when(rows > i64(most)):
                halves = amx.configure(k, rows, self.quads)
                run(lambda x: amx.compute(k, halves, x))
        for count in range(1, most + 1):

            def compute(x: Operands, count: int = count) -> None:
                tiles.tile(isa, k, count, x)

            with k.when(tirx.EQ(rows, i64(count))):
                run(compute)
