"""Products of many rows of activations: what reading a prompt does, bound by arithmetic.

A workgroup makes a tile of 64 rows by 64 outputs, an invocation 4 rows by 8 outputs of it from registers. In the end
the tile itself takes the place of the operands in workgroup memory, so that what becomes of a sum is written down once,
for whole blocks of outputs of a row.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.gpu.features import CORE, Features
from hearth.compiler.gpu.kernels.activations import Activations
from hearth.compiler.gpu.kernels.builder import Expr, GpuKernel, div, i32, lane, mod, splat
from hearth.compiler.gpu.kernels.product_output import QUARTERS, Largest, Output, ProductSpec
from hearth.compiler.gpu.kernels.tile import ACROSS, DOWN, ROWS, THREADS, TILE_BLOCKS, TILE_ROWS, VECTORS, Tile
from hearth.compiler.gpu.kernels.tile_bytes import ByteTile
from hearth.compiler.gpu.kernels.tile_float import FloatTile, HalfTile
from hearth.compiler.gpu.kernels.weights import Weight

DOT4, F16 = Features(dot4=True), Features(f16=True)


@dataclass(frozen=True)
class ManyRowsSpec:
    product: ProductSpec

    @property
    def name(self) -> str:
        return f"tile{TILE_ROWS}_{self.product.name}"

    @property
    def unit_blocks(self) -> int:
        """Blocks of 16 outputs in a tile."""
        return TILE_BLOCKS // self.product.parts

    @property
    def variants(self) -> list[Features]:
        """What there are kernels for, the core first: floats cannot be multiplied as bytes, and whoever keeps weights
        as f32 does not want them shorter."""
        fmt = self.product.fmt
        return [CORE, *([] if fmt.is_float else [DOT4]), *([] if fmt.bits == 32 else [F16])]


def many_rows(spec: ManyRowsSpec, features: Features = CORE) -> GpuKernel:
    """Y = X W^T and what follows.

    Buffers: W, packed; those of `Activations`; those of `Output`. Scalars: those of `Activations`; blocks: column
    blocks in a row of W; height: blocks of 16 rows in W; those of `Output`.
    Units: ceil(m / TILE_ROWS) times ceil(height / TILE_BLOCKS).

    Args:
        features: with `dot4` activations are rounded to bytes (tile_bytes.py), with `f16` operands to 16-bit floats.
    """
    k, product = GpuKernel(spec.name, threads=THREADS, features=features), spec.product
    how = ByteTile if features.dot4 else HalfTile if features.f16 else FloatTile
    weight = Weight(k, "W", product.fmt, lanes=4, as_stored=features.dot4)
    x = Activations(k, product)
    output = Output(k, product)
    x.scalars()
    weight.scalars()
    height = k.scalar("height")
    output.scalars()

    tile = Tile.begin(k, x, weight, how.memory_dtype, height)
    arithmetic = how(tile)
    with k.loop(0, div(x.columns + (how.columns - 1), how.columns)) as index:
        arithmetic.stage(index)
        k.barrier()
        arithmetic.multiply(index)
        k.barrier()
    if product.norm is not None:
        arithmetic.share_squares()
        k.barrier()
        factors = x.factor(arithmetic.squares(), ROWS)
        for i, row in enumerate(tile.sums):
            for total in row:
                total.set(total.get() * splat(lane(factors, i)))
        k.barrier()
    for i, row in enumerate(tile.sums):
        for half, total in enumerate(row):
            tile.put((tile.down + i * DOWN) * VECTORS + half * ACROSS + tile.across, total.get())
    k.barrier()
    with k.loop(k.thread, i32(TILE_ROWS * spec.unit_blocks), THREADS) as i:
        row, own = k.let(div(i, spec.unit_blocks), "row"), k.let(mod(i, spec.unit_blocks), "own")
        block = k.let(div(tile.first_block, product.parts) + own, "block")
        with k.when(tirx.And(tile.first_row + row < x.m, block < div(height, product.parts))):
            _store_block(output, tile, row, own, block)
    return k


def _store_block(output: Output, tile: Tile, row: Expr, own: Expr, block: Expr) -> None:
    """16 outputs of a row, a quarter after the other.

    Args:
        own: which block of the tile's outputs; block: which of all.
    """
    k, parts = tile.k, output.spec.parts
    largest = Largest(k, output) if output.spec.epilogue == "logits" else None
    with k.loop(0, i32(QUARTERS)) as quarter:
        at = [row * VECTORS + tile.vector(own * parts + part, quarter) for part in range(parts)]
        values = [
            tile.weight.row_scaled(tile.get(place), block * parts + part, quarter) for part, place in enumerate(at)
        ]
        stored = output.store(tile.first_row + row, block, quarter, values)
        if largest is not None:
            largest.see(block, quarter, stored)
    if largest is not None:
        largest.store(tile.first_row + row, block)
