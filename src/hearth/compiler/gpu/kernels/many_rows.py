"""Products of many rows of activations: what reading a prompt does, bound by arithmetic.

A workgroup makes a tile of 64 rows by 64 outputs. For 32 columns at a time it puts the activations and the weights, as
f32, into workgroup memory, so that each weight is taken apart once for 64 rows; an invocation then multiplies 4 rows by
8 outputs from registers. In the end the tile itself takes the place of the operands there, so that what becomes of a
sum is written down once, for whole blocks of outputs of a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from tvm import tirx

from hearth.compiler.gpu.kernels.activations import Activations
from hearth.compiler.gpu.kernels.builder import (
    Expr,
    GpuKernel,
    Memory,
    Register,
    builtin,
    div,
    f32,
    fma,
    i32,
    lane,
    mod,
    splat,
    vector,
)
from hearth.compiler.gpu.kernels.product_output import QUARTERS, Largest, Output, ProductSpec
from hearth.compiler.gpu.kernels.weights import OCTETS, Weight
from hearth.quant.formats import PLANE_COLUMNS

TILE_ROWS = 64
TILE_BLOCKS = 4
"""Blocks of 16 weight rows in a tile."""
_THREADS = 128
_QUADS = PLANE_COLUMNS // 4
_TILE_VECTORS = TILE_BLOCKS * QUARTERS
# Invocations beside each other: each multiplies a quarter of two blocks. They load the quads of a row, too.
_ACROSS = _TILE_VECTORS // 2
_DOWN = _THREADS // _ACROSS
_ROWS = TILE_ROWS // _DOWN  # rows of an invocation, `_DOWN` apart
assert (_ACROSS, _ROWS) == (_QUADS, 4)
_WEIGHTS = TILE_ROWS * _QUADS  # where weights begin in the memory of the tile


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


def many_rows(spec: ManyRowsSpec) -> GpuKernel:
    """Y = X W^T and what follows.

    Buffers: W, packed; those of `Activations`; those of `Output`. Scalars: those of `Activations`; blocks: column
    blocks in a row of W; height: blocks of 16 rows in W; those of `Output`.
    Units: ceil(m / TILE_ROWS) times ceil(height / TILE_BLOCKS).
    """
    k, product = GpuKernel(spec.name, threads=_THREADS), spec.product
    weight = Weight(k, "W", product.fmt, lanes=4)
    x = Activations(k, product)
    output = Output(k, product)
    x.scalars()
    blocks, height = k.scalar("blocks"), k.scalar("height")
    output.scalars()

    tiles = k.let(div(x.m + (TILE_ROWS - 1), TILE_ROWS), "tiles")
    first_row, tile = k.let(mod(k.group, tiles) * TILE_ROWS, "row"), k.let(div(k.group, tiles), "tile")
    first_block = k.let(tile * TILE_BLOCKS, "block")
    memory = k.workgroup(TILE_ROWS * _QUADS + PLANE_COLUMNS * _TILE_VECTORS, "float32x4", "tile")
    across, down = k.let(mod(k.thread, _ACROSS), "across"), k.let(div(k.thread, _ACROSS), "down")
    sums = [[k.register("float32x4", f32(0.0, 4)) for _ in range(2)] for _ in range(_ROWS)]
    squares = [k.register("float32", f32(0.0)) for _ in range(_ROWS)] if product.norm is not None else []

    rows = [x.start(first_row + down + i * _DOWN) for i in range(_ROWS)]
    place = k.let(mod(k.thread, _TILE_VECTORS), "place")
    weight.place(k.let(mod(place, QUARTERS), "quarter"))
    block = builtin("min", "int32", first_block + div(place, QUARTERS), height - 1)
    start = k.let(block * weight.block_elements(blocks), "start")
    with k.loop(0, div(x.columns + (PLANE_COLUMNS - 1), PLANE_COLUMNS)) as index:
        for i, values in enumerate(x.load(rows, index * _QUADS + across, squares)):
            k.store(memory, _activation(down, across) + i * _DOWN * _QUADS, values)
        _store_weights(k, weight, start, index, memory, place)
        k.barrier()
        _multiply(k, memory, across, down, sums)
        k.barrier()

    if squares:
        _norm(k, x, memory, down, squares, sums)
    for i, row in enumerate(sums):
        for half, total in enumerate(row):
            k.store(memory, (down + i * _DOWN) * _TILE_VECTORS + half * _ACROSS + across, total.get())
    k.barrier()
    per_row = spec.unit_blocks
    with k.loop(k.thread, TILE_ROWS * per_row, _THREADS) as i:
        row, own = k.let(div(i, per_row), "row"), k.let(mod(i, per_row), "own")
        block = k.let(div(first_block, product.parts) + own, "block")
        inside = tirx.And(first_row + row < x.m, block < div(height, product.parts))
        with k.when(inside):
            _store_block(k, output, memory, row, own, first_row + row, block)
    return k


def _norm(
    k: GpuKernel, x: Activations, memory: Memory, down: Expr, squares: list[Register], sums: list[list[Register]]
) -> None:
    """Multiplies sums by the factors of their rows, whose squares the invocations beside each other have a share of."""
    k.store(memory, k.thread, vector(*[square.get() for square in squares]))
    k.barrier()
    shares = [memory.load(down * _ACROSS + i) for i in range(_ACROSS)]
    factors = x.factor(k.let(reduce(lambda a, b: a + b, shares), "squares"), _ROWS)
    for i, row in enumerate(sums):
        for total in row:
            total.set(total.get() * splat(lane(factors, i)))
    k.barrier()


def _activation(row: Expr, quad: Expr) -> Expr:
    """Where 4 columns of a row lie: quads of neighbouring rows stand turned, so that they are in different banks."""
    return row * _QUADS + tirx.bitwise_xor(quad, mod(row, _QUADS))


def _vector(block: Expr) -> Expr:
    """Where the first quarter of a block of weight rows lies among the vectors of a column: even blocks before odd
    ones, so that what invocations side by side read is contiguous."""
    return mod(block, 2) * _ACROSS + div(block, 2) * QUARTERS


def _store_weights(k: GpuKernel, weight: Weight, start: Expr, index: Expr, memory: Memory, place: Expr) -> None:
    """Each invocation takes 4 columns of 4 weight rows apart."""
    fmt = weight.fmt
    quad = k.let(div(k.thread, _TILE_VECTORS), "quad")
    group = weight.group(start, index)
    octet = k.let(div(quad, 2), "octet")
    numbers = group.octet(octet).columns(k.let(mod(quad, 2), "half"))
    if not fmt.is_float:
        spans = PLANE_COLUMNS // fmt.group_columns
        scale, offset = group.scale(div(octet, OCTETS // spans) if spans > 1 else 0)
    at = k.let(_WEIGHTS + quad * 4 * _TILE_VECTORS + _vector(div(place, QUARTERS)) + mod(place, QUARTERS), "at")
    for b, column in enumerate(numbers):
        value = column()
        if not fmt.is_float:
            value = fma(value, scale, offset, 4) if offset is not None else value * scale
        k.store(memory, at + b * _TILE_VECTORS, value)


def _multiply(k: GpuKernel, memory: Memory, across: Expr, down: Expr, sums: list[list[Register]]) -> None:
    """Adds the products of the 32 columns that are in workgroup memory."""
    with k.loop(0, _QUADS) as quad:
        turned = k.let(_activation(down, quad), "a")
        rows = [k.let(memory.load(turned + i * _DOWN * _QUADS), "x") for i in range(_ROWS)]
        for b in range(4):
            at = k.let(_WEIGHTS + (quad * 4 + b) * _TILE_VECTORS + across, "b")
            weights = [k.let(memory.load(at + half * _ACROSS), "w") for half in range(2)]
            for values, row in zip(rows, sums, strict=True):
                for numbers, total in zip(weights, row, strict=True):
                    total.set(fma(splat(lane(values, b)), numbers, total.get(), 4))


def _store_block(k: GpuKernel, output: Output, memory: Memory, row: Expr, own: Expr, to_row: Expr, block: Expr) -> None:
    """16 outputs of a row, a quarter after the other."""
    parts = output.spec.parts
    at = [k.let(row * _TILE_VECTORS + _vector(own * parts + part), "at") for part in range(parts)]
    largest = Largest(k, output) if output.spec.epilogue == "logits" else None
    with k.loop(0, i32(QUARTERS)) as quarter:
        values = [k.let(memory.load(start + quarter), "value") for start in at]
        stored = output.store(to_row, block, quarter, values)
        if largest is not None:
            largest.see(block, quarter, stored)
    if largest is not None:
        largest.store(to_row, block)
