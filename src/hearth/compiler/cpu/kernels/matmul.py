"""Products of activations with packed weights: one generator, format x instruction set x rows.

`Y[m, n] = sum_k X[m, k] W[n, k]`, one unit being a block of 16 weight rows (a pair of blocks, gate and up, in the gated
form). Weights are read once per tile of activation rows; tiles are 8, 4, 2, 1 rows (`isa.tile_rows` at most), each a
straight piece of code with its accumulators in registers, so 1, few and many rows share this kernel. Each output
element is summed in the same order whatever the tile, thread count or batch: results are bitwise the same.

With int8 activations the dot product of a group of 32 columns is exact in int32; then

    Y += float(dot) * (w_scale * a_scale) + w_offset * a_sum          a_sum = a_scale * sum of the group's integers

where w_offset is the minimum, or what a zero point takes off. Where the instruction allows it (`Isa.lifts_integers`)
the zero point goes into the integer that the dot product begins at instead, and the second term falls away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, Register, broadcast, cast, const, f32, fma, i64
from hearth.compiler.cpu.kernels.coarse_product import coarse_rows
from hearth.compiler.cpu.kernels.dot import group_dot
from hearth.compiler.cpu.kernels.norms import HALF_STARTS, SCALE, SCALED_SUM, START, SUMS
from hearth.compiler.cpu.kernels.product_output import MatmulSpec, Output, Sums
from hearth.compiler.cpu.kernels.weights import QUADS, Scales, float_columns, load_quads, multiplied_bits
from hearth.quant.formats import Format


def matmul(spec: MatmulSpec) -> Kernel:
    """Buffers: W u8; activations (AQ int8 [m][Kp], AS f32 [m][5][Kp/32], or X f32 [m][Kp]); [bias f32]; [residual f32
    [m][ld]]; Y f32 [m][ld]; [best f32, where i32, both [m][units]] for logits.
    Scalars: m, blocks (column blocks in a row of W), kp, ld, [n] (true rows, for logits), [coarse: so many of the
    first rows have one scale].
    Units: blocks of 16 rows (pairs of them when gated)."""
    k = Kernel(spec.name, reload_constants=spec.coarse)
    w = k.buffer("W", "uint8")
    if spec.activations == "int8":
        aq = k.view(k.buffer("AQ", "int8"), "int32")
        scales = k.buffer("AS", "float32")
        loader: Product = Int8Product(k, spec, w, aq, scales)
    else:
        loader = FloatProduct(k, spec, w, k.buffer("X", "float32"))
    bias = k.buffer("bias", "float32") if spec.bias else None
    residual = k.buffer("residual", "float32") if spec.epilogue == "add" else None
    y = k.buffer("Y", "float32")
    best = k.buffer("best", "float32") if spec.epilogue == "logits" else None
    where = k.buffer("where", "int32") if spec.epilogue == "logits" else None
    m, blocks, kp, ld = (k.scalar(name) for name in ("m", "blocks", "kp", "ld"))
    n = k.scalar("n") if spec.epilogue == "logits" else None
    coarse = k.scalar("coarse") if spec.coarse else None
    loader.blocks, loader.kp = blocks, kp
    out = Output(k, spec, bias, residual, y, best, where, ld, n, m)
    if not spec.isa.gains_by_rows:
        coarse = None  # all rows alike
    if coarse is not None:
        coarse_rows(k, spec, w, aq, scales, out, coarse, blocks, kp)
        m = k.let(m - coarse, "fine")

    def multiply(unit: Expr, first: Expr, rows: int) -> None:
        first = first if coarse is None else first + coarse
        places = [first + row for row in range(rows)]
        tile(spec, loader, out, unit, first, (unit, places))

    in_stretches(k, spec, blocks, k.begin, k.end, m, multiply)
    return k


def in_stretches(
    k: Kernel, spec: MatmulSpec, blocks: Expr, begin: Expr, end: Expr, rows: Expr,
    multiply: Callable[[Expr, Expr, int], None],
) -> None:  # fmt: skip
    """multiply(unit, first row, rows) for the tiles of so many rows and the units [begin, end).

    A stretch of units whose weights stay in the second-level cache serves all rows before the next one is read: each
    tile of activations then comes from the first-level cache for all units of the stretch but one.
    """
    unit_bytes = blocks * (spec.fmt.block_bytes * (2 if spec.epilogue == "gated" else 1))
    length = k.let(tirx.max(tirx.floordiv(i64(spec.tuning.stretch_bytes), unit_bytes), i64(1)), "length")
    with k.loop(0, tirx.floordiv(end - begin + length - 1, length)) as stretch:
        from_unit = k.let(begin + stretch * length, "begin")
        to_unit = k.let(tirx.min(from_unit + length, end), "end")

        def units(first: Expr, count: int, from_unit: Expr = from_unit, to_unit: Expr = to_unit) -> None:
            with k.loop(from_unit, to_unit) as unit:
                multiply(unit, first, count)

        size = spec.tuning.tile_rows or spec.isa.tile_rows
        with k.loop(0, tirx.floordiv(rows, i64(size))) as number:
            units(number * size, size)
        while size > 1:
            size //= 2
            with k.when(tirx.floormod(tirx.floordiv(rows, i64(size)), i64(2)) == i64(1)):
                units(k.let(tirx.floordiv(rows, i64(2 * size)) * (2 * size), "row"), size)


def tile(
    spec: MatmulSpec, product: Product, out: Output, unit: Expr, first: Expr, read: tuple[Expr, Sequence[Expr]]
) -> None:
    """One unit of some rows of the result, from `first` on. `read`: the unit of the weight and the rows of the
    activations that are multiplied for it."""
    of, rows = read
    if spec.epilogue != "gated":
        out.store(unit, first, product.run(of, rows))
        return
    gate = product.run(of * 2, rows)
    up = product.run(of * 2 + 1, rows)
    out.store_gated(unit, first, gate, up)


CACHE_LINE = 64


def for_each_group(k: Kernel, fmt: Format, unroll: int, body: Callable[[Expr], None]) -> None:
    """body(group) for the groups of 32 columns in a block: written out for two, a loop for the four or eight of larger
    blocks, of which `unroll` are written out (LLVM takes 10 seconds and more over all)."""
    if fmt.plane_groups > 2:
        with k.loop(0, fmt.plane_groups // unroll) as some:
            for number in range(unroll):
                body(some * unroll + number)
        return
    for number in range(fmt.plane_groups):
        body(i64(number))


class Product:
    """Computes the 16 x rows sums of one block of weight rows."""

    k: Kernel
    spec: MatmulSpec
    w: Memory
    blocks: Any
    kp: Any

    def run(self, block: Expr, rows: Sequence[Expr]) -> Sums:
        """Of these rows of the activations."""
        raise NotImplementedError

    def prefetch(self, address: Expr, size: int) -> None:
        """Asks for the weights that are read `tuning.prefetch_bytes` after these, past the end of the range too: they
        are the next unit's. Processors follow the several streams of a block (planes, scales) only half as far by
        themselves."""
        distance = self.spec.tuning.prefetch_bytes
        for line in range(0, size if distance else 0, CACHE_LINE):
            self.k.prefetch(self.w, address + (distance + line))


class Int8Product(Product):
    def __init__(self, k: Kernel, spec: MatmulSpec, w: Memory, aq: Memory, scales: Memory) -> None:
        self.k, self.spec, self.w, self.aq, self.scales = k, spec, w, aq, scales
        self.starts = k.view(scales, "int32")

    def run(self, block: Expr, rows: Sequence[Expr]) -> Sums:
        k, fmt, isa = self.k, self.spec.fmt, self.spec.isa
        sums = [[k.register("float32", isa.rows, f32(0.0, isa.rows)) for _ in range(isa.parts)] for _ in rows]
        # With few rows all parts go together, so that each line of weights is read once; with many there are not enough
        # registers for that, and the second part finds the lines in the cache.
        together = isa.parts == 1 or len(rows) <= 2
        share = fmt.block_bytes // fmt.plane_groups
        for parts in [range(isa.parts)] if together else [range(p, p + 1) for p in range(isa.parts)]:
            with k.loop(0, self.blocks) as cb:
                base = k.let((block * self.blocks + cb) * fmt.block_bytes, "base")
                for part in parts:
                    table = Scales(k, self.w, fmt, base, part, isa)
                    mine = [s[part] for s in sums]

                    def add(group: Expr, cb: Expr = cb, table: Scales = table, mine: list[Register] = mine) -> None:
                        if table.part == 0:
                            self.prefetch(table.base + group * share, share)
                        self._group(table, cb * fmt.plane_groups + group, group, rows, mine)

                    for_each_group(k, fmt, self.spec.tuning.unroll, add)
        return sums

    def _group(
        self, table: Scales, column_group: Expr, group: Expr, rows: Sequence[Expr], sums: list[Register]
    ) -> None:
        k, fmt, isa = self.k, self.spec.fmt, self.spec.isa
        quads = load_quads(k, self.w, fmt, table.base, group, table.part, isa)
        per_scale = fmt.group_columns // 4
        bits = multiplied_bits(fmt, isa)
        for piece in range(QUADS // per_scale):
            scale, offset = table.get(group * (QUADS // per_scale) + piece)
            chosen = range(piece * per_scale, (piece + 1) * per_scale)
            activations = []
            for row in rows:
                words = k.let(row * tirx.floordiv(self.kp, i64(4)) + column_group * QUADS, "word")
                activations.append([self.aq.load(words + s) for s in chosen])
            columns = [self._sums_at(row, column_group) for row in rows]
            starts = None
            if table.start_shift is not None:
                which = START if per_scale == QUADS else HALF_STARTS + piece
                starts = [self._start(at, which, table.start_shift) for at in columns]
            dots = group_dot(isa, k, [quads[s] for s in chosen], activations, bits, starts)
            for total, dot, at in zip(sums, dots, columns, strict=True):
                a_scale = broadcast(self.scales.load(at(SCALE)), isa.rows)
                a_sum = self._scaled_sum(at, None if per_scale == QUADS else piece)
                value = fma(cast("float32", dot, isa.rows), scale * a_scale, total.get(), isa.rows)
                if offset is not None:
                    value = fma(offset, broadcast(a_sum, isa.rows), value, isa.rows)
                total.set(value)

    def _sums_at(self, row: Expr, column_group: Expr) -> Callable[[int], Expr]:
        """Where the numbers of a row's group of columns stand in AS."""
        groups = tirx.floordiv(self.kp, i64(32))
        first = self.k.let(row * groups * SUMS + column_group, "at")
        return lambda which: first + groups * which

    def _scaled_sum(self, at: Callable[[int], Expr], half: int | None) -> Expr:
        """Scale times the sum of the integers of a group, or of one half of its columns."""
        if half is None:
            return self.scales.load(at(SCALED_SUM))
        whole = cast("float32", self.starts.load(at(HALF_STARTS + half)))
        return whole * (self.scales.load(at(SCALE)) * f32(-1 / 128))

    def _start(self, at: Callable[[int], Expr], which: int, shift: int) -> Expr:
        lanes = self.spec.isa.rows
        start = broadcast(self.starts.load(at(which)), lanes)
        return tirx.shift_right(start, const("int32", shift, lanes)) if shift else start


