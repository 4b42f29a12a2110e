"""Random weights in the number formats of GGUF: block by block, straight from random integers.

Knows how a block of each format is laid out and what scale gives its values the standard deviation 0.5 / sqrt(columns)
and the mean 0, so that activations stay finite through many layers. Knows nothing of tensors' names or of files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Block:
    """One format.

    Attributes:
        columns: values in a block.
        fields: (name, bytes) in order. `d`, `dmin` and `m` are f16 scales, `exponent` is one that is a power of two,
            everything else random bytes.
        spread: standard deviation of a value when `d` is 1.
        offset: `dmin` (or -`m`) as a multiple of `d`, so that the mean is 0.
        type_id: number of the type in a GGUF file.
    """

    columns: int
    fields: tuple[tuple[str, int], ...]
    spread: float
    offset: float
    type_id: int

    @property
    def size_bytes(self) -> int:
        return sum(size for _, size in self.fields)


# The spreads follow from uniformly random bits, those of the grids (iq) roughly.
# K-quants: value = d * sc * q - dmin * m with 6-bit sc and m.
BLOCKS = {
    "f32": Block(1, (("value", 4),), 1, 0, 0),
    "f16": Block(1, (("value", 2),), 1, 0, 1),
    "bf16": Block(1, (("value", 2),), 1, 0, 30),
    "q4_0": Block(32, (("d", 2), ("q", 16)), 4.61, 0, 2),
    "q5_0": Block(32, (("d", 2), ("high", 4), ("q", 16)), 9.23, 0, 6),
    "q5_1": Block(32, (("d", 2), ("m", 2), ("high", 4), ("q", 16)), 9.23, 15.5, 7),
    "q8_0": Block(32, (("d", 2), ("q", 32)), 73.9, 0, 8),
    "q2_k": Block(256, (("scales", 16), ("q", 64), ("d", 2), ("dmin", 2)), 16, 1.5, 10),
    "q3_k": Block(256, (("high", 32), ("q", 64), ("scales", 12), ("d", 2)), 42, 0, 11),
    "iq1_s": Block(256, (("d", 2), ("q", 32), ("high", 16)), 8, 0, 19),
    "iq2_xxs": Block(256, (("d", 2), ("q", 64)), 55, 0, 16),
    "iq2_xs": Block(256, (("d", 2), ("q", 64), ("scales", 8)), 55, 0, 17),
    "iq2_s": Block(256, (("d", 2), ("q", 64), ("high", 8), ("scales", 8)), 55, 0, 22),
    "iq3_xxs": Block(256, (("d", 2), ("q", 96)), 130, 0, 18),
    "iq3_s": Block(256, (("d", 2), ("q", 64), ("high", 8), ("signs", 32), ("scales", 4)), 130, 0, 21),
    "iq4_xs": Block(256, (("d", 2), ("high", 2), ("scales", 4), ("q", 128)), 1250, 0, 23),
    "q4_k": Block(256, (("d", 2), ("dmin", 2), ("scales", 12), ("q", 128)), 258, 7.5, 12),
    "q5_k": Block(256, (("d", 2), ("dmin", 2), ("scales", 12), ("high", 32), ("q", 128)), 527, 15.5, 13),
    "mxfp4": Block(32, (("exponent", 1), ("q", 16)), 5.85, 0, 39),
    "q6_k": Block(256, (("low", 128), ("high", 64), ("scales", 16), ("d", 2)), 341, 0, 14),
}


def random_rows(kind: str, rows: int, columns: int, rng: np.random.Generator, *, piece_bytes: int) -> Iterator[bytes]:
    """The bytes of a (rows, columns) weight, in pieces of about `piece_bytes`."""
    block = BLOCKS[kind]
    blocks_in_row, rest = divmod(columns, block.columns)
    if rest:
        raise ValueError(f"rows of {columns} values are no whole number of {kind} blocks")
    rows_in_piece = max(1, piece_bytes // (blocks_in_row * block.size_bytes))
    for first in range(0, rows, rows_in_piece):
        count = min(rows_in_piece, rows - first)
        if block.columns == 1:
            values = rng.standard_normal((count, columns), np.float32) * np.float32(0.5 / columns**0.5)
            yield encode_floats(values, kind)
        else:
            yield _random_blocks(kind, count * blocks_in_row, 0.5 / columns**0.5, rng).tobytes()


def encode_floats(values: np.ndarray, kind: str) -> bytes:
    if kind == "bf16":  # the upper half of an f32, rounded
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16).tobytes()
    return values.astype({"f16": np.float16, "f32": np.float32}[kind]).tobytes()


def _random_blocks(kind: str, count: int, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """uint8 (count, size_bytes)."""
    block = BLOCKS[kind]
    raw = np.frombuffer(rng.bytes(count * block.size_bytes), np.uint8).reshape(count, block.size_bytes).copy()
    # Scales differ from block to block, by up to a quarter, as they do in real files.
    scale = (deviation / block.spread * rng.uniform(0.75, 1.25, count)).astype(np.float16)
    start = 0
    for name, size in block.fields:
        field = raw[:, start : start + size]
        if name == "d":
            field[:] = scale.view(np.uint8).reshape(count, 2)
        elif name == "exponent":  # of half the scale: the table of steps has them doubled
            field[:] = (np.round(np.log2(scale.astype(np.float64))) + 128).astype(np.uint8)[:, None]
        elif name in ("dmin", "m"):
            offset = scale.astype(np.float32) * (block.offset if name == "dmin" else -block.offset)
            field[:] = offset.astype(np.float16).view(np.uint8).reshape(count, 2)
        elif name == "scales" and kind == "q6_k":
            field[:] = (field % 64 - 32).view(np.uint8)  # int8 scales in -32..31 keep `d` a normal f16
        start += size
    return raw
