"""Products with one scale for each weight row and one for each row of activations: "row x token".

`Y[m, n] = w_scale[n] * a_scale[m] * sum_k A[m, k] * W[n, k]`, the sum being of integers over all of K and exact. So the
work is nothing but integer products (tiles.py), which many-row models want: vision, encoders, prompts. Weights are int8
(`i8`) or 4 bits (`i4`), whose steps times the integer scale of their group fit signed bytes: those of a unit are
unpacked once, into scratch, for all the rows that it meets (where products are summed in 16 bits without the scales,
which multiply the sums of groups: the same integers in the end).

A *column unit* is two blocks of 16 weight rows, an *item* such a unit times a stretch of activation rows. Items are
computed stretch by stretch, so that activations come from the second-level cache and the weights of a unit from the
first or second. A plan gives threads *shares* of the items: products of few weight rows with thousands of rows of
activations divide as evenly as others. Whatever the shares, tiles, threads or the batch, an output has the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import tirx

from hearth.compiler.cpu.kernels import amx, tiles, vmath
from hearth.compiler.cpu.kernels.builder import (
    Expr,
    Kernel,
    Memory,
    bitcast,
    broadcast,
    cast,
    const,
    f32,
    i64,
    in_name,
)
from hearth.compiler.cpu.kernels.tiles import MATRIX_BYTES, SUMS_BYTES, UNIT_BLOCKS, UNIT_COLUMNS, Operands
from hearth.compiler.cpu.targets import Isa
from hearth.quant.formats import LANES, Format

SHARES = 64
"""Units of a product's step in a plan: pieces that threads take, each an equal part of the items."""

_STRETCH_BYTES, _STRETCH_ROWS = 256 * 1024, 256
_MIN_STRETCH_ROWS = 48
_ITEMS = 48
"""Items that there should be at least, so that they share evenly, as long as each has some rows."""
_AHEAD_TILES = 4
"""Tiles over which the weights of the next item are asked for."""
_CACHE_LINE = 64
_ACTIVATIONS = {**vmath.ACTIVATIONS, "gelu": vmath.gelu_of_bytes}
_SCRATCH_BYTES = SUMS_BYTES + MATRIX_BYTES


