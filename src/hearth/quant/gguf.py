"""GGUF block types to `Blocks`: the published integers and scales, untouched, in row-major order.

Block layouts as published with GGUF (ggml-common.h). A row is a run of blocks, each of 32 columns (simple types) or 256
(k-quants). Decoding only moves bits; nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.errors import CorruptFile, Unsupported
from hearth.quant.blocks import Blocks
from hearth.quant.formats import FORMATS

U8 = NDArray[np.uint8]


@dataclass(frozen=True)
class GgufBlock:
    """A GGUF block: `columns` weights of one row in `size_bytes` bytes, and how its bytes are taken apart."""

    columns: int
    size_bytes: int
    decode: Callable[[U8], dict[str, NDArray[Any]]]


def from_gguf(raw: U8, shape: tuple[int, int], dtype: str, name: str = "the weight") -> Blocks:
    """Decode a matrix of GGUF blocks.

    Args:
        raw: its bytes, 1-D, exactly `rows * columns / block * bytes a block` of them.
        shape: rows, columns.
        dtype: `q4_0 q4_1 q5_0 q5_1 q8_0 q4_k q5_k q6_k`.
        name: the tensor's name, for errors.

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
    for key in ("scale", "min"):
        if key in arrays and not np.isfinite(arrays[key]).all():
            raise CorruptFile(
                f"'{name}' ({dtype}) has a block whose {key} is not a finite number.",
                why="The file is damaged.",
                hint="Download the model again (hearth pull).",
            )
    return Blocks(FORMATS[dtype], k, **arrays)


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


GGUF_BLOCKS: dict[str, GgufBlock] = {
    "q4_0": GgufBlock(32, 18, _q4_0),
    "q4_1": GgufBlock(32, 20, _q4_1),
    "q5_0": GgufBlock(32, 22, _q5_0),
    "q5_1": GgufBlock(32, 24, _q5_1),
    "q8_0": GgufBlock(32, 34, _q8_0),
    "q4_k": GgufBlock(256, 144, _q4_k),
    "q5_k": GgufBlock(256, 176, _q5_k),
    "q6_k": GgufBlock(256, 210, _q6_k),
}
