"""Adapters (LoRA): t = x A and y += t B, for the rows that have an adapter, each its own.

Rows of one adapter that stand together are an *item*, so its numbers are read once for several of them. Every sum has
one order: a row has the same bits alone, beside rows of the same adapter and beside others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, broadcast, cast, f32, fma, i64, in_name
from hearth.compiler.cpu.kernels.halves import float_loader
from hearth.compiler.cpu.targets import Isa

RANKS = LANES = 16
ITEM = 4
"""Numbers of an item: first row, rows, first unit of its adapter, units."""
_AHEAD, _CACHE_LINE = 2048, 64
MOST_ROWS = CHAINS = 4
"""Rows that are computed together; sums of every fourth column, of which none need wait for the other."""


@dataclass(frozen=True)
class AdapterSpec:
    """A step beside some matrices.

    Attributes:
        matrices: how many.
        dtype: of an adapter's numbers, `int8` (with a scale for each rank), `float16` or `float32`.
        splits: parts of K that are summed apart, by the first step of both.
        columns: of t, for each matrix and split.
        scale: of what is added, as that of the product that it is added to.
    """

    isa: Isa
    matrices: int
    dtype: str
    splits: int
    columns: int
    scale: float = 1.0

    def named(self, name: str) -> str:
        scale = [in_name(self.scale)] if self.scale != 1.0 else []
        return "_".join([name, str(self.matrices), self.dtype, f"{self.splits}x{self.columns}", *scale])

    @property
    def rows(self) -> int:
        """Rows that are computed together: as many as there are registers for their sums."""
        return max(rows for rows in (1, 2, MOST_ROWS) if rows * CHAINS <= max(self.isa.float_tile[1], CHAINS))

    @property
    def scratch_bytes(self) -> int:
        """What `adapter_up` uses, on any instruction set."""
        return 4 * (MOST_ROWS * self.columns + LANES)


def _item(k: Kernel, items: Memory, number: Expr) -> tuple[Expr, Expr, Expr, Expr]:
    at = k.let(number * ITEM, "item")
    names = ("first", "count", "unit", "units")
    first, count, unit, units = (k.opaque(cast("int64", items.load(at + i)), name) for i, name in enumerate(names))
    return first, count, unit, units


def _tiles(k: Kernel, count: Expr, most: int, body: Callable[[Expr, int], None]) -> None:
    """body(row, rows) for all rows of an item: as many together as there may be, the rest in halves."""
    size = most
    with k.loop(0, tirx.floordiv(count, i64(size))) as number:
        body(k.let(number * size, "row"), size)
    while size > 1:
        size //= 2
        with k.when(tirx.floormod(tirx.floordiv(count, i64(size)), i64(2)) == i64(1)):
            body(k.let(tirx.floordiv(count, i64(2 * size)) * (2 * size), "row"), size)


def _prefetch(k: Kernel, memory: Memory, at: Expr, count: int) -> None:
    """Asks for what is read `_AHEAD` bytes after these numbers: processors begin anew at each page, of which there are
    few in an adapter's share of a matrix, and none of it is in a near cache."""
    size = {"int8": 1, "float16": 2, "float32": 4}[memory.dtype]
    for line in range(0, count * size, _CACHE_LINE):
        k.prefetch(memory, at + (_AHEAD + line) // size)


def adapter_down(spec: AdapterSpec) -> Kernel:
    """Buffers: X f32 [row][ldx]; items i32 [item][4]; units of each matrix (`model/text/adapters.py`); T f32
    [row][matrix][split][columns], 16 columns for each unit of the row's adapter.
    Scalars: ldx, offset (of the first column in X), k, chunk (columns of a split), then numbers of a unit of each
    matrix. Unit: item, matrix, split."""
    k = Kernel(spec.named("adapter_down"))
    x, items = k.buffer("X", "float32"), k.buffer("items", "int32")
    memories = [k.buffer(f"units{i}", spec.dtype) for i in range(spec.matrices)]
    t = k.buffer("T", "float32")
    ldx, offset, size, chunk = (k.scalar(name) for name in ("ldx", "offset", "k", "chunk"))
    numbers = [k.scalar(f"numbers{i}") for i in range(spec.matrices)]
    loads = [float_loader(spec.isa, k, memory) for memory in memories]
    scales = [k.view(memory, "float32") if spec.dtype == "int8" else None for memory in memories]
    ldt = spec.matrices * spec.splits * spec.columns
    each = spec.matrices * spec.splits
    with k.loop(k.begin, k.end) as work:
        first, count, unit, units = _item(k, items, k.let(tirx.floordiv(work, i64(each)), "number"))
        rest = k.let(tirx.floormod(work, i64(each)), "rest")
        matrix, split = tirx.floordiv(rest, i64(spec.splits)), k.let(tirx.floormod(rest, i64(spec.splits)), "split")
        begin = k.let(tirx.min(split * chunk, size), "begin")
        end = k.let(tirx.min(begin + chunk, size), "end")
        for i in range(spec.matrices):
            with k.when(tirx.EQ(matrix, i64(i))), k.loop(0, units) as u:
                base = k.let((unit + u) * numbers[i], "base")
                column = k.let((split + i * spec.splits) * spec.columns + u * RANKS, "column")

                def sums(row: Expr, rows: int, i: int = i, base: Expr = base, column: Expr = column) -> None:
                    places = [k.let((first + row + r) * ldx + offset, "x") for r in range(rows)]
                    chains = [
                        [k.register("float32", RANKS, f32(0.0, RANKS)) for _ in range(CHAINS)] for _ in range(rows)
                    ]

                    def add(at: Expr, chain: int) -> None:
                        a = k.let(loads[i](base + at * RANKS, RANKS), "a")
                        for place, registers in zip(places, chains, strict=True):
                            total, own = registers[chain], broadcast(x.load(place + at), RANKS)
                            total.set(fma(a, own, total.get(), RANKS))

                    whole = k.let(tirx.floordiv(end - begin, i64(CHAINS)) * CHAINS, "whole")
                    with k.loop(0, tirx.floordiv(whole, i64(CHAINS))) as some:
                        _prefetch(k, memories[i], base + (begin + some * CHAINS) * RANKS, CHAINS * RANKS)
                        for chain in range(CHAINS):
                            add(k.let(begin + some * CHAINS + chain, "at"), chain)
                    with k.loop(begin + whole, end) as at:
                        add(at, 0)
                    for r, (a, b, c, d) in enumerate(chains):
                        total = (a.get() + b.get()) + (c.get() + d.get())
                        own_scales = scales[i]
                        if own_scales is not None:
                            behind = tirx.floordiv(base + numbers[i], i64(4)) - RANKS
                            total = total * own_scales.load(behind, RANKS)
                        k.store(t, (first + row + r) * ldt + column, k.let(total, "t"))

                _tiles(k, count, spec.rows, sums)
    return k


def adapter_up(spec: AdapterSpec) -> Kernel:
    """Buffers: T as `adapter_down` leaves it; items; units of each matrix; Y f32 [row][ld], to which is added.
    Scalars: ldt, ld, inner (numbers of an A), items, then for each matrix: numbers of a unit, where its columns of T
    begin, its first column in Y, how many it has. Unit: 16 columns of a matrix, one matrix after the other."""
    k = Kernel(spec.named("adapter_up"))
    t, items = k.buffer("T", "float32"), k.buffer("items", "int32")
    memories = [k.buffer(f"units{i}", spec.dtype) for i in range(spec.matrices)]
    y = k.buffer("Y", "float32")
    ldt, ld, inner, num_items = (k.scalar(name) for name in ("ldt", "ld", "inner", "num_items"))
    about = [[k.scalar(f"{name}{i}") for name in ("numbers", "at", "start", "size")] for i in range(spec.matrices)]
    loads = [float_loader(spec.isa, k, memory) for memory in memories]
    shared = k.scratch("float32")  # [row][columns]: t, its splits added up
    lanes = spec.rows * spec.columns  # behind it: columns that are no whole vector
    before: Expr = i64(0)
    for i, (numbers, at, start, size) in enumerate(about):
        blocks = k.let(tirx.floordiv(size + (LANES - 1), i64(LANES)), "blocks")
        from_block = k.let(tirx.max(tirx.min(k.begin - before, blocks), i64(0)), "from")
        to_block = k.let(tirx.max(tirx.min(k.end - before, blocks), i64(0)), "to")
        before = k.let(before + blocks, "before")
        with k.when(from_block < to_block), k.loop(0, num_items) as number:
            first, count, unit, units = _item(k, items, number)
            ranks = k.let(units * RANKS, "ranks")

            def sums(
                row: Expr, rows: int, i: int = i, numbers: Expr = numbers, at: Expr = at, start: Expr = start,
                size: Expr = size, from_block: Expr = from_block, to_block: Expr = to_block, first: Expr = first,
                unit: Expr = unit, units: Expr = units, ranks: Expr = ranks,
            ) -> None:  # fmt: skip
                for r in range(rows):
                    source = k.let((first + row + r) * ldt + at, "t")
                    with k.loop(0, ranks, RANKS) as rank:
                        total = t.load(source + rank, RANKS)
                        for split in range(1, spec.splits):
                            total = total + t.load(source + rank + split * spec.columns, RANKS)
                        k.store(shared, rank + r * spec.columns, k.let(total, "total"))
                with k.loop(from_block, to_block) as block:
                    totals = [[k.register("float32", LANES, f32(0.0, LANES)) for _ in range(2)] for _ in range(rows)]
                    with k.loop(0, units) as u:
                        base = k.let((unit + u) * numbers + inner + block * (RANKS * LANES), "base")
                        _prefetch(k, memories[i], base, RANKS * LANES)
                        for rank in range(RANKS):
                            b = k.let(loads[i](base + rank * LANES, LANES), "b")
                            for r, pair in enumerate(totals):
                                own = broadcast(shared.load(u * RANKS + (rank + r * spec.columns)), LANES)
                                pair[rank % 2].set(fma(b, own, pair[rank % 2].get(), LANES))
                    left = k.let(tirx.min(size - block * LANES, i64(LANES)), "left")
                    for r, (even, odd) in enumerate(totals):
                        added = even.get() + odd.get()
                        added = k.let(added if spec.scale == 1.0 else added * f32(spec.scale, LANES), "added")
                        place = k.let((first + row + r) * ld + start + block * LANES, "y")
                        with k.when(tirx.EQ(left, i64(LANES))):
                            k.store(y, place, k.let(y.load(place, LANES) + added, "sum"))
                        # Columns behind the last are another matrix's, which another thread may be adding to.
                        with k.when(left < i64(LANES)):
                            k.store(shared, i64(lanes), added)
                            with k.loop(0, left) as lane:
                                k.store(y, place + lane, y.load(place + lane) + shared.load(lanes + lane))

            _tiles(k, count, spec.rows, sums)
    return k
