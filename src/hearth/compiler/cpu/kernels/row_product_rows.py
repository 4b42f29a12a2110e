"""Products with a scale a row (row_product.py) whose outputs are rows of bytes, ready for the next product.

A row's scale is that of its largest output, so whoever computes a row must compute all of it: an item is a tile of rows
times the whole weight, which the second-level cache should hold. The tile's outputs stand in scratch as f32 until its
last unit is done. Where numbers are made to be multiplied again that spares a step, and 7 of 8 bytes on the
way to memory and back: an f32 map is four times what its bytes are, and is written, read, and read as a residual.

The bytes are those that `prepare_rows` makes of the f32 outputs of `row_product`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hearth.compiler.cpu.kernels import amx
from hearth.compiler.cpu.kernels.builder import Expr, Kernel
from hearth.compiler.cpu.kernels.prepare_rows import RowBytes, RowSign, read, rotate_row, round_row, row_scale
from hearth.compiler.cpu.kernels.row_epilogue import Epilogue
from hearth.compiler.cpu.kernels.row_product import RowProductSpec
from hearth.compiler.cpu.kernels.row_tiles import RowTiles
from hearth.compiler.cpu.kernels.row_weight import RowWeight, quotient
from hearth.compiler.cpu.kernels.tiles import MAX_ROWS, UNIT_BLOCKS
from hearth.quant.formats import LANES, round_up

MOST_COLUMNS = 4096
"""Outputs of a row: scratch holds a tile's."""
MOST_WEIGHT_BYTES = 1 << 20
"""Of a weight, which is gone through once for each tile."""


@dataclass(frozen=True)
class RowProductRowsSpec:
    """Which product.

    Attributes:
        product: the product itself.
        sign: of its outputs.
        rotated: of its outputs, as `RowPrepareSpec.rotated`.
    """

    product: RowProductSpec
    sign: RowSign
    rotated: int = 1

    @property
    def name(self) -> str:
        return f"{self.product.name}_to_{self.sign}" + (f"_rotated{self.rotated}" if self.rotated > 1 else "")

    def scratch_bytes(self, kp: int, columns: int) -> int:
        """Scratch that the kernel uses with `columns` outputs in a row, the same for every instruction set."""
        row = 4 * round_up(columns, LANES)
        return self.product.scratch_bytes(kp) + MAX_ROWS * (row + 4)


def row_product_rows(spec: RowProductRowsSpec) -> Kernel:
    """Buffers: W u8; AQ int8 [m][kp], AS f32 [m]; [bias f32]; [gamma f32]; [residual f32 [m][blocks * 16] (half with a
    gate), or RQ int8 [m][ld], RS f32 [m]]; YQ int8 [m][ld], YS f32 [m].
    Scalars: m, kp, blocks (of 16 weight rows), columns (true outputs), ld (a multiple of 32), shares. Unit: one of
    `shares` equal shares of the work."""
    product = spec.product
    k = Kernel(spec.name, reload_constants=True)
    w = RowWeight(k, product.fmt, product.isa, product.sign)
    activations = k.view(k.buffer("AQ", "int8"), "int32")
    epilogue = Epilogue(k, product)
    quantised, scales = k.buffer("YQ", "int8"), k.buffer("YS", "float32")
    m, kp, blocks, columns, ld, shares = (k.scalar(n) for n in ("m", "kp", "blocks", "columns", "ld", "shares"))
    w.measure(kp)
    tiles = RowTiles(k, product.isa, activations, m, kp)

    units = k.let(quotient(blocks + (UNIT_BLOCKS - 1), UNIT_BLOCKS), "units")
    width = k.let(quotient(blocks, 2 if product.gated else 1) * LANES, "width")
    residual_ld = width if product.add in ("", "float") else ld
    kept = k.scratch("float32")
    inverses = k.let(quotient(w.scratch_bytes(), 4), "inverses")
    behind = k.let(inverses + MAX_ROWS, "behind")
    form = RowBytes.of(product.isa, spec.sign)

    with k.loop(*(k.let(quotient(bound * tiles.count, shares), "tile") for bound in (k.begin, k.end))) as tile:
        begin, end = tiles.row(tile), tiles.row(k.let(tile + 1, "next"))

        def place(row: Expr, begin: Expr = begin) -> Expr:
            return behind + (row - begin) * width

        def look_ahead(unit: Expr, end: Expr = end) -> None:
            epilogue.look_ahead(end, tiles.most, residual_ld, unit, units)

        def store(row: Expr, block: Expr, value: Expr) -> None:
            k.store(kept, k.let(place(row) + block * LANES, "at"), value)

        def finish(row: Expr, rows: Expr, first: Expr, last: Expr) -> None:
            epilogue.finish(w, row, rows, first, last, residual_ld, store)

        tiles.run_units(w, epilogue.sums, tile, blocks, look_ahead, finish)

        def row_value(row: Expr) -> Callable[[Expr, int], Expr]:
            return read(k, kept, k.let(place(row), "at"))

        # Scales of all rows first: each is a chain of steps that wait for each other.
        with k.loop(begin, end) as row:
            if spec.rotated > 1:
                rotate_row(k, spec.rotated, row_value(row), columns, kept, place(row))
            scale, inverse = row_scale(k, form, row_value(row), columns)
            k.store(scales, row, scale)
            k.store(kept, inverses + row - begin, inverse)
        with k.loop(begin, end) as row:
            inverse = k.let(kept.load(inverses + row - begin), "inverse")
            round_row(k, form, row_value(row), columns, inverse, quantised, k.let(row * ld, "to"), ld)
    if product.isa.matrix == "amx":
        amx.release(k)
    return k
