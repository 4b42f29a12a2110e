"""Products of a few rows of activations: what decoding does, bound by how fast weights are read.

A workgroup makes a block of 16 outputs (of which each needs all of K) for up to `rows` rows. An invocation takes 4 of
the block's weight rows and every so many groups of 32 columns: what 4 invocations side by side load is contiguous, each
byte of the weight is loaded once, and an activation serves 4 weight rows from a register. Sums of invocations meet in
workgroup memory at the end, in an order that depends on the number of invocations alone: a row has the same bits by
itself and among others.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.gpu.kernels.activations import Activations
from hearth.compiler.gpu.kernels.builder import (
    Expr,
    GpuKernel,
    Memory,
    Register,
    div,
    dot,
    f32,
    fma,
    i32,
    lane,
    mod,
    splat,
)
from hearth.compiler.gpu.kernels.experts import TILE_FIELDS
from hearth.compiler.gpu.kernels.meeting import Meeting
from hearth.compiler.gpu.kernels.product_output import QUARTERS, BlockSquares, Largest, Noted, Output, ProductSpec
from hearth.compiler.gpu.kernels.weights import OCTETS, Group, Octet, Weight
from hearth.quant.formats import PLANE_COLUMNS, Format

# With so many blocks of outputs there are workgroups enough, so that each may be small and sum up most by itself.
_MANY_BLOCKS, _SOME_BLOCKS = 512, 256
_MEETING_BYTES = 8 << 10  # of workgroup memory, for sums that meet


@dataclass(frozen=True)
class FewRowsSpec:
    """Attributes:
    rows: of activations that a workgroup multiplies, at most.
    threads: invocations of a workgroup: 64, 128 or 256.
    weights: parts of the weight, each a buffer.
    formats: of several weights, where there are such, whose outputs follow each other; else none.
    experts: the weight is a stack of matrices, and rows are those of pairs (`experts.py`): of one pair, or of several
        of one expert.
        heads: the weight is a stack of matrices, one for each head, and rows of activations are [token][head].
    """

    product: ProductSpec
    rows: int = 1
    threads: int = 64
    weights: int = 1
    experts: bool = False
    heads: bool = False
    formats: tuple[Format, ...] = ()

    @property
    def name(self) -> str:
        name = f"rows{self.rows}x{self.threads}_{self.product.name}"
        others = [fmt.kernel_layout for fmt in self.formats[1:]]
        stacks = ["experts"] * self.experts + ["heads"] * self.heads
        return "_".join([name, *stacks, *([f"of{self.weights}"] * (self.weights > 1)), *others])


def threads_for(blocks: int) -> int:
    """Invocations of a workgroup, for so many blocks of outputs: the fewer there are, the more must share one. As many
    for one row as for a few, so that a row has the same bits among others."""
    return 64 if blocks >= _MANY_BLOCKS else 128 if blocks >= _SOME_BLOCKS else 256


def few_rows(spec: FewRowsSpec) -> GpuKernel:
    """Y = X W^T and what follows.

    Buffers: W, packed, in parts of `height` blocks of 16 rows; those of `Activations`; [with experts `whose`: for one
    row the expert of each pair i32 [m], else i32 [m][TILE_FIELDS]]; those of `Output`. Scalars: those of `Activations`;
    blocks: column blocks in a row of W; height, or both of each of several weights; those of `Output`; [with experts
    those of `_of_experts`, with heads those of `_of_heads`].
    Units: blocks of 16 outputs times ceil(m / rows); with experts m is how many pairs or tiles there are: times m.
    """
    k = GpuKernel(spec.name, threads=spec.threads)
    product = spec.product
    weights = [Weight(k, f"W{i}", fmt, lanes=4) for i, fmt in enumerate(spec.formats)]
    weights = weights or Weight.parts(k, "W", product.fmt, lanes=4, count=spec.weights)
    x = Activations(k, product)
    whose = k.buffer("whose", "int32") if spec.experts else None
    output = Output(k, product)
    x.scalars()
    if spec.formats:
        heights = [Weight.scalars_of([weight]) for weight in weights]
    else:
        heights = [Weight.scalars_of(weights)] * len(weights)
    output.scalars()

    if spec.heads:
        at = _of_heads(k, spec, x, output)
    else:
        at = _of_rows(k, spec, x) if whose is None else _of_experts(k, spec, x, whose)
    block, first_row, end, output.bias_first = at.block, at.first_row, at.end, at.matrix
    quarter, slot = k.let(mod(k.thread, QUARTERS), "quarter"), k.let(div(k.thread, QUARTERS), "slot")
    if product.carried is not None:
        assert spec.rows == 1
        x.carry(k.let(tirx.And(tirx.EQ(output.first + block, 0), tirx.EQ(quarter, 0)), "leaves"))
    rows = _Rows(x, [x.start(row) for row in at.sources])
    sums = [[_zeros(k) for _ in range(product.parts)] for _ in range(spec.rows)]
    first_block = k.let((at.matrix + block) * product.parts - at.begin, "first_block")
    if spec.experts:  # of matrices that this step is not given nothing is stored
        given = tirx.And(first_block >= 0, first_block < heights[0] * len(weights))
        end = k.let(tirx.Select(given, end, first_row), "end")
    for number, (weight, height) in enumerate(zip(weights, heights, strict=True)):
        weight.place(quarter)
        own = k.let(first_block - sum(heights[:number]), "own")
        # A workgroup's outputs are of one part.
        there = tirx.And(first_row < end, tirx.And(own >= 0, own < height))
        with k.when(there) if spec.experts or len(weights) > 1 else nullcontext():
            starts = [weight.start(own + part) for part in range(product.parts)]
            groups = div(x.columns + (PLANE_COLUMNS - 1), PLANE_COLUMNS)
            with k.loop(slot, groups, spec.threads // QUARTERS) as index:
                _multiply_group(k, spec, [weight.group(start, index) for start in starts], rows, index, sums)

    i = k.let(div(k.thread, QUARTERS), "i")
    totals, square = _meet(k, sums, rows.squares, i, quarter)
    quarters = Noted(k, output, spec.rows * QUARTERS) if product.epilogue == "logits" else None
    squares = BlockSquares(k, output, spec.rows * QUARTERS) if product.notes_squares else None
    with k.when(tirx.And(k.thread < spec.rows * QUARTERS, first_row + i < end)):
        values = [total.get() for total in totals]
        if square is not None:
            factor = x.factor(square.get())
            values = [k.let(value * splat(factor), "value") for value in values]
        # Formats with a scale a row are not in parts.
        values = [weights[0].row_scaled(v, block * product.parts + part, quarter) for part, v in enumerate(values)]
        stored = output.store(first_row + i, block, quarter, values)
        if quarters is not None:
            largest = Largest(k, output)
            largest.see(block, quarter, stored)
            quarters.note(k.thread, largest)
        if squares is not None:
            squares.note(k.thread, block, quarter, stored)
    if quarters is not None:
        k.barrier()
        with k.when(tirx.And(k.thread < spec.rows, first_row + k.thread < end)):
            quarters.meet(k.thread * QUARTERS, QUARTERS).store(first_row + k.thread, block)
    if squares is not None:
        k.barrier()
        with k.when(tirx.And(k.thread < spec.rows, first_row + k.thread < end)):
            squares.store(k.thread * QUARTERS, first_row + k.thread, block)
    return k


@dataclass(frozen=True)
class _Place:
    """What a workgroup makes.

    Attributes:
        block: of 16 outputs of the matrix.
        first_row, end: of the output.
        sources: rows of the activations that they are made of.
        matrix: blocks of outputs before those of the matrix, in a stack.
        begin: blocks of weights before those that the step is given.
    """

    block: Expr
    first_row: Expr
    end: Expr
    sources: list[Expr]
    matrix: Expr
    begin: Expr


def _of_rows(k: GpuKernel, spec: FewRowsSpec, x: Activations) -> _Place:
    tiles = k.let(div(x.m + (spec.rows - 1), spec.rows), "tiles")
    block, first_row = k.let(div(k.group, tiles), "block"), k.let(mod(k.group, tiles) * spec.rows, "first")
    return _Place(block, first_row, x.m, [first_row + i for i in range(spec.rows)], i32(0), i32(0))


def _of_heads(k: GpuKernel, spec: FewRowsSpec, x: Activations, output: Output) -> _Place:
    """Rows are tokens, of which each head has a row of X. Scalars: units: blocks of 16 outputs of a head; heads."""
    units, heads = k.scalar("units_of_head"), k.scalar("heads")
    tokens = k.let(div(x.m, heads), "tokens")
    tiles = k.let(div(tokens + (spec.rows - 1), spec.rows), "tiles")
    block, first_row = k.let(div(k.group, tiles), "block"), k.let(mod(k.group, tiles) * spec.rows, "first")
    head = k.let(div(output.first + block, units), "head")
    rows = [k.let(tirx.min(first_row + i, tokens - 1) * heads + head, "source") for i in range(spec.rows)]
    return _Place(block, first_row, tokens, rows, i32(0), i32(0))


def _of_experts(k: GpuKernel, spec: FewRowsSpec, x: Activations, whose: Memory) -> _Place:
    """Scalars: units: blocks of 16 outputs of an expert; begin: blocks of 16 rows of the stack before those that are
    given; used: of one row, pairs of a row of X."""
    units, begin, used = (k.scalar(name) for name in ("units_of_expert", "begin", "used"))
    block, tile = k.let(div(k.group, x.m), "block"), k.let(mod(k.group, x.m), "tile")
    if spec.rows == 1:
        expert, first_row, end = whose.load(tile), tile, tile + 1
        sources = [div(tile, used)]
    else:
        fields = [k.let(whose.load(tile * TILE_FIELDS + i), "field") for i in range(TILE_FIELDS)]
        expert, first_row, end = fields
        sources = [first_row + i for i in range(spec.rows)]
    x.m = k.let(tirx.max(end, 1), "last")  # rows behind a tile's last one are that again
    return _Place(block, first_row, end, sources, k.let(expert * units, "matrix"), begin)


def _meet(
    k: GpuKernel, sums: list[list[Register]], squares: list[Register], i: Expr, quarter: Expr
) -> tuple[list[Register], Register | None]:
    """The sums of row `i`, for the invocations that store them, and of its squares: as many rows at a time as there is
    memory for."""
    parts = len(sums[0])
    together = min(len(sums), _MEETING_BYTES // (16 * k.threads * parts))
    of_squares = Meeting(k, squares, "float32", QUARTERS) if squares else None
    totals, square = [_zeros(k) for _ in range(parts)], k.register("float32", f32(0.0)) if squares else None
    meeting: Meeting | None = None
    for first in range(0, len(sums), together):
        registers = [part for row in sums[first : first + together] for part in row]
        if meeting is None:
            meeting = Meeting(k, registers, "float32x4", QUARTERS)
        else:
            k.barrier()
            meeting.put(registers)
        k.barrier()
        meeting.fold()
        if of_squares is not None and first == 0:
            of_squares.fold()
        k.barrier()
        with k.when(tirx.And(i >= first, i < first + together)):
            for part, total in enumerate(totals):
                total.set(meeting.total((i - first) * parts + part, quarter))
            if of_squares is not None and square is not None:
                square.set(of_squares.total(i, quarter))
    return totals, square


def _multiply_group(
    k: GpuKernel, spec: FewRowsSpec, groups: list[Group], x: _Rows, index: Expr, sums: list[list[Register]]
) -> None:
    """Adds the products of 32 columns: of integers, which are scaled once for each span of columns that has a scale."""
    fmt, has_offset = groups[0].weight.fmt, groups[0].weight.has_offset
    octets = OCTETS // groups[0].weight.spans
    # For a single row every load stands for itself, so that all of a group's are on their way at once.
    repeat = _unrolled if spec.rows == 1 else _looped

    def span(number: int | Expr) -> None:
        raw = sums if fmt.is_float else [[_zeros(k) for _ in row] for row in sums]
        totals = [_zeros(k) for _ in sums] if has_offset else []

        def octet(j: int | Expr) -> None:
            j = number * octets + j
            _multiply_octet(k, [group.octet(j) for group in groups], x, index * OCTETS + j, raw, totals)

        repeat(k, octets, octet)
        if not fmt.is_float:
            _add_scaled(k, groups, number, raw, totals, sums)

    repeat(k, groups[0].weight.spans, span)


def _add_scaled(
    k: GpuKernel, groups: list[Group], span: int | Expr, raw: list[list[Register]], totals: list[Register],
    sums: list[list[Register]],
) -> None:  # fmt: skip
    whole = [k.let(dot(total.get(), f32(1.0, 4)), "whole") for total in totals]
    for part, group in enumerate(groups):
        scale, offset = group.scale(span)
        for i, row in enumerate(sums):
            added = row[part].get()
            if offset is not None:
                added = fma(offset, splat(whole[i]), added, 4)
            row[part].set(fma(scale, raw[i][part].get(), added, 4))


class _Rows:
    """The rows of the activations that a workgroup multiplies, and with a norm the sums of their squares."""

    def __init__(self, x: Activations, starts: list[Expr]) -> None:
        self._x, self._starts = x, starts
        self.squares = [] if x.spec.norm is None else [x.k.register("float32", f32(0.0)) for _ in starts]

    def load(self, index: Expr) -> list[Expr]:
        """Columns 4 * index on of every row."""
        return self._x.load(self._starts, index, self.squares)


def _zeros(k: GpuKernel) -> Register:
    return k.register("float32x4", f32(0.0, 4))


def _unrolled(k: GpuKernel, count: int, body: Callable[[int | Expr], None]) -> None:
    for i in range(count):
        body(i)


def _looped(k: GpuKernel, count: int, body: Callable[[int | Expr], None]) -> None:
    if count == 1:
        return body(0)
    with k.loop(0, count) as i:
        body(i)


def _multiply_octet(
    k: GpuKernel, octets: list[Octet], x: _Rows, index: Expr, raw: list[list[Register]], totals: list[Register]
) -> None:
    """Adds the products of 8 columns, and to `totals` the activations themselves."""
    for half in range(2):
        vectors = x.load(index * 2 + half)
        for total, values in zip(totals, vectors, strict=False):
            total.set(total.get() + values)
        for part, octet in enumerate(octets):
            for b, column in enumerate(octet.columns(half)):
                numbers = column() if len(vectors) == 1 else k.let(column(), "w")
                for row, values in zip(raw, vectors, strict=True):
                    row[part].set(fma(numbers, splat(lane(values, b)), row[part].get(), 4))
