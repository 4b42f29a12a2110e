"""Reads packed weights inside a kernel: from the bytes of docs/architecture.md to vectors of integers and scales.

The sizes and offsets come from `quant.Format`; this file only says which shifts and masks turn a plane into quads.
"""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, bitcast, cast, const
from hearth.compiler.cpu.kernels.halves import float_loader, half_to_float
from hearth.compiler.cpu.kernels.look_up import look_up
from hearth.compiler.cpu.targets import ISAS, Isa
from hearth.quant.formats import FIELD_BYTES, PLANE_COLUMNS, Field, Format

QUADS = 8  # quads (4 columns) in a group of 32 columns


def _shift(value: Expr, bits: int, width: int) -> Expr:
    """Bytes shifted right by `bits` (left when negative), as 16-bit words: the caller masks what crosses over."""
    if bits == 0:
        return value
    words, amount = bitcast("uint16", value, width // 2), const("uint16", abs(bits), width // 2)
    shifted = tirx.shift_right(words, amount) if bits > 0 else tirx.shift_left(words, amount)
    return bitcast("uint8", shifted, width)


def lift(fmt: Format, isa: Isa) -> int:
    """Bits by which the integers of a format are shifted up when read (`Isa.lifts_integers`)."""
    return 8 - fmt.bits if isa.lifts_integers and fmt.zero_point else 0


def higher(fmt: Format, isa: Isa) -> int:
    """By how much signed integers are above their value when read: 128 where the instruction takes unsigned bytes; for
    a table of small ones as much as makes them positive, where it takes those below 128 with less ado."""
    if not fmt.has_signed_values:
        return 0
    if isa.unsigned_quads(signed=True):
        return 128
    if fmt.table and isa.prefers_positive_quads:
        least = next(step for step in (16, 64, 128) if min(fmt.table) > -step)
        return least if max(fmt.table) + least < 128 else 0
    return 0


def multiplied_bits(fmt: Format, isa: Isa) -> int:
    """Bits of the integers that `load_quads` gives, without a sign below 8."""
    above = higher(fmt, isa)
    if fmt.has_signed_values and above in (0, 128):
        return 8
    return (max(fmt.table) + above).bit_length() if above else fmt.bits


def load_quads(
    k: Kernel, w: Memory, fmt: Format, base: Expr, group: Expr, part: int, isa: Isa, native: Isa | None = None
) -> list[Callable[[], Expr]]:
    """The 8 quad vectors of one group of 32 columns, for the rows of one part of the block.

    Args:
        w: the packed weight as uint8.
        base: byte offset of the column block.
        group: index of the group in the block.
        part: which `isa.rows` of the 16 rows.
        native: the instruction set that the code is for; None: `isa`.

    Returns:
        For each quad a function that emits its vector, uint8 of `isa.width`, to be called once and in order: integers
        as stored, or shifted up (`lift`); signed ones `higher`.
    """
    up, above = lift(fmt, isa), higher(fmt, isa)
    width = isa.width
    loaded: dict[tuple[str, int], Expr] = {}

    def plane(name: str, vector: int) -> Expr:
        if (name, vector) not in loaded:
            offset = fmt.plane_offset(name) + vector * 64 + part * width
            loaded[name, vector] = k.let(w.load(base + group * fmt.plane_group_bytes + offset, width), "plane")
        return loaded[name, vector]

    def signed(s: int) -> Expr:
        value = plane("int8", s)
        return tirx.bitwise_xor(value, const("uint8", 128, width)) if above else value

    def field(name: str, s: int, at: int, to: int) -> Expr:
        """The bits of a quad in a plane, of which vector and shift are known, moved to where they belong."""
        vector, bits = (s // 2, 4) if name == "low4" else (s // 4, 2) if name in ("low2", "high2") else (0, 1)
        moved = _shift(plane(name, vector), at - to, width)
        return tirx.bitwise_and(moved, const("uint8", (1 << bits) - 1 << to, width))

    def unsigned(s: int) -> Expr:
        value = field("low4", s, 4 * (s % 2), up) if "low4" in fmt.planes else field("low2", s, 2 * (s % 4), up)
        if "high1" in fmt.planes:
            value = tirx.bitwise_or(value, field("high1", s, s, fmt.low_bits + up))
        if "high2" in fmt.planes:
            value = tirx.bitwise_or(value, field("high2", s, 2 * (s % 4), fmt.low_bits + up))
        return value

    def from_table(s: int) -> Expr:
        table = [entry + above & 255 for entry in fmt.table]
        return look_up(native or isa, k, k.let(unsigned(s), "place"), width, table)

    read = from_table if fmt.table else signed if fmt.signed else unsigned
    return [lambda s=s: k.let(read(s), "quad") for s in range(QUADS)]  # type: ignore[misc]


class Scales:
    """Scale and offset vectors of a block's groups, for the rows of one part: value = integer * scale + offset.

    `isa` None: of the integers as stored. Else of those that `load_quads` gives, and with `start_shift` the offset
    leaves the zero point out: sums of products then begin at (-128 * sum of the activations) >> `start_shift`.
    """

    def __init__(self, k: Kernel, w: Memory, fmt: Format, base: Expr, part: int, isa: Isa | None) -> None:
        self.k, self.w, self.fmt, self.base = k, w, fmt, base
        self.rows = 16 if isa is None else isa.rows
        self.part = part
        self.software_half = isa is not None and not isa.has_half
        self.half = k.view(w, "int16" if self.software_half else "float16")
        self.single = k.view(w, "float32")
        up = lift(fmt, isa) if isa is not None else 0
        self.unit = 1.0 / (1 << up)
        self.zero_point = (fmt.zero_point << up) + (higher(fmt, isa) if isa is not None else 0)
        self.start_shift: int | None = None
        # Where the start must be shifted it costs as much as an offset, and saves only that of each half of a group.
        if isa is not None and self.zero_point and (isa.lifts_integers or fmt.group_columns < PLANE_COLUMNS):
            self.start_shift = (128 // self.zero_point).bit_length() - 1
            self.zero_point = 0
        if fmt.is_super:
            self.d = k.let(self._scaled(self._number("scale", 0)), "d")
            minus = const("float32", -1.0, self.rows)
            self.minus_dmin = k.let(minus * self._number("min", 0), "dmin") if fmt.has_min else None

    def _scaled(self, scale: Expr) -> Expr:
        return scale if self.unit == 1.0 else scale * const("float32", self.unit, self.rows)

    def _number(self, name: str, index: Expr) -> Expr:
        """f32 of the rows in entry `index` of a field."""
        field, rows = self.fmt.field(name), self.rows
        size = FIELD_BYTES[field.dtype]
        start = tirx.floordiv(self.base, tirx.IntImm("int64", size)) + (
            field.offset // size + index * 16 + self.part * rows
        )
        if field.dtype == "f32":
            return self.single.load(start, rows)
        if field.dtype == "f16":
            value = self.half.load(start, rows)
            return half_to_float(value, rows, finite=True) if self.software_half else cast("float32", value, rows)
        return byte_to_float(self.w.load(start, rows), field, rows)

    def get(self, index: Expr) -> tuple[Expr, Expr | None]:
        """Scale and offset of scale group `index` of the block (32 or 16 columns); offset None: it is 0."""
        k = self.k
        if self.fmt.is_super:
            scale = k.let(self.d * self._number("sub_scale", index), "scale")
            offset = None
            if self.minus_dmin is not None:
                offset = k.let(self.minus_dmin * self._number("sub_min", index), "offset")
        else:
            scale = k.let(self._scaled(self._number("scale", index)), "scale")
            offset = k.let(self._number("min", index), "offset") if self.fmt.has_min else None
        if self.zero_point:
            offset = k.let(scale * const("float32", -float(self.zero_point), self.rows), "offset")
        return scale, offset


def byte_to_float(value: Expr, field: Field, lanes: int) -> Expr:
    """f32 of the bytes of a field (`formats.FieldType`)."""
    if field.dtype == "i8":
        return cast("float32", cast("int32", bitcast("int8", value, lanes), lanes), lanes)
    bits = cast("int32", value, lanes)

    def integer(number: int) -> Expr:
        return const("int32", number, lanes)

    if field.dtype == "u4":
        bits = tirx.bitwise_and(tirx.shift_right(bits, integer(field.shift)), integer(15))
    elif field.dtype == "e8m0":  # the exponent of a float; below all normal ones is half of the least
        bits = tirx.max(tirx.shift_left(bits, integer(23)), integer(1 << 22))
        return bitcast("float32", bits, lanes) * const("float32", 0.5, lanes)
    elif field.dtype == "e4m3":  # exponent and fraction of a float; below the least exponent steps are even
        normal = bitcast("float32", tirx.shift_left(bits, integer(20)) + integer((127 - 8) << 23), lanes)
        small = cast("float32", bits, lanes) * const("float32", 2.0**-10, lanes)
        return tirx.Select(bits < integer(8), small, normal)
    return cast("float32", bits, lanes)


def float_columns(k: Kernel, w: Memory, fmt: Format, isa: Isa) -> Callable[[Expr, Expr], list[Expr]]:
    """For kernels with f32 activations: a function (byte offset of a column block, group) -> the f32x16 vector of each
    of the group's columns (32 of them; for float formats: the 4 columns from `group * 4`)."""

    def dequantised(base: Expr, group: Expr) -> list[Expr]:
        scales = Scales(k, w, fmt, base, 0, None)
        per_scale = fmt.group_columns
        columns: list[Expr] = []
        words = [bitcast("uint32", quad(), 16) for quad in load_quads(k, w, fmt, base, group, 0, ISAS["generic"], isa)]
        current: tuple[Expr, Expr | None] | None = None
        for c in range(32):
            if c % per_scale == 0:
                current = scales.get(group * (32 // per_scale) + c // per_scale)
            assert current is not None
            scale, offset = current
            word, byte = words[c // 4], c % 4
            if fmt.has_signed_values:
                word = bitcast("int32", word, 16)
                up = tirx.shift_left(word, const("int32", 24 - 8 * byte, 16))
                value = tirx.shift_right(up, const("int32", 24, 16))
            else:
                value = tirx.bitwise_and(
                    tirx.shift_right(word, const("uint32", 8 * byte, 16)), const("uint32", 255, 16)
                )
                value = bitcast("int32", value, 16)
            real = cast("float32", value, 16) * scale
            columns.append(k.let(real if offset is None else real + offset, "w"))
        return columns

    typed = {"f32": "float32", "f16": "float16", "bf16": "uint16"}

    def as_stored(base: Expr, group: Expr) -> list[Expr]:
        dtype = typed[fmt.name]
        values = k.view(w, dtype)
        load = float_loader(isa, k, values)
        size = fmt.bits // 8
        start = tirx.floordiv(base, tirx.IntImm("int64", size))
        columns = []
        for c in range(4):
            at = start + (group * 4 + c) * 16
            if dtype == "uint16":
                v = bitcast(
                    "float32", tirx.shift_left(cast("uint32", values.load(at, 16), 16), const("uint32", 16, 16)), 16
                )
            else:
                v = load(at, 16)
            columns.append(k.let(v, "w"))
        return columns

    return as_stored if fmt.is_float else dequantised
