"""Weights in groups, rotated and rounded to bytes with one scale a row while they are multiplied.

What is packed stays as it is: a product that sums integers over all of K (coarse_product.py) reads the groups of a unit
of weight rows, makes bytes of them in scratch, and multiplies these by all the rows that it has. Rotation (rotation.py)
and rounding are f32, and the same whatever else is computed.
"""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx

from hearth.compiler.cpu.kernels import dot, rotation, tiles
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, bitcast, const, f32, fma, i64
from hearth.compiler.cpu.kernels.rotation import rotate_vectors
from hearth.compiler.cpu.kernels.tiles import LANES, QUAD_BYTES, SUMS_BYTES, UNIT_BLOCKS
from hearth.compiler.cpu.kernels.weights import float_columns
from hearth.compiler.cpu.targets import Isa
from hearth.quant.formats import PLANE_COLUMNS, Format

_SCALES = SUMS_BYTES
"""Scratch: sums of a tile; scales of a unit's rows; what their sums begin at; rotated columns of a block; bytes."""
_STARTS = _SCALES + UNIT_BLOCKS * 4 * LANES
_COLUMNS = _STARTS + UNIT_BLOCKS * 4 * LANES


def scratch_bytes(kp: int) -> int:
    """Scratch that a product of activations of `kp` columns uses with rounded weights."""
    return _COLUMNS + kp * LANES * (4 + UNIT_BLOCKS)


class RoundedWeight:
    """A unit of two blocks of 16 weight rows as signed bytes in scratch.

    Args:
        w: the packed weight as uint8.
        blocks: column blocks in a row.
        kp: columns.

    Attributes:
        quads: scratch as int8: quad vectors of the integers.
        bases: where those of the unit's blocks begin.
    """

    def __init__(self, k: Kernel, w: Memory, fmt: Format, isa: Isa, blocks: Expr, kp: Expr) -> None:
        self.k, self.fmt, self.isa, self.blocks, self.kp = k, fmt, isa, blocks, kp
        self.quads, self.floats, self.integers = (k.scratch(dtype) for dtype in ("int8", "float32", "int32"))
        self.columns = float_columns(k, w, fmt, isa)
        first = k.let(kp * (4 * LANES) + _COLUMNS, "first")
        self.bases = [first, k.let(first + kp * LANES, "second")]

    def round(self, first: Expr, last: Expr) -> None:
        """Makes bytes of the blocks of weight rows `first` and `last`, which may be one and the same."""
        k = self.k
        with k.loop(0, UNIT_BLOCKS) as number:
            largest = self._rotate(k.let(tirx.Select(number < i64(1), first, last), "block"))
            small = f32(1e-30, LANES)
            inverse = tirx.Select(largest > small, f32(127.0, LANES) / tirx.max(largest, small), f32(0.0, LANES))
            scale = largest * f32(1.0 / 127.0 / rotation.COLUMNS, LANES)
            k.store(self.floats, _SCALES // 4 + number * LANES, k.let(scale, "scale"))
            to = k.let(tirx.Select(number < i64(1), self.bases[0], self.bases[1]), "to")
            self._round(k.let(inverse, "inverse"), to)
            if tiles.takes_unsigned(self.isa, False):
                self._sum(number, to)

    def scale(self, number: Expr) -> Expr:
        """Scales of the rows of a block of the unit, float32x16."""
        return self.floats.load(_SCALES // 4 + number * LANES, LANES)

    def starts(self) -> Callable[[int, int, int], Expr] | None:
        """What sums begin at (`tiles.Operands.starts`)."""
        if not tiles.takes_unsigned(self.isa, False):
            return None
        return lambda block, lane, lanes: self.integers.load(i64(_STARTS // 4 + block * LANES + lane), lanes)

    def _rotate(self, block: Expr) -> Expr:
        """Writes the rotated columns of a block as f32, and gives the largest magnitude of each row."""
        k, fmt = self.k, self.fmt
        # Magnitudes compare as their bits do, and integers need no care for NaN.
        most, magnitude = k.register("int32", LANES, const("int32", 0, LANES)), const("int32", 0x7FFFFFFF, LANES)
        with k.loop(0, self.blocks) as cb:
            base = k.let((block * self.blocks + cb) * fmt.block_bytes, "base")
            with k.loop(0, fmt.plane_groups) as group:
                at = k.let((cb * fmt.block_columns + group * PLANE_COLUMNS) * LANES + _COLUMNS // 4, "at")
                rotated = rotate_vectors(k, self.columns(base, group))
                for c, column in enumerate(rotated):
                    k.store(self.floats, at + c * LANES, column)
                    most.set(tirx.max(most.get(), tirx.bitwise_and(bitcast("int32", column, LANES), magnitude)))
        return k.let(bitcast("float32", most.get(), LANES), "largest")

    def _round(self, inverse: Expr, to: Expr) -> None:
        """Writes the rotated columns as quad vectors of bytes."""
        k = self.k
        # A sum with 1.5 * 2**23 is rounded to the nearest whole number, ties to even, and ends in that number's bits.
        magic, low = f32(1.5 * 2**23, LANES), const("int32", 255, LANES)
        with k.loop(0, tirx.floordiv(self.kp, i64(4))) as quad:
            packed = None
            for byte in range(4):
                column = self.floats.load((quad * 4 + byte) * LANES + _COLUMNS // 4, LANES)
                bits = bitcast("int32", fma(column, inverse, magic, LANES), LANES)
                if byte < 3:
                    bits = tirx.bitwise_and(bits, low)
                bits = tirx.shift_left(bits, const("int32", 8 * byte, LANES))
                packed = bits if packed is None else tirx.bitwise_or(packed, bits)
            k.store(self.quads, to + quad * QUAD_BYTES, k.let(bitcast("int8", packed, QUAD_BYTES), "quad"))

    def _sum(self, number: Expr, begin: Expr) -> None:
        """-128 times the sums of the rows' integers, which sums of unsigned activations begin at."""
        k, isa = self.k, self.isa
        ones = const("int8", 1, isa.width)
        totals = [k.register("int32", isa.rows, const("int32", 0, isa.rows)) for _ in range(isa.parts)]
        with k.loop(0, tirx.floordiv(self.kp, i64(4))) as quad:
            for part, total in enumerate(totals):
                weights = self.quads.load(begin + quad * QUAD_BYTES + part * isa.width, isa.width)
                total.set(dot.accumulate(isa, total.get(), ones, weights, 8))
        for part, total in enumerate(totals):
            start = k.let(total.get() * const("int32", -128, isa.rows), "start")
            k.store(self.integers, _STARTS // 4 + number * LANES + part * isa.rows, start)
