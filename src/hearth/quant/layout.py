"""Canonical numbers to Hearth's packed bytes and back: the layout of docs/architecture.md, and nothing but reordering.

Packed bytes are seen as `(row blocks, bytes of 16 rows)`, and these as column blocks. Planes are built from *quads*,
the 4 bytes of 4 consecutive columns taken as one u32, transposed to `(row block, quad, lane)`: what a kernel loads as
one vector.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.quant.blocks import Blocks, row_integers, unpack
from hearth.quant.floats import NATIVE_TYPES, check_finite, narrow, widen
from hearth.quant.formats import LANES, PLANE_COLUMNS, Field, Format, round_up

U8 = NDArray[np.uint8]

_TILE_WEIGHTS = 1 << 17
"""Weights packed at a time, so that the temporary arrays of a tile stay in the L2 cache."""
_FIELD_TYPES = {
    "f16": np.float16, "f32": np.float32, "i32": np.int32, "i8": np.int8,
    "u8": np.uint8, "u4": np.uint8, "e8m0": np.uint8, "e4m3": np.uint8,
}  # fmt: skip


def packed_view(packed: U8, fmt: Format, n: int, k: int) -> U8:
    """Packed bytes as `(row blocks, bytes of 16 rows)`, a view.

    Args:
        packed: 1-D, at least `fmt.packed_size(n, k)` bytes.
    """
    return packed[: fmt.packed_size(n, k)].reshape(-1, fmt.row_block_bytes(k))


def _column_blocks(rows: U8, fmt: Format, k: int) -> U8:
    """`(row blocks, column blocks, block bytes)` of `packed_view`, a view. Floats: one block of Kp columns."""
    columns = round_up(k, fmt.column_multiple)
    count, size = (1, columns * fmt.block_bytes) if fmt.is_float else (columns // fmt.block_columns, fmt.block_bytes)
    return rows[:, : count * size].reshape(len(rows), count, size)


def pack(values: Blocks | NDArray[Any], fmt: Format, name: str = "the weight") -> U8:
    """Pack a whole matrix.

    Args:
        values: `Blocks` of a format with the same layout as `fmt`; for the float formats an array `(N, K)` of
            f32, which is rounded, or of the format's own type (`floats.NATIVE_TYPES`), which is not.
        fmt: what to pack as.
        name: for errors.

    Returns:
        uint8, `fmt.packed_size(N, K)` bytes.
    """
    n, k = (values.n, values.k) if isinstance(values, Blocks) else values.shape
    out = np.empty(fmt.packed_size(n, k), np.uint8)
    pack_into(values, fmt, packed_view(out, fmt, n, k), name)
    return out


def pack_into(values: Blocks | NDArray[Any], fmt: Format, out: U8, name: str = "the weight") -> None:
    """Pack rows into `out`, as `packed_view` shows it; its first stride may be any."""
    if isinstance(values, Blocks):
        assert values.fmt.kernel_layout == fmt.kernel_layout, (values.fmt.name, fmt.name)
    else:
        assert fmt.is_float, fmt.name
    n, columns = values.q.shape if isinstance(values, Blocks) else values.shape
    k = values.k if isinstance(values, Blocks) else columns
    column_blocks = _column_blocks(out, fmt, k)
    step = max(_TILE_WEIGHTS // max(columns, 1) // LANES, 1)
    for block in range(0, out.shape[0], step):
        rows = slice(block * LANES, min((block + step) * LANES, n))
        if isinstance(values, Blocks):
            _pack_blocks(values, rows, fmt, column_blocks[block : block + step])
        else:
            _pack_floats(values[rows], fmt, column_blocks[block : block + step], name)
    if isinstance(values, Blocks) and fmt.is_row:
        offset = fmt.row_fields_offset(k)
        out[:, column_blocks[0].size : offset] = 0
        _pack_row_fields(values, fmt, out[:, offset:])


def _pack_floats(values: NDArray[Any], fmt: Format, out: U8, name: str) -> None:
    k = values.shape[1]
    if values.dtype == NATIVE_TYPES[fmt.name]:
        check_finite(values, name)
    else:
        values = narrow(values, fmt.name, name)
    lanes_last = out.view(NATIVE_TYPES[fmt.name]).reshape(len(out), -1, LANES)  # (rb, Kp, lane)
    padded = _pad(values, len(out) * LANES, k, 0)
    lanes_last[:, :k] = padded.reshape(len(out), LANES, k).transpose(0, 2, 1)
    lanes_last[:, k:] = 0


def _pack_blocks(blocks: Blocks, rows: slice, fmt: Format, out: U8) -> None:
    row_blocks, column_blocks = out.shape[:2]
    kp = column_blocks * fmt.block_columns
    q = _pad(blocks.q[rows], row_blocks * LANES, kp, fmt.zero_point)
    # (rb, lane, quad) -> (rb, column block, group, quad of the group, lane)
    quads = np.ascontiguousarray(q.view(np.uint32).reshape(row_blocks, LANES, -1).transpose(0, 2, 1))
    quads = quads.reshape(row_blocks, column_blocks, fmt.plane_groups, PLANE_COLUMNS // 4, LANES)
    for plane in fmt.planes:
        target = _plane_view(out, fmt, plane)
        if plane == "int8":
            target[:] = quads
        elif plane == "low4":
            np.bitwise_or(quads[..., 0::2, :] & 0x0F0F0F0F, (quads[..., 1::2, :] & 0x0F0F0F0F) << 4, out=target)
        elif plane == "high1":
            bit = quads >> fmt.low_bits & 0x01010101
            target[:] = 0
            for s in range(8):
                target[..., 0, :] |= bit[..., s, :] << s
        else:
            pairs = quads >> (0 if plane == "low2" else fmt.low_bits) & 0x03030303
            pairs = pairs.reshape(*quads.shape[:3], 2, 4, LANES)
            target[:] = 0
            for t in range(4):
                target |= pairs[..., t, :] << 2 * t
    end = fmt.plane_groups * fmt.plane_group_bytes
    for field in fmt.fields:
        values = _pad(blocks.array(field.name)[rows], row_blocks * LANES, column_blocks * field.count, 0)
        per_block = values.reshape(row_blocks, LANES, column_blocks, field.count).transpose(0, 2, 3, 1)
        if field.shift:
            _field_view(out, field)[:] |= per_block << field.shift
        else:
            _field_view(out, field)[:] = per_block
        end = max(end, field.offset + field.size_bytes)
    out[..., end:] = 0


def _pack_row_fields(blocks: Blocks, fmt: Format, out: U8) -> None:
    arrays = {"scale": blocks.scale[:, 0], "sum": row_integers(blocks).sum(axis=1, dtype=np.int32)}
    for field in fmt.row_fields:
        values = np.zeros(len(out) * LANES, _FIELD_TYPES[field.dtype])
        values[: blocks.n] = arrays[field.name]
        place = out[:, field.offset : field.offset + field.size_bytes]
        place[:] = values.view(np.uint8).reshape(place.shape)


def unpack_layout(packed: U8, n: int, k: int, fmt: Format) -> NDArray[np.float32]:
    """What packed bytes are worth: f32 `(N, K)`. The inverse of `pack`, for tests of packers and kernels."""
    if not fmt.is_float:
        return unpack(unpack_blocks(packed, n, k, fmt))
    lanes_last = packed_view(packed, fmt, n, k).view(NATIVE_TYPES[fmt.name]).reshape(-1, round_up(k, 64), LANES)
    rows = np.ascontiguousarray(lanes_last.transpose(0, 2, 1)).reshape(len(lanes_last) * LANES, -1)
    return np.array(widen(rows.view(np.uint8), fmt.name).reshape(rows.shape)[:n, :k])


def unpack_blocks(packed: U8, n: int, k: int, fmt: Format) -> Blocks:
    """The integers and scales in packed bytes, padding cut off again."""
    rows = packed_view(packed, fmt, n, k)
    blocks = _column_blocks(rows, fmt, k)
    row_blocks, column_blocks = blocks.shape[:2]
    quads = np.zeros((row_blocks, column_blocks, fmt.plane_groups, 8, LANES), np.uint32)
    for plane in fmt.planes:
        source = _plane_view(blocks, fmt, plane)
        if plane == "int8":
            quads |= source
        elif plane == "low4":
            quads[..., 0::2, :] |= source & 0x0F0F0F0F
            quads[..., 1::2, :] |= source >> 4 & 0x0F0F0F0F
        elif plane == "high1":
            for s in range(8):
                quads[..., s, :] |= (source[..., 0, :] >> s & 0x01010101) << fmt.low_bits
        else:
            up = 0 if plane == "low2" else fmt.low_bits
            for s in range(8):
                quads[..., s, :] |= (source[..., s // 4, :] >> 2 * (s % 4) & 0x03030303) << up

    def rows_first(array: NDArray[Any], columns: int) -> NDArray[Any]:
        """(rb, columns..., lane) to (N, columns that are kept)."""
        flat = array.reshape(row_blocks, -1, LANES).transpose(0, 2, 1)
        return np.ascontiguousarray(flat).reshape(row_blocks * LANES, -1)[:n, :columns]

    kept = round_up(k, fmt.block_columns if fmt.is_super else PLANE_COLUMNS)
    q = np.ascontiguousarray(rows_first(quads, kept // 4)).view(np.int8 if fmt.signed else np.uint8)
    arrays = {}
    for field in fmt.fields:
        stored = _field_view(blocks, field)
        stored = stored >> field.shift & 15 if field.dtype == "u4" else stored
        arrays[field.name] = rows_first(stored, kept * field.count // fmt.block_columns)
    if fmt.is_row:
        at = fmt.row_fields_offset(k) + fmt.field("scale").offset
        scale = np.ascontiguousarray(rows[:, at : at + fmt.field("scale").size_bytes]).view(np.float32)
        arrays["scale"] = scale.reshape(-1, 1)[:n]
    return Blocks(fmt, k, q, **arrays)


def _plane_view(blocks: U8, fmt: Format, plane: str) -> NDArray[np.uint32]:
    """A plane of all blocks and groups as u32: (rb, column block, group, vector, lane)."""
    groups = blocks[..., : fmt.plane_groups * fmt.plane_group_bytes]
    by_group = groups.reshape(*blocks.shape[:2], fmt.plane_groups, fmt.plane_group_bytes).view(np.uint32)
    begin = fmt.plane_offset(plane) // 4
    following = [fmt.plane_offset(other) // 4 for other in fmt.planes] + [by_group.shape[-1]]
    end = min(offset for offset in following if offset > begin)
    return by_group[..., begin:end].reshape(*by_group.shape[:3], -1, LANES)


def _field_view(blocks: U8, field: Field) -> NDArray[Any]:
    """A field of all blocks: (rb, column block, entry, lane)."""
    part = blocks[..., field.offset : field.offset + field.size_bytes].view(_FIELD_TYPES[field.dtype])
    return part.reshape(*blocks.shape[:2], field.count, LANES)


def _pad(array: NDArray[Any], rows: int, columns: int, value: int) -> NDArray[Any]:
    """The array, C-contiguous, grown to `(rows, columns)` with `value`."""
    if array.shape == (rows, columns):
        return np.ascontiguousarray(array)
    out = np.full((rows, columns), value, array.dtype)
    out[: array.shape[0], : array.shape[1]] = array
    return out
