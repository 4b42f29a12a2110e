"""Reads packed weights inside GPU kernels: from the bytes of docs/architecture.md to numbers of 4 rows, or of one.

A vector of 64 bytes holds a word for each of 16 rows. An invocation that takes 4 neighbouring rows loads a quarter of
such a vector at once, so 4 invocations side by side read all of it; one that takes a single row loads its word. Both
are the same code here, with words of 4 *lanes* or of one.

The sizes and offsets come from `quant.Format`; this file only says which shifts and masks turn a plane into numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tvm import tirx

from hearth.compiler.gpu.kernels.builder import (
    Expr,
    GpuKernel,
    Memory,
    bitcast,
    builtin,
    cast,
    div,
    f32,
    i32,
    lane,
    mod,
    splat,
    u32,
    unpack_halves,
    vec,
    vector,
)
from hearth.quant.formats import PLANE_COLUMNS, Field, Format

OCTET = 8
"""Columns that an invocation takes at once: a word of `low4` for each row."""
OCTETS = PLANE_COLUMNS // OCTET
_BYTE_SIGNS = 0x80808080


class Weight:
    """Rows of a packed weight, as one invocation reads them.

    Attributes:
        lanes: rows that are read together: 4 or 1.
        zero_point: the integer that stands for 0 among those that are read.
        has_offset: whether numbers are an integer times a scale plus an offset.
        spans: of columns with a scale of their own, in a group of 32.
    """

    def __init__(self, k: GpuKernel, name: str, fmt: Format, lanes: int, *, as_stored: bool = False) -> None:
        """Declares the buffer; `scalars` the scalar. `place` has to be called before anything is read.

        Args:
            as_stored: signed integers are read as they are; else 128 higher, as bytes without a sign, which become
                floats more easily.
        """
        self.k, self.fmt, self.lanes = k, fmt, lanes
        self.lifted = fmt.has_signed_values and not as_stored
        # Of 16-bit floats 4 rows are 8 bytes.
        words = 2 if lanes == 4 and fmt.is_float and fmt.bits == 16 else lanes
        self.element_bytes = 4 * words
        self.memory: Memory = k.buffer(name, vec("uint32", words))
        self.zero_point = 128 if self.lifted else fmt.zero_point
        self.has_offset = bool(self.zero_point or fmt.has_min)
        self.spans = PLANE_COLUMNS // fmt.group_columns if fmt.group_columns > 1 else 1

    def scalars(self) -> None:
        """blocks: column blocks in a row."""
        self.blocks = self.k.scalar("blocks")

    @classmethod
    def parts(cls, k: GpuKernel, name: str, fmt: Format, lanes: int, count: int) -> list[Weight]:
        """A weight in parts, each a buffer."""
        return [cls(k, f"{name}{i}" if count > 1 else name, fmt, lanes) for i in range(count)]

    @staticmethod
    def scalars_of(weights: Sequence[Weight]) -> Expr:
        """The scalars of parts: blocks; height: blocks of 16 rows in each part but perhaps the last."""
        first, *others = weights
        first.scalars()
        for other in others:
            other.blocks = first.blocks
        return first.k.scalar("height")

    def place(self, row: Expr) -> None:
        """Says which rows of a block of 16 the invocation takes: `row` counts quarters, or rows where `lanes` is 1."""
        self.row = row

    def block_elements(self, blocks: Expr) -> Expr:
        """Elements of the buffer that so many column blocks take."""
        return blocks * (self.fmt.block_bytes // self.element_bytes)

    def start(self, block: Expr) -> Expr:
        """The element at which a block of 16 rows begins."""
        size = self._row_fields_at()
        return self.k.let(
            block * (size + sum(f.size_bytes for f in self.fmt.row_fields) // self.element_bytes), "start"
        )

    def _row_fields_at(self) -> Expr:
        """How far behind the start of 16 rows the numbers of whole rows stand, in elements."""
        size = self.block_elements(self.blocks)
        if not self.fmt.is_row:
            return size
        return div(size + (64 // self.element_bytes - 1), 64 // self.element_bytes) * (64 // self.element_bytes)

    def row_scaled(self, sums: Expr, block: Expr, row: Expr) -> Expr:
        """Sums of a block's rows, `row` as in `place`, times their scales, where scales belong to whole rows."""
        if not self.fmt.is_row:
            return sums
        at = self.start(block) + self._row_fields_at() + self.fmt.field("scale").offset // self.element_bytes
        return self.k.let(sums * bitcast("float32", self.memory.load(at + row), self.lanes), "sums")

    def group(self, start: Expr, index: Expr) -> Group:
        """Columns 32 * index on of the 16 rows that begin at element `start`."""
        return Group(self, start, index)

    # -- loads
    def words(self, at: Expr, offset_bytes: int) -> Expr:
        """The words of these rows in the 64 bytes that lie so far behind element `at`."""
        return self.memory.load(at + offset_bytes // self.element_bytes + self.row)

    def halves(self, at: Expr, offset_bytes: int) -> Expr:
        """f32 of the 16-bit floats of these rows among the 16 that lie there."""
        k = self.k
        found = k.let(self.memory.load(at + offset_bytes // self.element_bytes + div(self.row, 2)), "halves")
        if self.lanes == 1:
            moved = tirx.shift_right(found, cast("uint32", mod(self.row, 2) * 16))
            return lane(k.let(unpack_halves(moved), "pair"), 0)
        upper = tirx.EQ(mod(self.row, 2), i32(1))
        pairs = [k.let(unpack_halves(tirx.Select(upper, lane(found, i + 2), lane(found, i))), "pair") for i in range(2)]
        return vector(*[lane(pairs[i // 2], i % 2) for i in range(4)])

    def bytes(self, at: Expr, field: Field) -> Expr:
        """f32 of the bytes of these rows among the 16 of a field's that lie there."""
        k, offset_bytes = self.k, field.offset
        if self.lanes == 1:
            word = self.memory.load(at + offset_bytes // self.element_bytes + div(self.row, 4))
            word = tirx.shift_right(word, cast("uint32", mod(self.row, 4) * 8))
        else:
            four = k.let(self.memory.load(at + offset_bytes // self.element_bytes), "bytes")
            low = tirx.Select(tirx.EQ(self.row, i32(0)), lane(four, 0), lane(four, 1))
            high = tirx.Select(tirx.EQ(self.row, i32(2)), lane(four, 2), lane(four, 3))
            word = tirx.Select(self.row < 2, low, high)
        word = k.let(tirx.bitwise_xor(word, u32(_BYTE_SIGNS)) if field.dtype == "i8" else word, "word")
        shift, mask = (field.shift, 15) if field.dtype == "u4" else (0, 255)
        places = [tirx.shift_right(word, u32(8 * i + shift)) for i in range(self.lanes)]
        values = [_byte_to_float(k.let(tirx.bitwise_and(place, u32(mask)), "byte"), field) for place in places]
        value = vector(*values) if self.lanes > 1 else values[0]
        return value - f32(128.0, self.lanes) if field.dtype == "i8" else value


def _byte_to_float(byte: Expr, field: Field) -> Expr:
    """f32 of a byte of a field (`formats.FieldType`)."""
    if field.dtype == "e8m0":  # the exponent of a float; below all normal ones is half of the least
        bits = builtin("max", "uint32", tirx.shift_left(byte, u32(23)), u32(1 << 22))
        return bitcast("float32", bits) * f32(0.5)
    if field.dtype == "e4m3":  # exponent and fraction of a float; below the least exponent steps are even
        normal = bitcast("float32", tirx.shift_left(byte, u32(20)) + u32((127 - 8) << 23))
        return tirx.Select(byte < u32(8), cast("float32", byte) * f32(2.0**-10), normal)
    return cast("float32", byte)


class Group:
    """32 columns of the rows of an invocation: their integers by octets, their scales by spans of columns."""

    def __init__(self, weight: Weight, start: Expr, index: Expr) -> None:
        self.weight, k, fmt = weight, weight.k, weight.fmt
        self.index = index
        if fmt.is_float:
            self.start = self.planes = k.let(start + weight.block_elements(index * PLANE_COLUMNS), "columns")
            return
        self.index = k.let(mod(index, fmt.plane_groups), "group")
        self.start = k.let(start + weight.block_elements(div(index, fmt.plane_groups)), "block")
        self.planes = k.let(self.start + self.index * (fmt.plane_group_bytes // weight.element_bytes), "planes")

    def octet(self, index: int | Expr) -> Octet:
        """Columns 8 * index to 8 * index + 7 of the group."""
        return Octet(self, index)

    def scale(self, span: int | Expr) -> tuple[Expr, Expr | None]:
        """Scale and offset of one of the group's `Weight.spans` of columns: number = integer * scale + offset, for the
        integers that are read. Offset None: it is 0. What belongs to whole rows is left to `Weight.row_scaled`."""
        weight, k, fmt = self.weight, self.weight.k, self.weight.fmt
        lanes = weight.lanes
        index = self.index * weight.spans + span

        def numbers(name: str, at: Expr) -> Expr:
            """A row of a field."""
            field = fmt.field(name)
            place = self.start + at * (field.size_bytes // field.count // weight.element_bytes)
            if field.dtype == "f32":
                return bitcast("float32", weight.words(place, field.offset), lanes)
            return weight.halves(place, field.offset) if field.dtype == "f16" else weight.bytes(place, field)

        offset = None
        if fmt.is_super:
            scale = k.let(numbers("scale", i32(0)) * numbers("sub_scale", index), "scale")
            if fmt.has_min:
                offset = k.let(f32(0.0, lanes) - numbers("min", i32(0)) * numbers("sub_min", index), "offset")
        elif fmt.is_row:
            scale = k.let(numbers("sub_scale", index), "scale") if fmt.fields else f32(1.0, lanes)
        else:
            scale = k.let(numbers("scale", index), "scale")
            offset = k.let(numbers("min", index), "offset") if fmt.has_min else None
        if weight.zero_point:
            offset = k.let(scale * f32(-float(weight.zero_point), lanes), "offset")
        return scale, offset


class Octet:
    """8 columns of the rows of an invocation."""

    def __init__(self, group: Group, index: int | Expr) -> None:
        self._weight, self._planes, self._index = group.weight, group.planes, index
        self._loaded: dict[tuple[str, str], Expr] = {}

    def columns(self, half: int | Expr) -> list[Callable[[], Expr]]:
        """Of each of 4 columns, the first ones or the last, what gives its numbers as f32, one for each lane."""
        if self._weight.fmt.is_float:
            return self._floats(half)
        quad = self._weight.k.let(self.quad(half), "quad")

        def column(b: int) -> Expr:
            value = quad if b == 0 else tirx.shift_right(quad, self._each(8 * b))
            return self._float(value if b == 3 else tirx.bitwise_and(value, self._each(255)))

        return [lambda b=b: column(b) for b in range(4)]  # type: ignore[misc]

    def _each(self, value: int | Expr) -> Expr:
        word = u32(value) if isinstance(value, int) else value
        return word if self._weight.lanes == 1 else splat(word, self._weight.lanes)

    def _float(self, words: Expr) -> Expr:
        return cast("float32", words, self._weight.lanes)

    def _plane(self, name: str, vector_index: Expr) -> Expr:
        """The words of a plane's vector, loaded once for the octet."""
        weight, key = self._weight, (name, str(vector_index))
        if key not in self._loaded:
            at = self._planes + vector_index * (64 // weight.element_bytes)
            self._loaded[key] = weight.k.let(weight.words(at, weight.fmt.plane_offset(name)), name)
        return self._loaded[key]

    def quad(self, half: int | Expr) -> Expr:
        """A word for each row: the integers of 4 columns, the first ones or the last, as bytes."""
        fmt, index = self._weight.fmt, i32(self._index)
        if fmt.signed:
            words = self._plane("int8", index * 2 + half)
            return tirx.bitwise_xor(words, self._each(_BYTE_SIGNS)) if self._weight.lifted else words
        quad = self._nibbles(half) if "low4" in fmt.planes else self._bits("low2", index * 2 + half, 2)
        if "high1" in fmt.planes:
            quad = tirx.bitwise_or(quad, self._above(self._bits("high1", index * 2 + half, 1)))
        if "high2" in fmt.planes:
            quad = tirx.bitwise_or(quad, self._above(self._bits("high2", index * 2 + half, 2)))
        return self._from_table(self._weight.k.let(quad, "places")) if fmt.table else quad

    def _nibbles(self, half: int | Expr) -> Expr:
        low = self._plane("low4", i32(self._index))
        if not isinstance(half, int):
            low = tirx.shift_right(low, self._each(cast("uint32", half * 4)))
        elif half:
            low = tirx.shift_right(low, self._each(4))
        return tirx.bitwise_and(low, self._each(0x0F0F0F0F))

    def _bits(self, plane: str, quad: Expr, bits: int) -> Expr:
        """The bits that a plane has of a quad of the group, which of its first vector or of a later one."""
        each = 8 // bits
        words = self._plane(plane, div(quad, each))
        moved = tirx.shift_right(words, self._each(cast("uint32", mod(quad, each) * bits)))
        return tirx.bitwise_and(moved, self._each(((1 << bits) - 1) * 0x01010101))

    def _above(self, bits: Expr) -> Expr:
        """Bits that stand above the lower ones."""
        return tirx.shift_left(bits, self._each(self._weight.fmt.low_bits))

    def _from_table(self, places: Expr) -> Expr:
        """Entries of the table, four at once: each bit of a place chooses one half of what is left."""
        k, fmt = self._weight.k, self._weight.fmt
        higher = 128 if self._weight.lifted else 0
        entries = [*(entry + higher & 255 for entry in fmt.table), *[0] * (16 - len(fmt.table))]
        left: list[int | Expr] = [entry * 0x01010101 for entry in entries]
        for bit in range(4):
            one = tirx.bitwise_and(tirx.shift_right(places, self._each(bit)), self._each(0x01010101))
            which = k.let(one * self._each(255), "which")
            left = [self._chosen(which, *left[i : i + 2]) for i in range(0, len(left), 2)]
        return left[0]

    def _chosen(self, which: Expr, low: int | Expr, high: int | Expr) -> int | Expr:
        """Of each byte `high` where `which` has ones, else `low`."""
        if isinstance(low, int) and isinstance(high, int):
            if low == high:
                return low
            differing: Expr = self._each(low ^ high)
        else:
            differing = tirx.bitwise_xor(self._words(low), self._words(high))
        chosen = tirx.bitwise_xor(self._words(low), tirx.bitwise_and(which, differing))
        return self._weight.k.let(chosen, "left")

    def _words(self, value: int | Expr) -> Expr:
        return self._each(value) if isinstance(value, int) else value

    def _floats(self, half: int | Expr) -> list[Callable[[], Expr]]:
        weight, fmt = self._weight, self._weight.fmt

        def column(b: int) -> Expr:
            at = self._planes + weight.block_elements(i32(self._index) * OCTET + (4 * half + b))
            if fmt.bits == 32:
                return bitcast("float32", weight.words(at, 0), weight.lanes)
            return self._sixteen_bits(at)

        return [lambda b=b: column(b) for b in range(4)]  # type: ignore[misc]

    def _sixteen_bits(self, at: Expr) -> Expr:
        """One column of f16 or bf16."""
        weight, k, half = self._weight, self._weight.k, self._weight.fmt.name == "f16"
        if weight.lanes == 1:
            word = k.let(weight.memory.load(at + div(weight.row, 2)), "word")
            odd = tirx.EQ(mod(weight.row, 2), i32(1))
            values = _two_floats(k, word, half)
            return tirx.Select(odd, values[1], values[0])
        pair = k.let(weight.memory.load(at + weight.row), "pair")
        return vector(*[value for i in range(2) for value in _two_floats(k, lane(pair, i), half)])


def _two_floats(k: GpuKernel, word: Expr, half: bool) -> list[Expr]:
    """The two f16 (bf16 where not `half`) numbers of a word."""
    if half:
        pair = k.let(unpack_halves(word), "pair")
        return [lane(pair, 0), lane(pair, 1)]
    return [
        bitcast("float32", tirx.shift_left(word, u32(16))),
        bitcast("float32", tirx.bitwise_and(word, u32(0xFFFF0000))),
    ]