@dataclass(frozen=True)
class RowProductSpec:
    """Which product.

    Attributes:
        fmt: of the weight, one that `is_row`.
        bias: adds a vector f32 [padded N].
        activation: what the biased product goes through, a name of `vmath.ACTIVATIONS`; None: nothing.
        gated: rows of the weight are blocks of gate and up in turn, Y = activation(gate) * up.
        gamma: multiplies by a vector f32 [padded N] (layer scale); where nothing but the bias stands before it, it
            is better folded into weight and bias.
        add: Y = residual + scale * all that.
        scale: see `add`; 1 without it.
    """

    fmt: Format
    isa: Isa
    bias: bool = False
    activation: str | None = None
    gated: bool = False
    gamma: bool = False
    add: bool = False
    scale: float = 1.0

    @property
    def name(self) -> str:
        parts = ["row_product", self.fmt.kernel_layout]
        parts += [name for name in ("bias", "gated", "gamma", "add") if getattr(self, name)]
        if self.activation:
            parts.append(self.activation)
        if self.scale != 1.0:
            parts.append(f"s{in_name(self.scale)}")
        return "_".join(parts)

    def scratch_bytes(self, kp: int) -> int:
        """Scratch that the kernel uses with activations of `kp` columns, the same for every instruction set."""
        if self.fmt.signed:
            return _SCRATCH_BYTES
        return _SCRATCH_BYTES + UNIT_COLUMNS * (kp + 4 * (kp // self.fmt.group_columns))


def row_product(spec: RowProductSpec) -> Kernel:
    """Buffers: W u8; AQ int8 [m][kp], AS f32 [m] (`prepare_rows`); [bias f32]; [gamma f32]; [residual f32 [m][ld]];
    Y f32 [m][ld].
    Scalars: m, kp, blocks (of 16 weight rows), ld, shares. Unit: one of `shares` equal shares of the work."""
    k = Kernel(spec.name, reload_constants=True)
    w = _Weight(k, spec)
    activations = k.view(k.buffer("AQ", "int8"), "int32")
    out = _Output(k, spec)
    m, kp, blocks, ld, shares = (k.scalar(name) for name in ("m", "kp", "blocks", "ld", "shares"))
    w.measure(kp)
    quads = k.let(_quotient(kp, 4), "quads")

    # Tiles of two sizes, one row apart, the larger ones first, rather than full ones and a small rest.
    most = spec.isa.tile[0]
    count = k.let(_quotient(m + (most - 1), most), "count")
    size = k.let(_quotient(m, tirx.max(count, i64(1))), "size")
    larger = k.let(m - count * size, "larger")
    units = k.let(_quotient(blocks + (UNIT_BLOCKS - 1), UNIT_BLOCKS), "units")
    fitting = tirx.min(_quotient(i64(_STRETCH_BYTES), kp * most), i64(_STRETCH_ROWS // most))
    wanted = tirx.max(_quotient(count * units, _ITEMS), i64(_MIN_STRETCH_ROWS // most))
    length = k.let(tirx.max(tirx.min(fitting, wanted), i64(1)), "length")
    stretches = k.let(_quotient(count + length - 1, length), "stretches")
    items = k.let(stretches * units, "items")

    with k.loop(*(k.let(_quotient(bound * items, shares), "item") for bound in (k.begin, k.end))) as item:
        stretch = k.let(_quotient(item, units), "stretch")
        first = k.let((item - stretch * units) * UNIT_BLOCKS, "first")
        last = k.let(tirx.min(first + UNIT_BLOCKS, blocks), "last")
        # A unit that lacks its second block computes the first twice, and writes it once.
        bases = w.open(first, last)
        bounds = [k.let(_quotient((stretch + i) * count, stretches), "tile") for i in (0, 1)]
        with k.loop(0, 2) as sizes:
            rows = k.let(size + 1 - sizes, "rows")
            begin = k.let(tirx.Select(sizes < i64(1), bounds[0], tirx.max(bounds[0], larger)), "begin")
            end = k.let(tirx.Select(sizes < i64(1), tirx.min(bounds[1], larger), bounds[1]), "end")

            def run(
                compute: Callable[[Operands], None], begin: Expr = begin, end: Expr = end, rows: Expr = rows
            ) -> None:
                with k.loop(begin, tirx.max(begin, end)) as number:
                    row = k.let(number * size + tirx.min(number, larger), "row")
                    word = k.let(row * quads, "word")
                    ahead = w.look_ahead(tirx.min(number - bounds[0], i64(_AHEAD_TILES - 1)), quads)
                    x = Operands(activations, word, quads, w.quads, bases, w.starts(), out.sums, ahead, w.steps())
                    compute(x)
                    out.finish(w, row, rows, first, last, ld)

            _tiles(k, spec.isa, rows, end > begin, quads, run)
    if spec.isa.matrix == "amx":
        amx.release(k)
    return k


def _tiles(
    k: Kernel, isa: Isa, rows: Expr, some: Expr, quads: Expr, run: Callable[[Callable[[Operands], None]], None]
) -> None:
    """Runs tiles of so many rows by the matrix unit, or the vectors where there is none or there are few rows.

    Args:
        some: whether there are any tiles.
    """
    if isa.matrix is None:
        run(lambda x: tiles.compute(isa, k, rows, x, isa.tile[0]))
        return
    with k.when(tirx.And(some, rows > i64(amx.FEW_ROWS))):
        halves = amx.configure(k, rows, quads)
        run(lambda x: amx.compute(k, halves, x))
    with k.when(rows <= i64(amx.FEW_ROWS)):
        run(lambda x: tiles.compute(isa, k, rows, x, amx.FEW_ROWS))


def _quotient(a: Expr, b: Expr | int) -> Expr:
    """a / b rounded down, of numbers that are not negative."""
    return tirx.truncdiv(a, i64(b))


class _Weight:
    """The packed weight: its blocks of 16 rows, ready to multiply, and the numbers of its rows."""

    def __init__(self, k: Kernel, spec: RowProductSpec) -> None:
        self.k, self.spec = k, spec
        self.packed = k.buffer("W", "uint8")
        self.scales, self.sums = (k.view(self.packed, dtype) for dtype in ("float32", "int32"))
        self.quads = k.view(self.packed, "int8") if spec.fmt.signed else k.scratch("int8")
        self.steps_apart = tiles.steps_apart(spec.isa) and not spec.fmt.signed
        self.kept_steps = k.scratch("int32")

    def measure(self, kp: Expr) -> None:
        """Sizes follow from the columns."""
        k, fmt = self.k, self.spec.fmt
        self.kp = kp
        self.column_blocks = k.let(_quotient(kp, fmt.block_columns), "column_blocks")
        planes = self.column_blocks * fmt.block_bytes
        self.fields = k.let(_quotient(planes + 63, 64) * 64, "fields")
        self.stride = k.let(self.fields + sum(field.size_bytes for field in fmt.row_fields), "stride")

    def open(self, first: Expr, last: Expr) -> list[Expr]:
        """Where the quad vectors of each block of a unit begin in `quads`."""
        k = self.k
        self.blocks = [first, k.let(last - 1, "second")]
        bases = [k.let(block * self.stride, "base") for block in self.blocks]
        if not self.spec.fmt.signed:
            unpacked = [i64(_SCRATCH_BYTES), k.let(self.kp * LANES + _SCRATCH_BYTES, "unpacked")]
            for block, (base, to) in enumerate(zip(bases, unpacked, strict=True)):
                self._unpack(block, base, to)
            return unpacked
        return bases

    def starts(self) -> Callable[[int, int, int], Expr] | None:
        """What the sums of the unit's blocks begin at, so that unsigned activations count as signed ones."""
        if not tiles.takes_unsigned(self.spec.isa, self.steps_apart):
            return None

        def start(block: int, lane: int, lanes: int) -> Expr:
            at = self._field(self.blocks[block], "sum", lane)
            return self.k.let(self.sums.load(at, lanes) * const("int32", -128, lanes), "start")

        return start

    def steps(self) -> Callable[[int, Expr, int], Expr] | None:
        """The integer scales of groups, where they are not in the unpacked bytes."""
        if not self.steps_apart:
            return None
        isa = self.spec.isa

        def step(block: int, group: Expr, part: int) -> Expr:
            return self.kept_steps.load(self._step(i64(block), group) + part * isa.rows, isa.rows)

        return step

    def _step(self, block: Expr, group: Expr) -> Expr:
        """Where the scales of a group are kept, behind the unpacked bytes of both blocks; counted in 4 bytes."""
        behind = _SCRATCH_BYTES // 4 + _quotient(self.kp * UNIT_COLUMNS, 4)
        return behind + (block * self.column_blocks + group) * LANES

    def look_ahead(self, part: Expr, quads: Expr) -> Callable[[Expr, int], None]:
        """Asks for the weights of the next unit, of which a tile takes one of `_AHEAD_TILES` parts: they come from
        memory, and no processor looks so far ahead by itself. Past the end too; nothing is read."""
        per_quad = self.spec.fmt.block_bytes * UNIT_BLOCKS * 4 // self.spec.fmt.block_columns // _AHEAD_TILES
        begin = self.k.let((self.blocks[0] + UNIT_BLOCKS) * self.stride + part * quads * per_quad, "ahead")

        def ahead(quad: Expr, count: int) -> None:
            for line in range(0, count * per_quad, _CACHE_LINE):
                self.k.prefetch(self.packed, begin + quad * per_quad + line, level=2)

        return ahead

    def scale(self, block: Expr) -> Expr:
        return self.scales.load(self._field(block, "scale", 0), LANES)

    def _field(self, block: Expr, name: str, lane: int) -> Expr:
        """Index of a number of whole rows, counted in 4 bytes."""
        return _quotient(block * self.stride + self.fields + self.spec.fmt.field(name).offset, 4) + lane

    def _unpack(self, block: int, base: Expr, to: Expr) -> None:
        """The integers of a block of 16 rows, (u - 8) * step, as quad vectors of signed bytes from `to` on; or without
        the steps, and these apart, each in both words of its lane."""
        k, fmt = self.k, self.spec.fmt
        width = 4 * LANES
        with k.loop(0, self.column_blocks) as group:
            planes = k.let(base + group * fmt.block_bytes, "planes")
            steps = bitcast("int8", self.packed.load(planes + fmt.field("sub_scale").offset, LANES), LANES)
            steps = k.let(cast("int32", steps, LANES), "steps")
            if self.steps_apart:
                both = tirx.bitwise_and(steps, const("int32", 0xFFFF, LANES)) * const("int32", 0x00010001, LANES)
                k.store(self.kept_steps, self._step(i64(block), group), k.let(both, "both"))
                steps = const("int32", 1, LANES)
            size = k.let(tirx.max(steps, const("int32", 0, LANES) - steps), "size")
            # Two bytes at a time: a nibble times a step fits a byte, so nothing is carried from one to the other.
            factor = k.let(bitcast("uint16", size * const("int32", 0x00010001, LANES), width // 2), "factor")
            negative = tirx.shift_right(steps, const("int32", 31, LANES))
            flip = k.let(bitcast("uint8", negative, width), "flip")
            zero = bitcast("uint8", size * const("int32", fmt.zero_point * 0x01010101, LANES), width)
            zero = k.let(tirx.bitwise_xor(zero, flip), "zero")
            at = k.let(to + group * (fmt.block_columns * LANES), "at")
            for j in range(fmt.block_columns // 8):
                plane = k.let(self.packed.load(planes + j * width, width), "plane")
                high = tirx.shift_right(bitcast("uint16", plane, width // 2), const("uint16", 4, width // 2))
                for half, nibbles in enumerate((plane, bitcast("uint8", high, width))):
                    u = bitcast("uint16", tirx.bitwise_and(nibbles, const("uint8", 15, width)), width // 2)
                    product = tirx.bitwise_xor(bitcast("uint8", u * factor, width), flip)
                    k.store(self.quads, at + (2 * j + half) * width, bitcast("int8", k.let(product - zero, "w"), width))


class _Output:
    """What happens to finished sums: scales, bias, activation or gate, layer scale, residual."""

    def __init__(self, k: Kernel, spec: RowProductSpec) -> None:
        self.k, self.spec = k, spec
        self.sums = k.scratch("int32")
        self.scales = k.buffer("AS", "float32")

        def optional(name: str, wanted: bool) -> Memory | None:
            return k.buffer(name, "float32") if wanted else None

        self.bias, self.gamma = optional("bias", spec.bias), optional("gamma", spec.gamma)
        self.residual = optional("residual", spec.add)
        self.y = k.buffer("Y", "float32")

    def finish(self, w: _Weight, row: Expr, count: Expr, first: Expr, last: Expr, ld: Expr) -> None:
        """The outputs of a unit in `count` rows from `row` on, of which the tile has the sums."""
        k = self.k
        # A loop that is gone through once keeps what it reads out of the registers until then.
        with k.loop(first, last, UNIT_BLOCKS if self.spec.gated else 1) as block:
            if self.spec.gated:
                columns = [self._columns(w, each) for each in (block, block + 1)]
                with k.loop(0, count) as r:
                    gate, up = (self._value(each, r, row, i64(number)) for number, each in enumerate(columns))
                    self._store(self._activated(gate) * up, _quotient(block, UNIT_BLOCKS), row + r, ld)
                return
            scale = self._columns(w, block)
            with k.loop(0, count) as r:
                value = self._value(scale, r, row, block - first)
                self._store(self._activated(value), block, row + r, ld)

    def _columns(self, w: _Weight, block: Expr) -> tuple[Expr, Expr | None]:
        """Scales and biases of a block of weight rows."""
        bias = None if self.bias is None else self.k.let(self.bias.load(block * LANES, LANES), "bias")
        return self.k.let(w.scale(block), "scale"), bias

    def _value(self, columns: tuple[Expr, Expr | None], r: Expr, row: Expr, block: Expr) -> Expr:
        """The biased product of the tile's r-th row and its block."""
        k, (scale, bias) = self.k, columns
        sums = self.sums.load(r * UNIT_COLUMNS + block * LANES, LANES)
        product = cast("float32", sums, LANES) * (scale * broadcast(self.scales.load(row + r), LANES))
        return k.let(product if bias is None else product + bias, "value")

    def _activated(self, value: Expr) -> Expr:
        name = self.spec.activation
        return self.k.let(_ACTIVATIONS[name](self.k, value, LANES), "activated") if name else value

    def _store(self, value: Any, block: Expr, row: Expr, ld: Expr) -> None:
        k = self.k
        at = k.let(row * ld + block * LANES, "at")
        if self.gamma is not None:
            value = value * self.gamma.load(block * LANES, LANES)
        if self.spec.scale != 1.0:
            value = value * f32(self.spec.scale, LANES)
        if self.residual is not None:
            value = self.residual.load(at, LANES) + value
        k.store(self.y, at, k.let(value, "y"))
