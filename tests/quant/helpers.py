"""Random blocks and random GGUF bytes for the tests of this folder."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.quant import FORMATS, Blocks, round_up
from hearth.quant.gguf import GGUF_BLOCKS

OTHER_TABLES = ("iq3_xxs", "iq3_s", "iq2_xxs", "iq1_s", "iq1_m")
"""Formats whose kernels are those of another one with other numbers in the table: their tests are for `-m slow`."""
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
    "q2_k": [80, 82],
    "q3_k": [108],
    "q1_0": [0],
    "q2_0": [0],
    "tq1_0": [52],
    "tq2_0": [64],
    "iq4_nl": [0],
    "iq4_xs": [0],
    "iq1_s": [0],
    "iq1_m": [],
    "iq2_xxs": [0],
    "iq2_xs": [0],
    "iq2_s": [0],
    "iq3_xxs": [0],
    "iq3_s": [0],
    "mxfp4": [],
    "nvfp4": [],
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
        q = rng.integers(0, len(fmt.table) or 1 << fmt.bits, (n, kept)).astype(np.uint8)
    q[:, k:] = fmt.zero_point
    arrays: dict[str, NDArray[Any]] = {}
    for field in fmt.fields:
        columns = kept * field.count // fmt.block_columns
        if field.dtype == "f16":
            arrays[field.name] = halves(columns)
        elif fmt.is_row:
            arrays[field.name] = rng.integers(-15, 16, (n, columns)).astype(np.int8)
        elif field.dtype == "f32":
            arrays[field.name] = rng.standard_normal((n, columns)).astype(np.float32)
        elif field.dtype == "u4":
            arrays[field.name] = rng.integers(0, 16, (n, columns)).astype(np.uint8)
        elif field.dtype == "e8m0":
            arrays[field.name] = rng.integers(118, 138, (n, columns)).astype(np.uint8)
        elif field.dtype == "e4m3":
            arrays[field.name] = rng.integers(0, 128, (n, columns)).astype(np.uint8)
        elif field.dtype == "u8":
            arrays[field.name] = rng.integers(0, 64, (n, columns)).astype(np.uint8)
        else:
            arrays[field.name] = rng.integers(-128, 128, (n, columns)).astype(np.int8)
    if fmt.is_row:
        arrays["scale"] = rng.standard_normal((n, 1)).astype(np.float32)
    return Blocks(fmt, k, q, **arrays)


UNKNOWN_TO_GGUF = ("q1_0", "q2_0")
"""Types that the `gguf` package does not take apart."""
EXTREME_HALVES = np.array([65504, -65504, 2**-24, -(2**-24), 2**-14, -0.0], np.float16)


def random_gguf(dtype: str, n: int, k: int, seed: int = 0, *, extreme: bool = False) -> NDArray[np.uint8]:
    """Bytes of a tensor: any bits, but finite numbers.

    Args:
        extreme: scales are the largest and the smallest that there are.
    """
    block = GGUF_BLOCKS[dtype]
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 256, (n * k // block.columns, block.size_bytes), dtype=np.uint8)

    def halves() -> NDArray[np.float16]:
        return rng.choice(EXTREME_HALVES, len(raw)) if extreme else rng.standard_normal(len(raw)).astype(np.float16)

    for offset in HALVES[dtype]:
        raw[:, offset : offset + 2] = halves().view(np.uint8).reshape(-1, 2)
    if dtype == "iq1_m":  # the half is in the upper nibbles of four words
        words = raw[:, 48:56].view("<u2")
        spread = halves().view(np.uint16)[:, None] >> np.array([0, 4, 8, 12], np.uint16)
        words[:] = words & 0x0FFF | spread << 12
    if dtype == "mxfp4":
        raw[:, 0] = rng.choice([0, 1, 2, 252], len(raw)) if extreme else rng.integers(90, 140, len(raw))
    return raw.reshape(-1)
