"""GGUF block types to `Blocks`: the published integers and scales, untouched, in row-major order.

Block layouts as published with GGUF (ggml-common.h). A row is a run of blocks of 32 to 256 columns. Decoding only moves
bits; nothing is rounded. Types that need a grid are in `gguf_grids.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.errors import CorruptFile, Unsupported
from hearth.quant import gguf_grids
from hearth.quant.blocks import Blocks, numbers, stored_columns
from hearth.quant.formats import FORMATS, Format

U8 = NDArray[np.uint8]


@dataclass(frozen=True)
class GgufBlock:
    """A GGUF block: `columns` weights of one row in `size_bytes` bytes, and how its bytes are taken apart."""

    columns: int
    size_bytes: int
    decode: Callable[[U8], dict[str, NDArray[Any]]]


def from_gguf(raw: U8, shape: tuple[int, int], dtype: str, name: str = "the weight", factor: float = 1.0) -> Blocks:
    """Decode a matrix of GGUF blocks.

    Args:
        raw: its bytes, 1-D, exactly `rows * columns / block * bytes a block` of them.
        shape: rows, columns.
        dtype: one of `GGUF_BLOCKS`.
        name: the tensor's name, for errors.
        factor: what all its numbers are multiplied by; other than 1 for `nvfp4` alone.

    Raises:
        Unsupported: another block type.
        CorruptFile: the columns are no whole blocks, the size is wrong, or a scale is not finite.
    """
    n, k = shape
    row_bytes = gguf_row_bytes(k, dtype, name)
    if raw.size != n * row_bytes:
        raise CorruptFile(f"'{name}' has {raw.size} bytes where {dtype} {n} x {k} needs {n * row_bytes}.")
    block = GGUF_BLOCKS[dtype]
    # (N, blocks of a row, bytes of a block)
    fields = block.decode(np.ascontiguousarray(raw).reshape(n, k // block.columns, block.size_bytes))
    arrays = {key: np.ascontiguousarray(value).reshape(n, -1) for key, value in fields.items()}
    return published_blocks(FORMATS[dtype], k, arrays, name, factor)


def published_blocks(
    fmt: Format, k: int, arrays: Mapping[str, NDArray[Any]], name: str = "the weight", factor: float = 1.0
) -> Blocks:
    """Integers and scales of some rows, as whoever published them had them.

    Args:
        k: columns.
        arrays: attributes of `Blocks`, `(rows, entries)` each; what they lack of a block is filled up.
        name, factor: as for `from_gguf`.

    Raises:
        CorruptFile: a scale is not finite.
    """
    arrays = dict(arrays)
    if "scale" not in arrays:
        n = len(arrays["q"])
        arrays["scale"] = np.full((n, stored_columns(fmt, k) // fmt.block_columns), factor, np.float32)
    for key in ("scale", "min"):
        if key in arrays and not np.isfinite(_largest(arrays[key], fmt, key)).all():
            raise CorruptFile(
                f"'{name}' ({fmt.name}) has a block whose {key} is not a finite number.",
                why="The file is damaged.",
                hint="Download the model again (hearth pull).",
            )
    return Blocks(fmt, k, **{key: _whole(value, fmt, k, key) for key, value in arrays.items()})


def _largest(stored: NDArray[Any], fmt: Format, key: str) -> NDArray[np.float32]:
    """The largest numbers that scales can make of what they multiply; of a byte they can be infinite, too."""
    if fmt.field(key).dtype != "e8m0":
        return stored
    with np.errstate(over="ignore"):
        return numbers(stored, "e8m0") * np.float32(max(fmt.table))


def _whole(array: NDArray[Any], fmt: Format, k: int, key: str) -> NDArray[Any]:
    """An array of the rows, grown with what is worth 0 to the columns that `Blocks` has, which may be more than the
    file's."""
    columns = stored_columns(fmt, k)
    entries = columns if key == "q" else columns // fmt.block_columns * fmt.field(key).count if fmt.is_super else 0
    if entries <= array.shape[1]:
        return array
    filling = fmt.zero_point if key == "q" else 0
    return np.pad(array, ((0, 0), (0, entries - array.shape[1])), constant_values=filling)


