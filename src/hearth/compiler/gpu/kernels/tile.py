"""A workgroup's tile of a product of many rows: who makes which of its outputs, and where what lies in its memory."""

from __future__ import annotations

from dataclasses import dataclass

from hearth.compiler.gpu.kernels.activations import Activations
from hearth.compiler.gpu.kernels.builder import (
    Expr,
    GpuKernel,
    Memory,
    Register,
    bitcast,
    builtin,
    div,
    f32,
    lane,
    mod,
    vector,
)
from hearth.compiler.gpu.kernels.product_output import QUARTERS
from hearth.compiler.gpu.kernels.weights import Weight

TILE_ROWS = 64
TILE_BLOCKS = 4
"""Blocks of 16 weight rows in a tile."""
THREADS = 128
VECTORS = TILE_BLOCKS * QUARTERS
"""Vectors of 4 outputs in a row of a tile."""
ACROSS = VECTORS // 2
"""Invocations beside each other: each makes a quarter of two blocks."""
DOWN = THREADS // ACROSS
ROWS = TILE_ROWS // DOWN
"""Rows of an invocation, `DOWN` apart."""
_SIZES = {"float32x4": TILE_ROWS * VECTORS, "uint32x4": TILE_ROWS * VECTORS, "uint32x2": 2 * TILE_ROWS * VECTORS}


@dataclass(frozen=True)
class Tile:
    """What an invocation knows of its tile.

    Attributes:
        memory: of the workgroup: 16 KiB, of vectors of f32 or u32. Operands lie in it while there are columns, then the
            outputs.
        first_row, first_block: of the activations and of the weight: where the tile begins.
        across, down: where the invocation's outputs are: rows `down + i * DOWN` for i in range(ROWS).
        sums: its outputs by row: two vectors of 4.
        place: whose weights it takes apart: a quarter (`place` mod 4) of a block of the tile; they begin at `start`.
    """

    k: GpuKernel
    x: Activations
    weight: Weight
    memory: Memory
    first_row: Expr
    first_block: Expr
    across: Expr
    down: Expr
    sums: list[list[Register]]
    place: Expr
    start: Expr

    @classmethod
    def begin(cls, k: GpuKernel, x: Activations, weight: Weight, dtype: str, height: Expr) -> Tile:
        """
        Args:
            dtype: of the memory: float32x4, uint32x4 or uint32x2.
            height: blocks of 16 rows of the weight.
        """
        tiles = k.let(div(x.m + (TILE_ROWS - 1), TILE_ROWS), "tiles")
        first_row = k.let(mod(k.group, tiles) * TILE_ROWS, "first_row")
        first_block = k.let(div(k.group, tiles) * TILE_BLOCKS, "first_block")
        place = k.let(mod(k.thread, VECTORS), "place")
        weight.place(k.let(mod(place, QUARTERS), "quarter"))
        block = builtin("min", "int32", first_block + div(place, QUARTERS), height - 1)
        return cls(
            k, x, weight, k.workgroup(_SIZES[dtype], dtype, "tile"), first_row, first_block,
            across=k.let(mod(k.thread, ACROSS), "across"),
            down=k.let(div(k.thread, ACROSS), "down"),
            sums=[[k.register("float32x4", f32(0.0, 4)) for _ in range(2)] for _ in range(ROWS)],
            place=place,
            start=weight.start(block),
        )  # fmt: skip

    def put(self, at: Expr, values: Expr) -> None:
        """Stores 4 floats, whatever the memory is made of; `at` counts fours."""
        k = self.k
        if self.memory.dtype == "float32x4":
            return k.store(self.memory, at, values)
        words = k.let(bitcast("uint32", values, 4), "words")
        if self.memory.dtype == "uint32x4":
            return k.store(self.memory, at, words)
        for half in range(2):
            k.store(self.memory, at * 2 + half, vector(lane(words, 2 * half), lane(words, 2 * half + 1)))

    def get(self, at: Expr) -> Expr:
        """4 floats that were put there."""
        k = self.k
        if self.memory.dtype == "float32x4":
            return k.let(self.memory.load(at), "values")
        if self.memory.dtype == "uint32x4":
            return k.let(bitcast("float32", self.memory.load(at), 4), "values")
        halves = [k.let(self.memory.load(at * 2 + half), "words") for half in range(2)]
        return k.let(bitcast("float32", vector(*[lane(halves[i // 2], i % 2) for i in range(4)]), 4), "values")

    def vector(self, block: Expr, quarter: Expr) -> Expr:
        """Where 4 outputs stand in a row of the tile: even blocks before odd ones, so that what invocations beside each
        other read is contiguous."""
        return mod(block, 2) * ACROSS + div(block, 2) * QUARTERS + quarter
