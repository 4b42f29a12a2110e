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
    Register,
    div,
    dot,
    f32,
    fma,
    lane,
    mod,
    splat,
)
from hearth.compiler.gpu.kernels.meeting import Meeting
from hearth.compiler.gpu.kernels.product_output import QUARTERS, BlockSquares, Largest, Noted, Output, ProductSpec
from hearth.compiler.gpu.kernels.weights import OCTETS, Group, Octet, Weight
from hearth.quant.formats import PLANE_COLUMNS

_MEETING_BYTES = 8 << 10  # of workgroup memory, for sums that meet


@dataclass(frozen=True)
class FewRowsSpec:
    """Attributes:
    rows: of activations that a workgroup multiplies, at most.
    threads: invocations of a workgroup: 64, 128 or 256.
    weights: parts of the weight, each a buffer.
    """

    product: ProductSpec
    rows: int = 1
    threads: int = 64
    weights: int = 1

    @property
    def name(self) -> str:
        name = f"rows{self.rows}x{self.threads}_{self.product.name}"
        return f"{name}_of{self.weights}" if self.weights > 1 else name


def few_rows(spec: FewRowsSpec) -> GpuKernel:
    """Y = X W^T and what follows.

    Buffers: W, packed, in parts of `height` blocks of 16 rows; those of `Activations`; those of `Output`. Scalars:
    those of `Activations`; blocks: column blocks in a row of W; height; those of `Output`. Units: blocks of 16 outputs
    times ceil(m / rows).
    """
    k = GpuKernel(spec.name, threads=spec.threads)
    product = spec.product
    weights = Weight.parts(k, "W", product.fmt, lanes=4, count=spec.weights)
    x = Activations(k, product)
    output = Output(k, product)
    x.scalars()
    height = Weight.scalars_of(weights)
    output.scalars()

    tiles = k.let(div(x.m + (spec.rows - 1), spec.rows), "tiles")
    block, first_row = k.let(div(k.group, tiles), "block"), k.let(mod(k.group, tiles) * spec.rows, "first")
    quarter, slot = k.let(mod(k.thread, QUARTERS), "quarter"), k.let(div(k.thread, QUARTERS), "slot")
    if product.carried is not None:
        assert spec.rows == 1
        x.carry(k.let(tirx.And(tirx.EQ(output.first + block, 0), tirx.EQ(quarter, 0)), "leaves"))
    rows = _Rows(x, [x.start(first_row + i) for i in range(spec.rows)])
    sums = [[_zeros(k) for _ in range(product.parts)] for _ in range(spec.rows)]
    for number, weight in enumerate(weights):
        weight.place(quarter)
        first_block = k.let(block * product.parts - height * number, "first_block")
        # A workgroup's outputs are of one part.
        there = tirx.And(first_block >= 0, first_block < height)
        with k.when(there) if len(weights) > 1 else nullcontext():
            starts = [weight.start(first_block + part) for part in range(product.parts)]
            groups = div(x.columns + (PLANE_COLUMNS - 1), PLANE_COLUMNS)
            with k.loop(slot, groups, spec.threads // QUARTERS) as index:
                _multiply_group(k, spec, [weight.group(start, index) for start in starts], rows, index, sums)

    i = k.let(div(k.thread, QUARTERS), "i")
    totals, square = _meet(k, sums, rows.squares, i, quarter)
    quarters = Noted(k, output, spec.rows * QUARTERS) if product.epilogue == "logits" else None
    squares = BlockSquares(k, output, spec.rows * QUARTERS) if product.notes_squares else None
    with k.when(tirx.And(k.thread < spec.rows * QUARTERS, first_row + i < x.m)):
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
        with k.when(tirx.And(k.thread < spec.rows, first_row + k.thread < x.m)):
            quarters.meet(k.thread * QUARTERS, QUARTERS).store(first_row + k.thread, block)
    if squares is not None:
        k.barrier()
        with k.when(tirx.And(k.thread < spec.rows, first_row + k.thread < x.m)):
            squares.store(k.thread * QUARTERS, first_row + k.thread, block)
    return k


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
    fmt, has_offset = spec.product.fmt, groups[0].weight.has_offset
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