def gguf_row_bytes(k: int, dtype: str, name: str = "the weight") -> int:
    """Bytes of one row of `k` columns.

    Raises:
        Unsupported: not one of the block types.
        CorruptFile: `k` is no multiple of the block.
    """
    if dtype not in GGUF_BLOCKS:
        raise Unsupported(f"'{name}' has tensor type '{dtype}'.", hint=f"Known block types: {', '.join(GGUF_BLOCKS)}.")
    block = GGUF_BLOCKS[dtype]
    if k % block.columns:
        raise CorruptFile(f"'{name}' has {k} columns, which is no multiple of the {block.columns} of a {dtype} block.")
    return k // block.columns * block.size_bytes


def _f16(b: U8, offset: int) -> NDArray[np.float16]:
    """The half at byte `offset` of each block: (N, B, 1)."""
    return np.ascontiguousarray(b[..., offset : offset + 2]).view(np.float16)


def _nibbles(qs: U8, run: int = 32) -> U8:
    """Bytes whose low nibbles are the first half of each run of `run` columns, the high ones the second half."""
    halves = qs.reshape(*qs.shape[:-1], -1, run // 2)
    out = np.empty((*halves.shape[:-1], 2, run // 2), np.uint8)
    np.bitwise_and(halves, 15, out=out[..., 0, :])
    np.right_shift(halves, 4, out=out[..., 1, :])
    return out.reshape(*qs.shape[:-1], -1)


def _bit_field(qh: U8) -> U8:
    """Four bytes, a bit a column (column j is bit j of the little-endian word), as 0 or 16: (N, B, 32)."""
    bits = np.unpackbits(np.ascontiguousarray(qh), axis=-1, bitorder="little")
    bits <<= 4
    return bits


def _six_bit_scales(packed: U8) -> tuple[U8, U8]:
    """Eight scales and eight mins of 6 bits each, packed in 12 bytes (q4_k, q5_k): two (N, B, 8).

    Bytes 0-3 hold scales 0-3 and bytes 4-7 mins 0-3 in their low 6 bits; the top 2 bits of those bytes are the top bits
    of scales and mins 4-7, whose low nibbles are the nibbles of bytes 8-11.
    """
    first, second, third = packed[..., 0:4], packed[..., 4:8], packed[..., 8:12]
    scales = np.concatenate([first & 63, (third & 15) | (first >> 6 << 4)], axis=-1)
    mins = np.concatenate([second & 63, (third >> 4) | (second >> 6 << 4)], axis=-1)
    return scales, mins


def _q4_0(b: U8) -> dict[str, NDArray[Any]]:
    return {"scale": _f16(b, 0), "q": _nibbles(b[..., 2:])}


def _q4_1(b: U8) -> dict[str, NDArray[Any]]:
    return {"scale": _f16(b, 0), "min": _f16(b, 2), "q": _nibbles(b[..., 4:])}


def _q5_0(b: U8) -> dict[str, NDArray[Any]]:
    return {"scale": _f16(b, 0), "q": _nibbles(b[..., 6:]) | _bit_field(b[..., 2:6])}


def _q5_1(b: U8) -> dict[str, NDArray[Any]]:
    return {"scale": _f16(b, 0), "min": _f16(b, 2), "q": _nibbles(b[..., 8:]) | _bit_field(b[..., 4:8])}


def _q8_0(b: U8) -> dict[str, NDArray[Any]]:
    return {"scale": _f16(b, 0), "q": b[..., 2:].view(np.int8)}


def _q4_k(b: U8) -> dict[str, NDArray[Any]]:
    sub_scale, sub_min = _six_bit_scales(b[..., 4:16])
    return {
        "scale": _f16(b, 0),
        "min": _f16(b, 2),
        "sub_scale": sub_scale,
        "sub_min": sub_min,
        "q": _nibbles(b[..., 16:], 64),  # 32 bytes hold 64 columns: low nibbles first
    }


def _q5_k(b: U8) -> dict[str, NDArray[Any]]:
    sub_scale, sub_min = _six_bit_scales(b[..., 4:16])
    q = _nibbles(b[..., 48:], 64).reshape(*b.shape[:-1], 8, 32)
    high = b[..., None, 16:48]  # bit g of byte c: fifth bit of column 32 * g + c
    q |= (high >> np.arange(8, dtype=np.uint8)[:, None] & 1) << 4
    return {"scale": _f16(b, 0), "min": _f16(b, 2), "sub_scale": sub_scale, "sub_min": sub_min, "q": q}


def _q6_k(b: U8) -> dict[str, NDArray[Any]]:
    # Two halves of 128 columns: 64 bytes of low nibbles (columns 0-63, then 64-127) and 32 bytes of high bit pairs,
    # where bits 2t, 2t+1 of byte c belong to column 32 * t + c.
    q = _nibbles(b[..., 0:128], 128).reshape(*b.shape[:-1], 2, 4, 32)
    high = b[..., 128:192].reshape(*b.shape[:-1], 2, 1, 32)
    q |= (high >> np.arange(0, 8, 2, dtype=np.uint8)[:, None] & 3) << 4
    return {"scale": _f16(b, 208), "sub_scale": b[..., 192:208].view(np.int8), "q": q}


def _pairs_of_bits(qs: U8) -> U8:
    """Halves of 128 columns in 32 bytes each: bits 2t, 2t+1 of byte c belong to column 32 * t + c."""
    halves = qs.reshape(*qs.shape[:-1], 2, 1, 32)
    pairs = halves >> np.arange(0, 8, 2, dtype=np.uint8)[:, None] & np.uint8(3)
    return pairs.reshape(*qs.shape[:-1], 256)


def _q2_k(b: U8) -> dict[str, NDArray[Any]]:
    scales = b[..., 0:16]  # low nibble: scale, high nibble: min
    return {
        "scale": _f16(b, 80),
        "min": _f16(b, 82),
        "sub_scale": scales & 15,
        "sub_min": scales >> 4,
        "q": _pairs_of_bits(b[..., 16:80]),
    }


def _q3_k(b: U8) -> dict[str, NDArray[Any]]:
    high = b[..., None, 0:32]  # bit g of byte c: third bit of column 32 * g + c
    third = high >> np.arange(8, dtype=np.uint8)[:, None] & 1
    # 16 scales of 6 bits: low nibbles of 8 bytes, then high ones; bits 2i, 2i+1 of 4 more bytes are the upper ones.
    low = np.concatenate([b[..., 96:104] & 15, b[..., 96:104] >> 4], axis=-1)
    upper = (b[..., None, 104:108] >> np.arange(0, 8, 2, dtype=np.uint8)[:, None] & 3).reshape(low.shape)
    return {
        "scale": _f16(b, 108),
        "sub_scale": (low | upper << 4).astype(np.int8) - np.int8(32),
        "q": _pairs_of_bits(b[..., 32:96]) | third.reshape(*b.shape[:-1], 256) << 2,
    }


def _each(scale: NDArray[np.float16], groups: int) -> NDArray[np.float16]:
    """A block's scale for each of its groups of 32 columns."""
    return np.repeat(scale, groups, axis=-1)


def _q1_0(b: U8) -> dict[str, NDArray[Any]]:
    bits = np.unpackbits(np.ascontiguousarray(b[..., 2:18]), axis=-1, bitorder="little")
    return {"scale": _each(_f16(b, 0), 4), "q": 2 * bits}  # -1 or 1, as 0 or 2


def _q2_0(b: U8) -> dict[str, NDArray[Any]]:
    pairs = b[..., 2:18, None] >> np.arange(0, 8, 2, dtype=np.uint8) & 3
    return {"scale": _each(_f16(b, 0), 2), "q": pairs.reshape(*b.shape[:-1], 64)}


def _tq1_0(b: U8) -> dict[str, NDArray[Any]]:
    """Base 3, the first digit the highest: 32 bytes of five digits, 16 of five, 4 of four. A byte is the fraction that
    its digits are, in 256ths, rounded up."""

    def digits(part: U8, count: int) -> U8:
        shifted = part[..., None, :] * (3 ** np.arange(count)).astype(np.uint8)[:, None]  # mod 256: the fraction left
        values: U8 = (shifted.astype(np.uint16) * 3 >> 8).astype(np.uint8)
        return values.reshape(*part.shape[:-1], -1)

    parts = [digits(b[..., :32], 5), digits(b[..., 32:48], 5), digits(b[..., 48:52], 4)]
    return {"scale": _each(_f16(b, 52), 8), "q": np.concatenate(parts, axis=-1)}


def _tq2_0(b: U8) -> dict[str, NDArray[Any]]:
    return {"scale": _each(_f16(b, 64), 8), "q": _pairs_of_bits(b[..., :64])}


def _iq4_nl(b: U8) -> dict[str, NDArray[Any]]:
    return {"scale": _f16(b, 0), "q": _nibbles(b[..., 2:])}


def _iq4_xs(b: U8) -> dict[str, NDArray[Any]]:
    upper = np.ascontiguousarray(b[..., 2:4]).view("<u2") >> np.arange(0, 16, 2, dtype=np.uint16) & 3
    low = b[..., 4:8, None] >> np.array([0, 4], np.uint8) & 15
    return {
        "scale": _f16(b, 0).astype(np.float32),
        "sub_scale": (low.reshape(upper.shape) | upper << 4).astype(np.int8) - np.int8(32),
        "q": _nibbles(b[..., 8:]),
    }


def _mxfp4(b: U8) -> dict[str, NDArray[Any]]:
    return {"scale": b[..., 0:1], "q": _nibbles(b[..., 1:])}


def _nvfp4(b: U8) -> dict[str, NDArray[Any]]:
    # The eighth bit says nothing, and the byte that would be no number is 0.
    scales = np.where(b[..., 0:4] == 0x7F, np.uint8(0), b[..., 0:4] & 0x7F)
    return {"sub_scale": scales, "q": _nibbles(b[..., 4:], 16)}


GGUF_BLOCKS: dict[str, GgufBlock] = {
    "q4_0": GgufBlock(32, 18, _q4_0),
    "q4_1": GgufBlock(32, 20, _q4_1),
    "q5_0": GgufBlock(32, 22, _q5_0),
    "q5_1": GgufBlock(32, 24, _q5_1),
    "q8_0": GgufBlock(32, 34, _q8_0),
    "q4_k": GgufBlock(256, 144, _q4_k),
    "q5_k": GgufBlock(256, 176, _q5_k),
    "q6_k": GgufBlock(256, 210, _q6_k),
    "q2_k": GgufBlock(256, 84, _q2_k),
    "q3_k": GgufBlock(256, 110, _q3_k),
    "q1_0": GgufBlock(128, 18, _q1_0),
    "q2_0": GgufBlock(64, 18, _q2_0),
    "tq1_0": GgufBlock(256, 54, _tq1_0),
    "tq2_0": GgufBlock(256, 66, _tq2_0),
    "iq4_nl": GgufBlock(32, 18, _iq4_nl),
    "iq4_xs": GgufBlock(256, 136, _iq4_xs),
    "mxfp4": GgufBlock(32, 17, _mxfp4),
    "nvfp4": GgufBlock(64, 36, _nvfp4),
    "iq1_s": GgufBlock(256, 50, gguf_grids.iq1_s),
    "iq1_m": GgufBlock(256, 56, gguf_grids.iq1_m),
    "iq2_xxs": GgufBlock(256, 66, gguf_grids.iq2_xxs),
    "iq2_xs": GgufBlock(256, 74, gguf_grids.iq2_xs),
    "iq2_s": GgufBlock(256, 82, gguf_grids.iq2_s),
    "iq3_xxs": GgufBlock(256, 98, gguf_grids.iq3_xxs),
    "iq3_s": GgufBlock(256, 110, gguf_grids.iq3_s),
}
