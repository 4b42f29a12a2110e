"""bitsandbytes: numbers of 4 bits as places in a table (nf4, fp4), and bytes with a scale for each row.

Of 4 bits: `weight` u8, two numbers in a byte, the higher half first, row after row without regard to rows; `absmax`, a
scale for each block of that stream, f32 or itself a byte in a table with scales of its own (`nested_*`); `quant_map`,
the 16 numbers; `quant_state.bitsandbytes__nf4` (or fp4), JSON. Of 8 bits: `weight` i8, `SCB` f32, 127 times a row's
scale. The tables' numbers are no multiples of one another, so all becomes f32. Source: bitsandbytes, functional.py
(QuantState.from_dict, dequantize_4bit, int8_vectorwise_dequant).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.floats import to_f32
from hearth.checkpoint.mapped import parse_json_object
from hearth.checkpoint.quantised.scheme import Scheme
from hearth.checkpoint.quantised.weight import SMALL, Stored, Weight

SERVING = ("*.weight_format",)
_STATE = ".quant_state.bitsandbytes__"
_KINDS = ("nf4", "fp4")
_PER_BYTE = np.float32(7.874015718698502e-3)
"""1 / 127, as the library rounds it."""


def check(scheme: Scheme) -> None:
    """All that it writes is read."""


def weights(stored: Stored, scheme: Scheme) -> Iterator[Weight]:
    """Every weight that is stored so."""
    for kind in _KINDS:
        for name in stored.stems(_STATE + kind):
            yield _four_bits(stored, name, kind)
    for stem in stored.stems(".SCB"):
        yield _bytes(stored, stem)


def expected(scheme: Scheme) -> str:
    """The type that most weights will be shown as."""
    return "f32"


def _bytes(stored: Stored, stem: str) -> Weight:
    name, scale = f"{stem}.weight", f"{stem}.SCB"
    info, scales = stored.info(name, "i8"), stored.floats(scale).reshape(-1)
    stored.require(len(info.shape) == 2 and scales.shape == info.shape[:1], scale, f"It belongs to {list(info.shape)}.")
    numbers = stored.array(name)

    def read(begin: int, end: int) -> NDArray[np.float32]:
        return numbers[begin:end] * scales[begin:end, None] * _PER_BYTE

    return stored.weight(name, info.shape, "f32", read, "bitsandbytes int8", (name, scale))


def _four_bits(stored: Stored, name: str, kind: str) -> Weight:
    said = name + _STATE + kind
    info = stored.info(said, "u8")
    stored.require(info.size_bytes <= SMALL, said, "It is too large for what it says.")
    state = parse_json_object(stored.array(said).tobytes(), said[:200])
    parts = (name, said, *(f"{name}.{part}" for part in ("absmax", "quant_map", "nested_absmax", "nested_quant_map")))
    shape = state.get("shape")
    fits = isinstance(shape, list) and len(shape) in (2, 3) and all(type(n) is int and 0 < n < 1 << 31 for n in shape)
    stored.require(fits, said, "It names no shape.")
    assert isinstance(shape, list)
    count, columns = int(np.prod(shape, dtype=object)), shape[-1]
    block = _size(stored, said, state, "blocksize", 64)
    packed = stored.array(name, "u8").reshape(-1)
    stored.require(len(packed) == -(-count // 2), name, f"{count:,} numbers are announced.")
    table, absmax = stored.floats(parts[3]).reshape(-1), stored.array(parts[2]).reshape(-1)
    stored.require(table.size == 16, parts[3], "16 numbers are expected.")
    stored.require(absmax.size == -(-count // block), parts[2], f"{count:,} numbers are announced.")
    kind_of_scale = stored.info(parts[2], "u8", "f32", "f16", "bf16").dtype
    scales_of = _nested(stored, parts, state, absmax.size) if kind_of_scale == "u8" else None

    def scales(first: int, last: int) -> NDArray[np.float32]:
        if scales_of is None:
            return to_f32(absmax[first:last], kind_of_scale)
        table_of, own, offset, size = scales_of
        values: NDArray[np.float32] = table_of[absmax[first:last]] * own[np.arange(first, last) // size] + offset
        return values

    def read(begin: int, end: int) -> NDArray[np.float32]:
        first, last = begin * columns, end * columns
        part = packed[first // 2 : -(-last // 2)]
        places = np.stack((part >> 4, part & 15), axis=-1).reshape(-1)[first % 2 :][: last - first]
        own = scales(first // block, -(-last // block))
        values: NDArray[np.float32] = table[places] * own[np.arange(first, last) // block - first // block]
        return values.reshape(end - begin, columns)

    return stored.weight(name, tuple(shape), "f32", read, f"bitsandbytes {kind}", parts)


def _nested(
    stored: Stored, parts: tuple[str, ...], state: dict[str, Any], count: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], np.float32, int]:
    """What scales that are bytes are worth: their table, its scales, what is added, and how many share a scale."""
    said, absmax, table = parts[1], parts[4], parts[5]
    size = _size(stored, said, state, "nested_blocksize", 256)
    offset = state.get("nested_offset", 0.0)
    stored.require(isinstance(offset, int | float) and abs(offset) < 1e30, said, "nested_offset is no number.")
    own, numbers = to_f32(stored.array(absmax, "f32"), "f32").reshape(-1), stored.floats(table).reshape(-1)
    stored.require(numbers.size == 256, table, "256 numbers are expected.")
    stored.require(own.size == -(-count // size), absmax, f"There are {count:,} scales.")
    return numbers, own, np.float32(offset), size


def _size(stored: Stored, said: str, state: dict[str, Any], key: str, default: int) -> int:
    value = state.get(key, default)
    stored.require(type(value) is int and 0 < value < 1 << 24, said, f"{key} is no size.")
    return int(value)
