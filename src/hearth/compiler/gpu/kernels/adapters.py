"""Adapters (LoRA): t = x A and y += t B, for the rows that have an adapter, each its own.

Rows of one adapter that stand together are an *item*. Every sum has one order, so a row has the same bits alone and
among others. An adapter's numbers are read two at a time: of two ranks, or of two columns of the result.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.gpu.kernels.builder import (
    Expr,
    GpuKernel,
    Memory,
    bitcast,
    cast,
    div,
    f32,
    fma,
    i32,
    lane,
    mod,
    splat,
    unpack_halves,
    vector,
)
from hearth.compiler.physical import in_name

RANKS = BLOCK = 16
ITEM = 4
"""Numbers of an item: first row, rows, first unit of its adapter, units."""
ROWS = 4
"""Rows that are computed together."""
_PAIRS = RANKS // 2
_DOWN_THREADS, _UP_THREADS = 256, 64
UP_COLUMNS = 2 * _UP_THREADS
"""Columns of the result that a workgroup of the second step has."""


@dataclass(frozen=True)
class AdapterSpec:
    """A step beside some matrices.

    Attributes:
        matrices: how many.
        dtype: of an adapter's numbers, `int8` (with a scale for each rank), `float16` or `float32`.
        columns: of t, for each matrix.
        scale: of what is added, as that of the product that it is added to.
    """

    matrices: int
    dtype: str
    columns: int
    scale: float = 1.0

    def named(self, name: str) -> str:
        scale = [in_name(self.scale)] if self.scale != 1.0 else []
        return "_".join([name, str(self.matrices), self.dtype, str(self.columns), *scale])

    def units(self, k: GpuKernel, number: int) -> Units:
        """Those of a matrix, as the next buffer."""
        memory = k.buffer(f"units{number}", "float32x2" if self.dtype == "float32" else "uint32")
        return Units(k, memory, self.dtype)


@dataclass(frozen=True)
class Units:
    """The units of a matrix."""

    k: GpuKernel
    memory: Memory
    dtype: str

    def load(self, index: Expr) -> Expr:
        """Two numbers as `float32x2`, counted by twos."""
        if self.dtype == "float32":
            return self.memory.load(index)
        if self.dtype == "float16":
            return unpack_halves(self.memory.load(index))
        index = self.k.let(index, "two")
        word = bitcast("int32", self.memory.load(div(index, 2)))
        half = self.k.let(tirx.shift_right(word, mod(index, 2) * 16), "half")
        first, second = (tirx.shift_right(tirx.shift_left(half, i32(shift)), i32(24)) for shift in (24, 16))
        return vector(cast("float32", first), cast("float32", second))

    def scale(self, end: Expr, pair: Expr) -> Expr | None:
        """Of two ranks of the unit that ends where element `end` would be; None: it has none."""
        if self.dtype != "int8":
            return None
        at = self.k.let(div(end, 4) - RANKS + pair * 2, "scale")
        return vector(*(bitcast("float32", self.memory.load(at + i)) for i in (0, 1)))


def _item(k: GpuKernel, items: Memory, number: Expr) -> tuple[Expr, Expr, Expr, Expr]:
    at = k.let(number * ITEM, "item")
    first, count, unit, units = (k.let(items.load(at + i), "field") for i in range(ITEM))
    return first, count, unit, units


def adapter_down(spec: AdapterSpec) -> GpuKernel:
    """Buffers: X f32 [row][ldx]; items i32 [item][4]; units of each matrix (`model/text/adapters.py`); T f32
    [row][ldt]: [matrix][columns], 16 for each unit of the row's adapter.
    Scalars: ldx, offset (of the first column in X), k, ldt, then numbers of a unit of each matrix.
    Unit: item, matrix."""
    k = GpuKernel(spec.named("adapter_down"), threads=_DOWN_THREADS)
    x, items = k.buffer("X", "float32"), k.buffer("items", "int32")
    matrices = [spec.units(k, i) for i in range(spec.matrices)]
    t = k.buffer("T", "float32")
    ldx, offset, size, ldt = (k.scalar(name) for name in ("ldx", "offset", "k", "ldt"))
    numbers = [k.scalar(f"numbers{i}") for i in range(spec.matrices)]
    lanes = _DOWN_THREADS // _PAIRS
    sums = k.workgroup(_DOWN_THREADS * ROWS, "float32x2", "sums")
    first, count, unit, units = _item(k, items, k.let(div(k.group, spec.matrices), "number"))
    matrix = k.let(mod(k.group, spec.matrices), "matrix")
    pair, own = k.let(mod(k.thread, _PAIRS), "pair"), k.let(div(k.thread, _PAIRS), "own")
    for i, own_units in enumerate(matrices):
        with k.when(tirx.EQ(matrix, i)), k.loop(0, units) as u, k.loop(0, count, ROWS) as row:
            base = k.let(div((unit + u) * numbers[i], 2) + pair, "base")
            places = [k.let((first + tirx.min(row + r, count - 1)) * ldx + offset, "place") for r in range(ROWS)]
            totals = [k.register("float32x2", f32(0.0, 2)) for _ in range(ROWS)]
            with k.loop(own, size, lanes) as at:
                a = k.let(own_units.load(base + at * _PAIRS), "a")
                for place, total in zip(places, totals, strict=True):
                    total.set(fma(a, splat(k.let(x.load(place + at), "x"), 2), total.get(), 2))
            for r, total in enumerate(totals):
                k.store(sums, (own * ROWS + r) * _PAIRS + pair, total.get())
            k.barrier()
            with k.when(k.thread < ROWS * _PAIRS):
                whole = k.register("float32x2", f32(0.0, 2))
                with k.loop(0, lanes) as some:
                    whole.set(whole.get() + sums.load(some * (ROWS * _PAIRS) + k.thread))
                with k.when(row + own < count):  # threads stand for (row, pair)
                    to = k.let((first + row + own) * ldt + i * spec.columns + u * RANKS + pair * 2, "to")
                    scale = own_units.scale((unit + u + 1) * numbers[i], pair)
                    both = k.let(whole.get() if scale is None else whole.get() * scale, "both")
                    k.store(t, to, lane(both, 0))
                    k.store(t, to + 1, lane(both, 1))
            k.barrier()
    return k


def adapter_up(spec: AdapterSpec) -> GpuKernel:
    """Buffers: T as `adapter_down` leaves it; items; units of each matrix; Y f32 [row][ld], to which is added.
    Scalars: ldt, ld, inner (numbers of an A), blocks (of `UP_COLUMNS`, of all matrices), then for each matrix: numbers
    of a unit, where its columns of T begin, its first column in Y, how many it has, the block it begins with.
    Unit: item, block."""
    k = GpuKernel(spec.named("adapter_up"), threads=_UP_THREADS)
    t, items = k.buffer("T", "float32"), k.buffer("items", "int32")
    matrices = [spec.units(k, i) for i in range(spec.matrices)]
    y = k.buffer("Y", "float32")
    ldt, ld, inner, blocks = (k.scalar(name) for name in ("ldt", "ld", "inner", "blocks"))
    about = [
        [k.scalar(f"{name}{i}") for name in ("numbers", "at", "start", "size", "block")] for i in range(spec.matrices)
    ]
    shared = k.workgroup(ROWS * spec.columns, "float32", "of_t")
    first, count, unit, units = _item(k, items, k.let(div(k.group, blocks), "number"))
    rest, ranks = k.let(mod(k.group, blocks), "rest"), k.let(units * RANKS, "ranks")
    for own_units, (numbers, at, start, size, block) in zip(matrices, about, strict=True):
        end = k.let(block + div(size + (UP_COLUMNS - 1), UP_COLUMNS), "end")
        mine = tirx.And(rest >= block, rest < end)
        column = k.let((rest - block) * UP_COLUMNS + k.thread * 2, "column")
        with k.when(mine), k.loop(0, count, ROWS) as row:
            with k.loop(k.thread, ranks * ROWS, _UP_THREADS) as i:
                r, rank = k.let(div(i, ranks), "r"), k.let(mod(i, ranks), "rank")
                whose = k.let(first + tirx.min(row + r, count - 1), "whose")
                k.store(shared, r * spec.columns + rank, t.load(whose * ldt + at + rank))
            k.barrier()
            with k.when(column < size):
                totals = [k.register("float32x2", f32(0.0, 2)) for _ in range(ROWS)]
                own = k.let(div(column, BLOCK) * (RANKS * BLOCK // 2) + div(mod(column, BLOCK), 2), "own")
                with k.loop(0, units) as u:
                    base = k.let(div((unit + u) * numbers + inner, 2) + own, "base")
                    for rank in range(RANKS):
                        b = k.let(own_units.load(base + rank * (BLOCK // 2)), "b")
                        for r, total in enumerate(totals):
                            factor = k.let(shared.load(u * RANKS + (rank + r * spec.columns)), "t")
                            total.set(fma(b, splat(factor, 2), total.get(), 2))
                for r, total in enumerate(totals):
                    with k.when(row + r < count):
                        place = k.let((first + row + r) * ld + start + column, "place")
                        added = k.let(total.get() * f32(spec.scale, 2), "added")
                        k.store(y, place, y.load(place) + lane(added, 0))
                        with k.when(column + 1 < size):
                            k.store(y, place + 1, y.load(place + 1) + lane(added, 1))
            k.barrier()
    return k
