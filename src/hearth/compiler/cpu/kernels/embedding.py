"""Looks token ids up in a packed embedding matrix: one unit is one token's row."""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, bitcast, cast, const, f32, i64, in_name
from hearth.compiler.cpu.kernels.weights import byte_to_float
from hearth.quant.formats import FIELD_BYTES, Format


def embedding(fmt: Format, scale: float) -> Kernel:
    """X[t] = scale * W[token_ids[t]].

    Buffers: token_ids i32 [t]; W u8 packed; X f32 [t][ld]. Scalars: blocks (column blocks in a row), ld, rows of W,
    within which every token is taken to be. Columns beyond the true ones come out as zeros or are cut at ld.
    """
    k = Kernel("_".join(["embed", fmt.kernel_layout, in_name(scale)]))
    ids, w, x = k.buffer("token_ids", "int32"), k.buffer("W", "uint8"), k.buffer("X", "float32")
    blocks, ld, rows = k.scalar("blocks"), k.scalar("ld"), k.scalar("rows")
    read = _float_element(k, w, fmt) if fmt.is_float else _block_element(k, w, fmt)
    with k.loop(k.begin, k.end) as t:
        token = k.let(tirx.max(tirx.min(cast("int64", ids.load(t)), rows - 1), i64(0)), "token")
        lane = k.let(tirx.floormod(token, i64(16)), "lane")
        row_block = k.let(tirx.floordiv(token, i64(16)) * blocks * fmt.block_bytes, "row")
        # Blocks may reach past ld (their columns are padded further): clip to ld.
        per_block = fmt.block_columns
        with k.loop(0, tirx.min(blocks, tirx.floordiv(ld + (per_block - 1), i64(per_block)))) as b:
            base = k.let(row_block + b * fmt.block_bytes, "base")
            with k.loop(0, tirx.min(i64(per_block), ld - b * per_block)) as c:
                value = read(base, lane, c)
                k.store(x, t * ld + b * per_block + c, value if scale == 1.0 else value * f32(scale))
    return k


Element = Callable[[Expr, Expr, Expr], Expr]
"""(byte offset of a column block, lane, column in the block) -> the f32 element."""


def _float_element(k: Kernel, w: Memory, fmt: Format) -> Element:
    dtype = {"f32": "float32", "f16": "float16", "bf16": "uint16"}[fmt.name]
    view = k.view(w, dtype)

    def read(base: Expr, lane: Expr, column: Expr) -> Expr:
        del column  # blocks of a float format have one column
        value = view.load(tirx.floordiv(base, i64(fmt.bits // 8)) + lane)
        if dtype == "uint16":
            return bitcast("float32", tirx.shift_left(cast("uint32", value), tirx.const(16, "uint32")))
        return cast("float32", value)

    return read


def _block_element(k: Kernel, w: Memory, fmt: Format) -> Element:
    half, single = k.view(w, "float16"), k.view(w, "float32")

    def field(name: str, base: Expr, index: Expr, lane: Expr) -> Expr:
        at = fmt.field(name)
        size = FIELD_BYTES[at.dtype]
        start = tirx.floordiv(base + at.offset, i64(size)) + index * 16 + lane
        if at.dtype == "f32":
            return single.load(start)
        return cast("float32", half.load(start)) if at.dtype == "f16" else byte_to_float(w.load(start), at, 1)

    def integer(base: Expr, lane: Expr, column: Expr) -> Expr:
        group, c = tirx.floordiv(column, i64(32)), k.let(tirx.floormod(column, i64(32)), "c")
        start = k.let(base + group * fmt.plane_group_bytes + lane * 4 + tirx.floormod(c, i64(4)), "byte")
        quad = k.let(tirx.floordiv(c, i64(4)), "quad")
        if fmt.signed:
            return cast("int32", cast("int8", w.load(start + quad * 64)))

        def bits(plane: str, count: int, to: int) -> Expr:
            """The bits of the column in a plane, moved to where they belong."""
            each = 8 // count
            stored = cast("int32", w.load(start + fmt.plane_offset(plane) + tirx.floordiv(quad, i64(each)) * 64))
            moved = tirx.shift_right(stored, cast("int32", tirx.floormod(quad, i64(each)) * count))
            return tirx.shift_left(tirx.bitwise_and(moved, tirx.const((1 << count) - 1)), tirx.const(to))

        value = bits("low4", 4, 0) if "low4" in fmt.planes else bits("low2", 2, 0)
        if "high1" in fmt.planes:
            value = value + bits("high1", 1, fmt.low_bits)
        if "high2" in fmt.planes:
            value = value + bits("high2", 2, fmt.low_bits)
        return _entry(k, fmt.table, k.let(value, "place")) if fmt.table else value

    def read(base: Expr, lane: Expr, column: Expr) -> Expr:
        value = cast("float32", integer(base, lane, column) - fmt.zero_point)
        group = tirx.floordiv(column, i64(fmt.group_columns))
        if fmt.is_super:
            value = value * (field("scale", base, i64(0), lane) * field("sub_scale", base, group, lane))
            if fmt.has_min:
                value = value - field("min", base, i64(0), lane) * field("sub_min", base, group, lane)
            return value
        value = value * field("scale", base, group, lane)
        return value + field("min", base, group, lane) if fmt.has_min else value

    return read


def _entry(k: Kernel, table: tuple[int, ...], place: Expr) -> Expr:
    """table[place], int32: a byte of one of two words of eight."""
    packed = bytes(entry & 255 for entry in table).ljust(16, bytes(1))
    low, high = (const("int64", int.from_bytes(packed[i : i + 8], "little", signed=True)) for i in (0, 8))
    word = tirx.Select(place < 8, low, high)
    moved = tirx.shift_right(word, cast("int64", tirx.bitwise_and(place, tirx.const(7)) * 8))
    return cast("int32", cast("int8", k.let(moved, "entry")))
