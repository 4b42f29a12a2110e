"""The packed layout, byte by byte, against docs/architecture.md. A kernel that follows the document reads wrong weights
if one of these fails."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hearth.errors import Unsupported
from hearth.quant import FORMATS, get_format, pack, packed_size, unpack, unpack_blocks, unpack_layout

from .helpers import BLOCK_FORMATS, FLOAT_FORMATS, random_blocks

# The table of the document, typed in again: columns, block bytes, bytes of the planes of one group of 32 columns.
DOCUMENT = {
    "q4": (64, 576, 256),
    "q4_0": (64, 576, 256),
    "q4a": (64, 640, 256),
    "q4_1": (64, 640, 256),
    "q5_0": (64, 704, 320),
    "q5_1": (64, 768, 320),
    "q8": (64, 1088, 512),
    "q8_0": (64, 1088, 512),
    "q4_k": (256, 2368, 256),
    "q5_k": (256, 2880, 320),
    "q6_k": (256, 3392, 384),
    "q2_k": (256, 1344, 128),
    "q3_k": (256, 1856, 192),
    **dict.fromkeys(("q1_0", "q2_0", "tq1_0", "tq2_0"), (64, 320, 128)),
    "iq4_nl": (64, 576, 256),
    **dict.fromkeys(("iq4_xs", "iq3_xxs", "iq3_s", "iq2_xxs", "iq1_s"), (256, 2240, 256)),
    **dict.fromkeys(("iq2_xs", "iq2_s", "iq1_m", "nvfp4"), (256, 2368, 256)),
    "mxfp4": (128, 1088, 256),
    "i8": (32, 512, 512),
    "i4": (32, 272, 256),
}
E2M1 = [0, 1, 2, 3, 4, 6, 8, 12]
TABLES = {
    ("iq4_nl", "iq4_xs"): [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113],
    ("mxfp4", "nvfp4"): E2M1 + [-x for x in E2M1],
    ("iq2_xxs", "iq2_xs", "iq2_s"): [8, 25, 43, -8, -25, -43],
    ("iq3_xxs",): [4, 12, 20, 28, 36, 44, 52, 62, -4, -12, -20, -28, -36, -44, -52, -62],
    ("iq3_s",): [1, 3, 5, 7, 9, 11, 13, 15, -1, -3, -5, -7, -9, -11, -13, -15],
    ("iq1_s", "iq1_m"): [-9, -7, -1, 1, 7, 9],
}
ROWS = ("i8", "i4")
"""Formats with the numbers of whole rows behind all blocks of 16 rows: scale f32 [16], sum i32 [16]."""


def half(data: bytes, at: int) -> np.float32:
    return np.frombuffer(data, np.float16, 1, at)[0].astype(np.float32)


def documented_integer(name: str, block: bytes, r: int, c: int) -> int:
    """The integer of lane r, column c of a block, read as the document describes the planes."""
    columns, _, group_bytes = DOCUMENT[name]
    assert c < columns
    base, c = c // 32 * group_bytes, c % 32
    if name in ("q8", "q8_0", "i8"):
        byte = block[base + c // 4 * 64 + 4 * r + c % 4]
        return byte - 256 if byte > 127 else byte
    if group_bytes in (128, 192):  # low2, high1
        s = c // 4
        value = block[base + s // 4 * 64 + 4 * r + c % 4] >> 2 * (s % 4) & 3
        return value | (block[base + 128 + 4 * r + c % 4] >> s & 1) << 2 if group_bytes == 192 else value
    low = block[base + c // 8 * 64 + 4 * r + c % 4]
    value = low & 15 if c % 8 < 4 else low >> 4
    s = c // 4
    if group_bytes == 320:  # high1
        value |= (block[base + 256 + 4 * r + c % 4] >> s & 1) << 4
    if group_bytes == 384:  # high2
        value |= (block[base + 256 + s // 4 * 64 + 4 * r + c % 4] >> 2 * (s % 4) & 3) << 4
    return value


def documented_value(name: str, packed: bytes, kp: int, n: int, k: int) -> np.float32:
    """W[n, k] by the document."""
    columns, block_bytes, group_bytes = DOCUMENT[name]
    if name in ROWS:
        return documented_row_value(name, packed, kp, n, k)
    start = (n // 16 * (kp // columns) + k // columns) * block_bytes
    block, r, c = packed[start : start + block_bytes], n % 16, k % columns
    u = np.float32(documented_integer(name, block, r, c))
    after, g = columns // 32 * group_bytes, c // 32
    if name in ("q4_k", "q5_k"):
        sc, m = block[after + 16 * g + r], block[after + 128 + 16 * g + r]
        d, dmin = half(block, after + 256 + 2 * r), half(block, after + 288 + 2 * r)
        return np.float32(u * (d * np.float32(sc)) - dmin * np.float32(m))
    if name == "q6_k":
        sc = np.frombuffer(block, np.int8)[after + 16 * (c // 16) + r]
        assert block[-32:] == bytes(32)
        return np.float32((u - 32) * (half(block, after + 256 + 2 * r) * np.float32(sc)))
    if name == "q2_k":
        both = block[after + 16 * (c // 16) + r]
        d, dmin = half(block, after + 256 + 2 * r), half(block, after + 288 + 2 * r)
        return np.float32(u * (d * np.float32(both & 15)) - dmin * np.float32(both >> 4))
    if name == "q3_k":
        sc = np.frombuffer(block, np.int8)[after + 16 * (c // 16) + r]
        return np.float32((u - 4) * (half(block, after + 256 + 2 * r) * np.float32(sc)))
    table = next((table for names, table in TABLES.items() if name in names), None)
    if table is not None:
        u = np.float32(table[int(u)])
    if name == "mxfp4":
        return np.float32(u * 2.0 ** (block[after + 16 * g + r] - 128))
    if table is not None and columns == 256:
        size = 32 if block_bytes == 2240 else 16
        byte, entries = block[after + 16 * (c // size) + r], 256 // size
        d = np.frombuffer(block, np.float32, 1, after + 16 * entries + 4 * r)[0]
        if name == "nvfp4":
            sub = ((8 if byte > 7 else 0) + byte % 8) * 2.0 ** (max(byte // 8, 1) - 11)
        else:
            sub = byte - 256 if byte > 127 else byte
        return np.float32(u * (d * np.float32(sub)))
    scale = half(block, after + 32 * g + 2 * r)
    if name in ("q4a", "q4_1", "q5_1"):
        return np.float32(u * scale + half(block, after + 64 + 32 * g + 2 * r))
    zero = {"q4": 8, "q4_0": 8, "q5_0": 16, "q1_0": 1, "q2_0": 1, "tq1_0": 1, "tq2_0": 1}.get(name, 0)
    return np.float32((u - zero) * scale)


def documented_row(name: str, packed: bytes, kp: int, n: int) -> tuple[int, np.float32, int]:
    """Where the blocks of row n begin, its scale and its sum of integers."""
    columns, block_bytes, _ = DOCUMENT[name]
    blocks = -(-(kp // columns * block_bytes) // 64) * 64
    start, r = n // 16 * (blocks + 128), n % 16
    fields = packed[start + blocks : start + blocks + 128]
    return start, np.frombuffer(fields, np.float32)[r], int(np.frombuffer(fields, np.int32)[16 + r])


def documented_row_integer(name: str, packed: bytes, kp: int, n: int, k: int) -> int:
    columns, block_bytes, group_bytes = DOCUMENT[name]
    start = documented_row(name, packed, kp, n)[0] + k // columns * block_bytes
    block = packed[start : start + block_bytes]
    integer = documented_integer(name, block, n % 16, k % columns)
    return integer if name == "i8" else (integer - 8) * int(np.frombuffer(block, np.int8)[group_bytes + n % 16])


def documented_row_value(name: str, packed: bytes, kp: int, n: int, k: int) -> np.float32:
    _, scale, _ = documented_row(name, packed, kp, n)
    return np.float32(documented_row_integer(name, packed, kp, n, k) * scale)


def documented(name: str, packed: NDArray[np.uint8], n: int, k: int) -> NDArray[np.float32]:
    multiple = 32 if name in ROWS else max(64, DOCUMENT[name][0])
    kp, data = -(-k // multiple) * multiple, packed.tobytes()
    return np.array([[documented_value(name, data, kp, i, j) for j in range(k)] for i in range(n)], np.float32)


@pytest.mark.parametrize("name", BLOCK_FORMATS)
def test_packed_bytes_are_where_the_document_says(name: str) -> None:
    n, k = 19, 512 if FORMATS[name].is_super else 160
    blocks = random_blocks(name, n, k)
    packed = pack(blocks, FORMATS[name])
    assert packed.size == packed_size(FORMATS[name], n, k)
    np.testing.assert_array_equal(documented(name, packed, n, k), unpack(blocks))


@pytest.mark.parametrize("name", DOCUMENT)
def test_format_table_is_the_documents(name: str) -> None:
    fmt = get_format(name)
    assert (fmt.block_columns, fmt.block_bytes, fmt.plane_group_bytes) == DOCUMENT[name]
    assert fmt.is_row == (name in ROWS)
    assert fmt.is_row or fmt.block_bytes % 64 == 0
    assert name == "i8" or fmt.fields[0].offset == fmt.plane_groups * fmt.plane_group_bytes
    for plane in fmt.planes:
        assert fmt.plane_offset(plane, 1) == fmt.plane_group_bytes + fmt.plane_offset(plane)


@pytest.mark.parametrize("name", ROWS)
def test_sums_of_rows_are_where_the_document_says(name: str) -> None:
    """A wrong one shifts every output of its row, but only on processors that multiply unsigned bytes."""
    n, k, kp = 19, 90, 96
    packed = pack(random_blocks(name, n, k), FORMATS[name]).tobytes()
    for row in range(32):
        expected = sum(documented_row_integer(name, packed, kp, row, column) for column in range(kp))
        assert documented_row(name, packed, kp, row)[2] == expected, row


def test_formats_with_the_same_layout_share_a_kernel() -> None:
    assert FORMATS["q4"].kernel_layout == FORMATS["q4_0"].kernel_layout == "b4"
    assert FORMATS["q4a"].kernel_layout == FORMATS["q4_1"].kernel_layout == "b4m"
    assert FORMATS["q8"].kernel_layout == FORMATS["q8_0"].kernel_layout == "b8"
    assert {FORMATS[name].kernel_layout for name in ("q1_0", "q2_0", "tq1_0", "tq2_0")} == {"b2"}
    assert FORMATS["iq2_xs"].kernel_layout == FORMATS["iq2_s"].kernel_layout
    assert len({fmt.kernel_layout for fmt in FORMATS.values()}) == len(FORMATS) - 7


def test_unknown_format_is_named() -> None:
    with pytest.raises(Unsupported, match=r"'q8_k'.*Known: f32"):
        get_format("q8_k")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(BLOCK_FORMATS), st.integers(1, 50), st.integers(1, 400), st.integers(0, 99))
def test_packing_loses_nothing_for_any_shape(name: str, n: int, k: int, seed: int) -> None:
    fmt = FORMATS[name]
    k = 256 * (k // 100 + 1) if fmt.is_super else k
    blocks = random_blocks(name, n, k, seed)
    packed = pack(blocks, fmt)
    back = unpack_blocks(packed, n, k, fmt)
    np.testing.assert_array_equal(back.q, blocks.q)
    for field in (*fmt.fields, *fmt.row_fields):
        if field.name != "sum":
            np.testing.assert_array_equal(back.array(field.name), blocks.array(field.name))
    np.testing.assert_array_equal(unpack_layout(packed, n, k, fmt), unpack(blocks))


@pytest.mark.parametrize("name", [name for name in BLOCK_FORMATS if not FORMATS[name].is_super])
def test_padding_adds_nothing_to_a_product(name: str) -> None:
    """Rows 5..15 and columns 20..: integers that stand for zero; padding rows and groups have scale and min 0."""
    fmt, blocks = FORMATS[name], random_blocks(name, 5, 20)
    packed = pack(blocks, fmt)
    all_of_it = unpack_blocks(packed, 16, fmt.column_multiple, fmt)
    assert (all_of_it.q[5:] == fmt.zero_point).all()
    assert (all_of_it.q[:, 20:] == fmt.zero_point).all()
    for field in fmt.fields:
        values = all_of_it.array(field.name)
        assert not values[5:].any()
        assert not values[:, 1:].any()


@pytest.mark.parametrize("name", FLOAT_FORMATS)
@pytest.mark.parametrize(("n", "k"), [(16, 64), (5, 3), (33, 130)])
def test_floats_lie_lane_by_lane(name: str, n: int, k: int) -> None:
    fmt = FORMATS[name]
    values = np.random.default_rng(0).integers(-100, 100, (n, k)).astype(np.float32)
    packed = pack(values, fmt)
    np.testing.assert_array_equal(unpack_layout(packed, n, k, fmt), values)
    kp = -(-k // 64) * 64
    whole = unpack_layout(packed, -(-n // 16) * 16, kp, fmt)
    assert not whole[n:].any()
    assert not whole[:, k:].any()
    element = fmt.block_bytes // 16
    at = ((n - 1) // 16 * kp + (k - 1)) * 16 + (n - 1) % 16
    raw = packed[at * element : (at + 1) * element]
    last = raw.view(np.uint16).astype(np.uint32) << 16 if name == "bf16" else raw.view(np.dtype(f"f{element}"))
    assert last.view(np.float32 if name == "bf16" else last.dtype)[0] == values[-1, -1]
