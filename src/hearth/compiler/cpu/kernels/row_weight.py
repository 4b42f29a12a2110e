"""The weight of a product with a scale a row (row_product.py): its blocks of 16 rows ready to multiply, int8 as they
lie, 4 bits unpacked into scratch, and the numbers of its rows."""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx

from hearth.compiler.cpu.kernels import tiles
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, bitcast, cast, const, i64
from hearth.compiler.cpu.kernels.prepare_rows import RowSign
from hearth.compiler.cpu.kernels.tiles import MATRIX_BYTES, SUMS_BYTES, UNIT_BLOCKS, UNIT_COLUMNS
from hearth.compiler.cpu.targets import Isa
from hearth.quant.formats import LANES, Format

SCRATCH_BYTES = SUMS_BYTES + MATRIX_BYTES
"""Of scratch, before what is unpacked."""
AHEAD_TILES = 4
"""Tiles over which the weights of the next item are asked for."""
_CACHE_LINE = 64


def quotient(a: Expr, b: Expr | int) -> Expr:
    """a / b rounded down, of numbers that are not negative."""
    return tirx.truncdiv(a, i64(b))


def scratch_bytes(fmt: Format, kp: int) -> int:
    """Scratch that products with activations of `kp` columns use, the same for every instruction set."""
    return SCRATCH_BYTES + (0 if fmt.signed else UNIT_COLUMNS * (kp + 4 * (kp // fmt.group_columns)))


class RowWeight:
    """The packed weight: its blocks of 16 rows, ready to multiply, and the numbers of its rows."""

    def __init__(self, k: Kernel, fmt: Format, isa: Isa, sign: RowSign) -> None:
        """Args: sign: of the activations that it meets."""
        self.k, self.fmt, self.isa, self.sign = k, fmt, isa, sign
        self.packed = k.buffer("W", "uint8")
        self.scales, self.sums = (k.view(self.packed, dtype) for dtype in ("float32", "int32"))
        self.quads = k.view(self.packed, "int8") if self.fmt.signed else k.scratch("int8")
        self.steps_apart = tiles.steps_apart(self.isa) and not self.fmt.signed
        self.kept_steps = k.scratch("int32")

    def measure(self, kp: Expr) -> None:
        """Sizes follow from the columns."""
        k, fmt = self.k, self.fmt
        self.kp = kp
        self.column_blocks = k.let(quotient(kp, fmt.block_columns), "column_blocks")
        planes = self.column_blocks * fmt.block_bytes
        self.fields = k.let(quotient(planes + 63, 64) * 64, "fields")
        self.stride = k.let(self.fields + sum(field.size_bytes for field in fmt.row_fields), "stride")

    def scratch_bytes(self) -> Expr:
        """How much of scratch is in use."""
        if self.fmt.signed:
            return i64(SCRATCH_BYTES)
        return self.kp * UNIT_COLUMNS + self.column_blocks * (4 * UNIT_COLUMNS) + SCRATCH_BYTES

    def open(self, first: Expr, last: Expr) -> list[Expr]:
        """Where the quad vectors of each block of a unit begin in `quads`."""
        k = self.k
        self.blocks = [first, k.let(last - 1, "second")]
        bases = [k.let(block * self.stride, "base") for block in self.blocks]
        if not self.fmt.signed:
            unpacked = [i64(SCRATCH_BYTES), k.let(self.kp * LANES + SCRATCH_BYTES, "unpacked")]
            for block, (base, to) in enumerate(zip(bases, unpacked, strict=True)):
                self._unpack(block, base, to)
            return unpacked
        return bases

    def starts(self) -> Callable[[int, int, int], Expr] | None:
        """What the sums of the unit's blocks begin at, so that bytes which are 128 above their value count as it."""
        if not tiles.takes_unsigned(self.isa, self.steps_apart):
            return None
        if self.isa.unsigned_activations and self.sign == "positive":
            return None

        def start(block: int, lane: int, lanes: int) -> Expr:
            at = self._field(self.blocks[block], "sum", lane)
            return self.k.let(self.sums.load(at, lanes) * const("int32", -128, lanes), "start")

        return start

    def steps(self) -> Callable[[int, Expr, int], Expr] | None:
        """The integer scales of groups, where they are not in the unpacked bytes."""
        if not self.steps_apart:
            return None
        isa = self.isa

        def step(block: int, group: Expr, part: int) -> Expr:
            return self.kept_steps.load(self._step(i64(block), group) + part * isa.rows, isa.rows)

        return step

    def _step(self, block: Expr, group: Expr) -> Expr:
        """Where the scales of a group are kept, behind the unpacked bytes of both blocks; counted in 4 bytes."""
        behind = SCRATCH_BYTES // 4 + quotient(self.kp * UNIT_COLUMNS, 4)
        return behind + (block * self.column_blocks + group) * LANES

    def look_ahead(self, part: Expr, quads: Expr) -> Callable[[Expr, int], None]:
        """Asks for the weights of the next unit, of which a tile takes one of `AHEAD_TILES` parts: they come from
        memory, and no processor looks so far ahead by itself. Past the end too; nothing is read."""
        per_quad = self.fmt.block_bytes * UNIT_BLOCKS * 4 // self.fmt.block_columns // AHEAD_TILES
        begin = self.k.let((self.blocks[0] + UNIT_BLOCKS) * self.stride + part * quads * per_quad, "ahead")

        def ahead(quad: Expr, count: int) -> None:
            for line in range(0, count * per_quad, _CACHE_LINE):
                self.k.prefetch(self.packed, begin + quad * per_quad + line, level=2)

        return ahead

    def scale(self, block: Expr) -> Expr:
        return self.scales.load(self._field(block, "scale", 0), LANES)

    def _field(self, block: Expr, name: str, lane: int) -> Expr:
        """Index of a number of whole rows, counted in 4 bytes."""
        return quotient(block * self.stride + self.fields + self.fmt.field(name).offset, 4) + lane

    def _unpack(self, block: int, base: Expr, to: Expr) -> None:
        """The integers of a block of 16 rows, (u - 8) * step, as quad vectors of signed bytes from `to` on; or without
        the steps, and these apart, each in both words of its lane."""
        k, fmt = self.k, self.fmt
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