class FloatProduct(Product):
    def __init__(self, k: Kernel, spec: MatmulSpec, w: Memory, x: Memory) -> None:
        self.k, self.spec, self.w, self.x = k, spec, w, x
        self.columns = float_columns(k, w, spec.fmt, spec.isa)

    def run(self, block: Expr, rows: Sequence[Expr]) -> Sums:
        k, fmt = self.k, self.spec.fmt
        sums = [[k.register("float32", 16, f32(0.0, 16))] for _ in rows]
        # Float formats have one column a block: take 4 at a time.
        groups, width = (1, 4) if fmt.is_float else (fmt.plane_groups, 32)
        stride = fmt.block_bytes * (4 if fmt.is_float else 1)
        count = tirx.floordiv(self.blocks, i64(4)) if fmt.is_float else self.blocks
        with k.loop(0, count) as cb:
            base = k.let((block * count + cb) * stride, "base")

            def add(group: Expr, base: Expr = base, cb: Expr = cb) -> None:
                self.prefetch(base + group * (stride // groups), stride // groups)
                columns = self.columns(base, group)
                for row, (total,) in zip(rows, sums, strict=True):
                    at = k.let(row * self.kp + (cb * groups + group) * width, "at")
                    value = total.get()
                    for c, column in enumerate(columns):
                        value = fma(column, broadcast(self.x.load(at + c), 16), value, 16)
                    total.set(value)

            if fmt.is_float:
                add(i64(0))
            else:
                for_each_group(k, fmt, self.spec.tuning.unroll, add)
        return sums
