"""The wire form of Protocol Buffers, field by field, trusting nothing in it.

Source: protobuf.dev, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Bytes = TypeVar("Bytes", bytes, memoryview)


def fields(data: Bytes) -> Iterator[tuple[int, int | Bytes]]:
    """The fields of one message in the order of the file: number, and an int (varint) or bytes (all others).

    Raises:
        ValueError: what is no message.
    """
    position = 0
    while position < len(data):
        tag, position = varint(data, position)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, position = varint(data, position)
            yield number, value
            continue
        if wire == _BYTES:
            size, position = varint(data, position)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire} at byte {position:,}")
        if size > len(data) - position:
            raise ValueError(f"a field of {size:,} bytes where {len(data) - position:,} are left")
        yield number, data[position : position + size]
        position += size


def varint(data: bytes | memoryview, position: int) -> tuple[int, int]:
    """The number that begins at a position, and the position after it. Raises ValueError where none is."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise ValueError("it ends inside a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number of more than 10 bytes")


def varints(data: bytes | memoryview) -> list[int]:
    """A packed list of numbers. Raises ValueError where it is none."""
    found, position = [], 0
    while position < len(data):
        value, position = varint(data, position)
        found.append(value)
    return found


def signed(value: int) -> int:
    """A varint as the int64 that it stands for."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value
