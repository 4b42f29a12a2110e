"""Random blocks and random GGUF bytes for the tests of this folder."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.quant import FORMATS, Blocks, round_up
from hearth.quant.gguf import GGUF_BLOCKS

BLOCK_FORMATS = [name for name, fmt in FORMATS.items() if not fmt.is_float]
FLOAT_FORMATS = [name for name, fmt in FORMATS.items() if fmt.is_float]
# Byte offsets of the halves in a GGUF block: random bytes there would be NaN now and then.
HALVES = {
    "q4_0": [0],
    "q4_1": [0, 2],
    "q5_0": [0],
    "q5_1": [0, 2],
    "q8_0": [0],
    "q4_k": [0, 2],
    "q5_k": [0, 2],
    "q6_k": [208],
}


def random_blocks(name: str, n: int, k: int, seed: int = 0) -> Blocks:
    """Blocks with every integer and sub-scale that the format can hold; padding columns hold what stands for zero."""
    rng, fmt = np.random.default_rng(seed), FORMATS[name]
    kept = round_up(k, 256 if fmt.is_super else 32)

    def halves(columns: int) -> NDArray[np.float16]:
        return rng.standard_normal((n, columns)).astype(np.float16)

    q: NDArray[Any]
    if fmt.signed:
        q = rng.integers(-127, 128, (n, kept)).astype(np.int8)
    else:
        q = rng.integers(0, 1 << fmt.bits, (n, kept)).astype(np.uint8)
    q[:, k:] = fmt.zero_point
    arrays: dict[str, NDArray[Any]] = {}
    for field in fmt.fields:
        columns = kept * field.count // fmt.block_columns
        if field.dtype == "f16":
            arrays[field.name] = halves(columns)
        elif fmt.is_row:
            arrays[field.name] = rng.integers(-15, 16, (n, columns)).astype(np.int8)
        elif field.dtype == "u8":
            arrays[field.name] = rng.integers(0, 64, (n, columns)).astype(np.uint8)
        else:
            arrays[field.name] = rng.integers(-128, 128, (n, columns)).astype(np.int8)
    if fmt.is_row:
        arrays["scale"] = rng.standard_normal((n, 1)).astype(np.float32)
    return Blocks(fmt, k, q, **arrays)


def random_gguf(dtype: str, n: int, k: int, seed: int = 0) -> NDArray[np.uint8]:
    """Bytes of a tensor: any bits, but finite scales."""
    block = GGUF_BLOCKS[dtype]
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 256, (n * k // block.columns, block.size_bytes), dtype=np.uint8)
    for offset in HALVES[dtype]:
        raw[:, offset : offset + 2] = rng.standard_normal(len(raw)).astype(np.float16).view(np.uint8).reshape(-1, 2)
    return raw.reshape(-1)
