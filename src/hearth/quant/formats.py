"""The table of number formats: every byte of a packed weight block is described here, once.

A weight `W[N, K]` is packed in blocks of 16 rows by `block_columns` columns (docs/architecture.md, "Packed weight
layout"). Whoever reads or writes such a block (the numpy reference in this folder, the kernel generator) asks a
`Format` for sizes and offsets; nobody else knows a number. Formats whose blocks are laid out alike share a
`kernel_layout`, so one kernel serves both `q4` (made here) and `q4_0` (a GGUF block type, only reordered).

Where the integers of a format are no evenly spaced numbers they are places in a table of at most 16 signed bytes. That
holds every published type of 4 bits that is not evenly spaced, and the types of 1 to 3 bits whose vectors come from
grids: the numbers of a grid, with either sign, are few.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hearth.errors import Unsupported

LANES = 16
"""Rows of a packed block: lane r of row block b is row 16 * b + r."""
PLANE_COLUMNS = 32
"""Columns that a set of integer planes covers; also the group size of every simple block format."""
COLUMN_MULTIPLE = 64
"""Columns are padded to this multiple, with zeros (k-quants: to their block of 256)."""

PLANE_BYTES = {"low4": 256, "low2": 128, "high1": 64, "high2": 128, "int8": 512}
"""Bytes of one plane of 16 rows by 32 columns."""

FieldType = Literal["f16", "u8", "i8", "f32", "i32", "u4", "e8m0", "e4m3"]
"""`u4`: half of a byte, whose other half is another field. Powers of two and floats of 8 bits, halved, since the tables
that they multiply hold the doubles of their numbers: `e8m0` is 2 ** (byte - 128), `e4m3` half of what the byte is as an
OCP E4M3 number without a sign (every byte below 128 is a number)."""
FIELD_BYTES: dict[FieldType, int] = {"f16": 2, "u8": 1, "i8": 1, "f32": 4, "i32": 4, "u4": 1, "e8m0": 1, "e4m3": 1}


def round_up(value: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is at least `value`."""
    return -(-value // multiple) * multiple


@dataclass(frozen=True)
class Field:
    """Numbers of 16 rows, lane by lane: `[count][16]` of `dtype`. They follow the planes of a block, or, where they
    belong to whole rows, all blocks of those rows.

    Attributes:
        name: `scale`, `min`, `sub_scale` or `sub_min`: the array of `Blocks` that it holds; `sum`: see `Format`.
        offset: byte offset from the start of the block, or from the end of the last one.
        count: entries a block and row.
        shift: of `u4`: which half of the byte, 0 or 4.
    """

    name: str
    dtype: FieldType
    offset: int
    count: int
    shift: int = 0

    @property
    def size_bytes(self) -> int:
        """Bytes of the field for 16 rows."""
        return self.count * LANES * FIELD_BYTES[self.dtype]


@dataclass(frozen=True)
class Format:
    """A number format and the bytes of its packed block.

    Attributes:
        name: as users, GGUF and manifests spell it.
        kernel_layout: equal for formats whose packed bytes mean the same: `b2 b4 b4m b5 b5m b8 k2 k3 k4 k5 k6 r8 r4
            f32 f16 bf16`; with a table its name follows: `b4_nl`.
        bits: of the stored integer or float.
        group_columns: columns that share one scale (k-quants and i4: one integer sub-scale); 1 for floats, 0 where a
            scale belongs to the whole row.
        block_columns: columns of a packed block; 1 for floats.
        block_bytes: bytes of a packed block (16 rows), a multiple of 64 for all but the 16-bit floats (32).
        planes: integer planes of each group of 32 columns, in order.
        fields: what follows the planes of all groups.
        row_fields: what follows all blocks of 16 rows, from a multiple of 64 bytes on: a scale f32, and `sum` i32, the
            sum of the row's integers (times their sub-scales), which products with unsigned activations take off.
        zero_point: the stored integer that stands for 0 (before a min is added).
        signed: True where integers are stored as signed bytes.
        has_min: True where a value is `u * scale + min` (k-quants: `u * d * sc - dmin * m`).
        table: the signed bytes that stored integers are places of; empty where they are numbers themselves.
        is_super: True for k-quants: sub-scales under one float scale in 256 columns.
        is_row: True where a scale belongs to the whole row (i8, i4: integer sub-scales under it).
        is_float: True for f32, f16, bf16: no blocks, no scales.
    """

    name: str
    kernel_layout: str
    bits: int
    group_columns: int
    block_columns: int
    block_bytes: int
    planes: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()
    row_fields: tuple[Field, ...] = ()
    zero_point: int = 0
    signed: bool = False
    has_min: bool = False
    table: tuple[int, ...] = ()
    is_super: bool = False
    is_row: bool = False
    is_float: bool = False

    @property
    def has_signed_values(self) -> bool:
        """Whether what products multiply are signed bytes: the stored ones, or those of the table."""
        return self.signed or bool(self.table)

    @property
    def low_bits(self) -> int:
        """Bits of an integer below those that the planes `high1` and `high2` hold."""
        return 2 if "low2" in self.planes else 4

    @property
    def plane_groups(self) -> int:
        """Groups of 32 columns in a block (0 for floats)."""
        return self.block_columns // PLANE_COLUMNS

    @property
    def plane_group_bytes(self) -> int:
        """Bytes of all planes of one group of 32 columns: the stride from group to group."""
        return sum(PLANE_BYTES[plane] for plane in self.planes)

    @property
    def column_multiple(self) -> int:
        """What K is padded to: 64, or 256 for k-quants, or 32 where a scale belongs to the whole row."""
        return self.block_columns if self.is_row else max(COLUMN_MULTIPLE, self.block_columns)

    def plane_offset(self, plane: str, group: int = 0) -> int:
        """Byte offset in a block of `plane` (`low4`, ...) of group `group` of 32 columns."""
        before = self.planes[: self.planes.index(plane)]
        return group * self.plane_group_bytes + sum(PLANE_BYTES[name] for name in before)

    def field(self, name: str) -> Field:
        """The field called `name`; KeyError when the format has none."""
        for field in (*self.fields, *self.row_fields):
            if field.name == name:
                return field
        raise KeyError(f"format {self.name} has no field {name}")

    def padded(self, n: int, k: int) -> tuple[int, int]:
        """Rows and columns that `[n, k]` takes when packed."""
        return round_up(n, LANES), round_up(k, self.column_multiple)

    def row_fields_offset(self, k: int) -> int:
        """Where the numbers of whole rows begin in the packed bytes of 16 rows of `k` columns."""
        blocks = round_up(k, self.column_multiple) // self.block_columns * self.block_bytes
        return round_up(blocks, 64) if self.is_row else blocks

    def row_block_bytes(self, k: int) -> int:
        """Packed bytes of 16 rows of `k` columns."""
        return self.row_fields_offset(k) + sum(field.size_bytes for field in self.row_fields)

    def packed_size(self, n: int, k: int) -> int:
        """Packed bytes of a weight `[n, k]`."""
        return round_up(n, LANES) // LANES * self.row_block_bytes(k)


def _blocks(
    name: str,
    layout: str,
    bits: int,
    planes: tuple[str, ...],
    *fields: tuple[str, FieldType, int],
    zero_point: int = 0,
    signed: bool = False,
    columns: int = 64,
    group: int = 32,
    table: tuple[int, ...] = (),
    row: tuple[tuple[str, FieldType, int], ...] = (),
) -> Format:
    """A block format, its offsets summed up: planes group by group, then the fields in order, then zero bytes."""
    placed, offset = _place(fields, columns // PLANE_COLUMNS * sum(PLANE_BYTES[plane] for plane in planes))
    return Format(
        name=name,
        kernel_layout=layout,
        bits=bits,
        group_columns=group,
        block_columns=columns,
        block_bytes=offset if row else round_up(offset, 64),
        planes=planes,
        fields=placed,
        row_fields=_place(row, 0)[0],
        zero_point=zero_point,
        signed=signed,
        has_min=any(field.name == "min" for field in placed),
        table=table,
        is_super=columns == 256,
        is_row=bool(row),
    )


def _place(fields: tuple[tuple[str, FieldType, int], ...], offset: int) -> tuple[tuple[Field, ...], int]:
    """Fields in order from `offset` on, and where the last one ends."""
    placed: list[Field] = []
    for name, dtype, count in fields:
        before = placed[-1] if placed else None
        if dtype == "u4" and before is not None and before.dtype == "u4" and before.shift == 0:
            placed.append(Field(name, dtype, before.offset, count, shift=4))
            continue
        placed.append(Field(name, dtype, offset, count))
        offset += placed[-1].size_bytes
    return tuple(placed), offset


def _float(name: str, bits: int) -> Format:
    return Format(name, name, bits, group_columns=1, block_columns=1, block_bytes=LANES * bits // 8, is_float=True)


_SCALE: tuple[str, FieldType, int] = ("scale", "f16", 2)
_MIN: tuple[str, FieldType, int] = ("min", "f16", 2)
# k-quants: 8-bit (6 significant) sub-scales and sub-mins, then d and dmin, which are `scale` and `min` here.
_K_FIELDS: tuple[tuple[str, FieldType, int], ...] = (
    ("sub_scale", "u8", 8),
    ("sub_min", "u8", 8),
    ("scale", "f16", 1),
    ("min", "f16", 1),
)
_K6_FIELDS: tuple[tuple[str, FieldType, int], ...] = (("sub_scale", "i8", 16), ("scale", "f16", 1))
_K2_FIELDS: tuple[tuple[str, FieldType, int], ...] = (
    ("sub_scale", "u4", 16),
    ("sub_min", "u4", 16),
    ("scale", "f16", 1),
    ("min", "f16", 1),
)
# Under a table: sub-scales of 32 columns, or of 16; the scale has whatever power of two a type multiplies it by.
_T32_FIELDS: tuple[tuple[str, FieldType, int], ...] = (("sub_scale", "i8", 8), ("scale", "f32", 1))
_T16_FIELDS: tuple[tuple[str, FieldType, int], ...] = (("sub_scale", "i8", 16), ("scale", "f32", 1))
_NV_FIELDS: tuple[tuple[str, FieldType, int], ...] = (("sub_scale", "e4m3", 16), ("scale", "f32", 1))


def _signed(*sizes: int) -> tuple[int, ...]:
    """Numbers, then their negatives."""
    return (*sizes, *(-size for size in sizes))


TABLES: dict[str, tuple[int, ...]] = {
    "nl": (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113),
    "e2m1": _signed(0, 1, 2, 3, 4, 6, 8, 12),
    "iq1": (-9, -7, -1, 1, 7, 9),
    "iq2": _signed(8, 25, 43),
    "iq3": _signed(1, 3, 5, 7, 9, 11, 13, 15),
    "iq3x": _signed(4, 12, 20, 28, 36, 44, 52, 62),
}
"""By name: the 16 steps of IQ4_NL; the doubles of all numbers of 4 bits (OCP E2M1); of each grid the numbers that stand
in it, with either sign (IQ1: eight times -1, 0 or 1, and one more or less)."""


def _table(
    name: str, kind: str, table: str, *fields: tuple[str, FieldType, int], columns: int = 256, group: int = 32
) -> Format:
    """A format whose integers are places in a table."""
    layout = f"{kind}_{table}"
    return _blocks(name, layout, 4, ("low4",), *fields, columns=columns, group=group, table=TABLES[table])


_ROW: tuple[tuple[str, FieldType, int], ...] = (("scale", "f32", 1), ("sum", "i32", 1))

FORMATS: dict[str, Format] = {
    fmt.name: fmt
    for fmt in (
        _float("f32", 32),
        _float("f16", 16),
        _float("bf16", 16),
        _blocks("q4", "b4", 4, ("low4",), _SCALE, zero_point=8),
        _blocks("q4a", "b4m", 4, ("low4",), _SCALE, _MIN),
        _blocks("q8", "b8", 8, ("int8",), _SCALE, signed=True),
        _blocks("i8", "r8", 8, ("int8",), signed=True, columns=32, group=0, row=_ROW),
        _blocks("i4", "r4", 4, ("low4",), ("sub_scale", "i8", 1), zero_point=8, columns=32, row=_ROW),
        _blocks("q4_0", "b4", 4, ("low4",), _SCALE, zero_point=8),
        _blocks("q4_1", "b4m", 4, ("low4",), _SCALE, _MIN),
        _blocks("q5_0", "b5", 5, ("low4", "high1"), _SCALE, zero_point=16),
        _blocks("q5_1", "b5m", 5, ("low4", "high1"), _SCALE, _MIN),
        _blocks("q8_0", "b8", 8, ("int8",), _SCALE, signed=True),
        _blocks("q4_k", "k4", 4, ("low4",), *_K_FIELDS, columns=256),
        _blocks("q5_k", "k5", 5, ("low4", "high1"), *_K_FIELDS, columns=256),
        _blocks("q6_k", "k6", 6, ("low4", "high2"), *_K6_FIELDS, zero_point=32, columns=256, group=16),
        _blocks("q2_k", "k2", 2, ("low2",), *_K2_FIELDS, columns=256, group=16),
        _blocks("q3_k", "k3", 3, ("low2", "high1"), *_K6_FIELDS, zero_point=4, columns=256, group=16),
        *(_blocks(name, "b2", 2, ("low2",), _SCALE, zero_point=1) for name in ("q1_0", "q2_0", "tq1_0", "tq2_0")),
        _table("iq4_nl", "b4", "nl", _SCALE, columns=64),
        _table("iq4_xs", "t32", "nl", *_T32_FIELDS),
        _table("iq3_xxs", "t32", "iq3x", *_T32_FIELDS),
        _table("iq3_s", "t32", "iq3", *_T32_FIELDS),
        _table("iq2_xxs", "t32", "iq2", *_T32_FIELDS),
        _table("iq2_xs", "t16", "iq2", *_T16_FIELDS, group=16),
        _table("iq2_s", "t16", "iq2", *_T16_FIELDS, group=16),
        _table("iq1_s", "t32", "iq1", *_T32_FIELDS),
        _table("iq1_m", "t16", "iq1", *_T16_FIELDS, group=16),
        _table("mxfp4", "x4", "e2m1", ("scale", "e8m0", 4), columns=128),
        _table("nvfp4", "n4", "e2m1", *_NV_FIELDS, group=16),
    )
}
"""Every format by name."""


def get_format(name: str) -> Format:
    """The format called `name`.

    Raises:
        Unsupported: there is none.
    """
    if name not in FORMATS:
        raise Unsupported(f"Unknown number format '{name}'.", hint=f"Known: {', '.join(FORMATS)}.")
    return FORMATS[name]


def packed_size(fmt: Format, n: int, k: int) -> int:
    """Bytes of a packed weight `[n, k]`."""
    return fmt.packed_size(n, k)
