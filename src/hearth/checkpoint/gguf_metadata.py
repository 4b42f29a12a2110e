"""The key-value metadata of a GGUF file: checked when opened, decoded when asked for.

A vocabulary is an array of up to half a million strings. Opening a file only walks over it to check its lengths.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np

from hearth.checkpoint.mapped import PULL_AGAIN
from hearth.errors import CorruptFile, Unsupported

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")

# GGUF value types by number: numpy type of a fixed-size value.
_SCALARS: dict[int, np.dtype[Any]] = {
    0: np.dtype("<u1"),
    1: np.dtype("<i1"),
    2: np.dtype("<u2"),
    3: np.dtype("<i2"),
    4: np.dtype("<u4"),
    5: np.dtype("<i4"),
    6: np.dtype("<f4"),
    7: np.dtype("?"),
    10: np.dtype("<u8"),
    11: np.dtype("<i8"),
    12: np.dtype("<f8"),
}
_BOOL, _STRING, _ARRAY = 7, 8, 9
_MAX_ARRAY_DEPTH = 4
# Fewest bytes that a value can take: what a count is held against before anything is allocated for it.
_MIN_BYTES = {**{number: dtype.itemsize for number, dtype in _SCALARS.items()}, _STRING: 8, _ARRAY: 12}
MAX_NAME_BYTES = 65535
_MAX_KEPT = 4096


class Cursor:
    """A checked walk over the header of one GGUF file.

    Args:
        buffer: the whole file.
        file_name: for messages.
        position: bytes from the start of the file.
    """

    def __init__(self, buffer: memoryview, file_name: str, position: int = 0) -> None:
        self.buffer = buffer
        self.file_name = file_name
        self.position = position

    @property
    def remaining(self) -> int:
        return len(self.buffer) - self.position

    def fail(self, what: str, why: str = "The file is truncated or damaged.") -> NoReturn:
        raise CorruptFile(f"{self.file_name}: {what}", why=why, hint=PULL_AGAIN)

    def u32(self) -> int:
        return self._number(_U32)

    def u64(self) -> int:
        return self._number(_U64)

    def _number(self, form: struct.Struct) -> int:
        if self.remaining < form.size:
            self.fail(f"the file ends inside its header, at byte {len(self.buffer):,}.")
        value: int = form.unpack_from(self.buffer, self.position)[0]
        self.position += form.size
        return value

    def string(self, limit: int | None = None) -> str:
        length = self.u64()
        if length > self.remaining:
            self.fail(f"a text of {length:,} bytes is announced where {self.remaining:,} bytes are left.")
        if limit is not None and length > limit:
            self.fail(f"a name of {length:,} bytes is announced.", f"Names have at most {limit:,} bytes.")
        raw = bytes(self.buffer[self.position : self.position + length])
        self.position += length
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            self.fail("a text is not UTF-8.", f"{error}.")

    def skip(self, value_type: int, depth: int = 0) -> None:
        """Moves past one value, checking that it ends inside the file."""
        if value_type == _STRING:
            self._skip_strings(1)
        elif value_type == _ARRAY:
            self._skip_array(depth)
        else:
            size = _MIN_BYTES.get(value_type)
            if size is None:
                self.fail(f"the value type {value_type} does not exist.")
            if size > self.remaining:
                self.fail(f"the file ends inside its header, at byte {len(self.buffer):,}.")
            self.position += size

    def _skip_array(self, depth: int) -> None:
        if depth >= _MAX_ARRAY_DEPTH:
            self.fail(f"arrays are nested more than {_MAX_ARRAY_DEPTH} deep.")
        item_type, count = self.array_header()
        if item_type == _STRING:
            self._skip_strings(count)
        elif item_type == _ARRAY:
            for _ in range(count):
                self._skip_array(depth + 1)
        else:
            self.position += count * _MIN_BYTES[item_type]

    def array_header(self) -> tuple[int, int]:
        """Item type and count of an array; the count is known to be possible in what is left of the file."""
        item_type, count = self.u32(), self.u64()
        if item_type not in _MIN_BYTES:
            self.fail(f"the value type {item_type} does not exist.")
        if count * _MIN_BYTES[item_type] > self.remaining:
            self.fail(f"an array of {count:,} items is announced where {self.remaining:,} bytes are left.")
        return item_type, count

    def _skip_strings(self, count: int) -> None:
        # The hot loop of opening a file (700,000 rounds for the largest vocabularies): one check at its end suffices,
        # since reading a length past the end of the buffer is an error of its own.
        unpack, buffer, position = _U64.unpack_from, self.buffer, self.position
        try:
            for _ in range(count):
                position += 8 + unpack(buffer, position)[0]
        except (struct.error, OverflowError):
            position = len(buffer) + 1
        if position > len(buffer):
            self.fail("a text is announced that is longer than the rest of the file.")
        self.position = position

    def value(self, value_type: int) -> Any:
        """Decodes one value that `skip` has been over."""
        if value_type == _STRING:
            return self.string()
        if value_type == _ARRAY:
            item_type, count = self.array_header()
            if item_type == _STRING:
                return self._strings(count)
            if item_type == _ARRAY:
                return [self.value(_ARRAY) for _ in range(count)]
            return self._numbers(item_type, count)
        return self._numbers(value_type, 1)[0]

    def _numbers(self, value_type: int, count: int) -> list[Any]:
        dtype = _SCALARS[value_type]
        data = np.frombuffer(self.buffer, np.uint8, count * dtype.itemsize, self.position)
        self.position += len(data)
        if value_type == _BOOL and count and data.max() > 1:
            self.fail("a truth value is neither 0 nor 1.")
        values: list[Any] = data.view(dtype).tolist()
        return values

    def _strings(self, count: int) -> list[str]:
        start = self.position
        self._skip_strings(count)
        blob = bytes(self.buffer[start : self.position])
        result, position = [], 0
        try:
            for _ in range(count):
                begin = position + 8
                position = begin + _U64.unpack_from(blob, position)[0]
                result.append(blob[begin:position].decode("utf-8"))
        except UnicodeDecodeError as error:
            self.fail("a text is not UTF-8.", f"{error}.")
        return result


class _Entry(NamedTuple):
    value_type: int
    position: int


class GgufMetadata(Mapping[str, Any]):
    """All key-value pairs of a GGUF file, as Python values: int, float, bool, str, and lists of these.

    Raises (when a value is asked for):
        CorruptFile: a text in it is not UTF-8, or a truth value is neither 0 nor 1.
    """

    def __init__(self, cursor: Cursor, count: int) -> None:
        self._buffer = cursor.buffer
        self._file_name = cursor.file_name
        self._entries: dict[str, _Entry] = {}
        self._decoded: dict[str, Any] = {}
        if count * 13 > cursor.remaining:  # empty key (8), type (4), one byte of value
            cursor.fail(f"{count:,} metadata entries are announced where {cursor.remaining:,} bytes are left.")
        for _ in range(count):
            key = cursor.string(MAX_NAME_BYTES)
            if key in self._entries:
                cursor.fail(f"the metadata key {key[:200]!r} stands twice.")
            value_type = cursor.u32()
            self._entries[key] = _Entry(value_type, cursor.position)
            cursor.skip(value_type)

    def __getitem__(self, key: str) -> Any:
        if key in self._decoded:
            return self._decoded[key]
        value_type, position = self._entries[key]
        value = Cursor(self._buffer, f"{self._file_name}, {key[:200]}", position).value(value_type)
        if not isinstance(value, list) or len(value) <= _MAX_KEPT:  # a vocabulary takes 50 MB and is asked for once
            self._decoded[key] = value
        return value

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def require_version(cursor: Cursor) -> None:
    """Reads magic and version.

    Raises:
        CorruptFile: not a GGUF file.
        Unsupported: a GGUF file of version 1, of a later version than 3, or big-endian.
    """
    if bytes(cursor.buffer[:4]) != b"GGUF":
        cursor.fail("this is no GGUF file.", "It does not begin with the letters GGUF.")
    cursor.position = 4
    version = cursor.u32()
    if version in (2, 3):
        return
    if version & 0xFFFF == 0 and version:
        raise Unsupported(
            f"{cursor.file_name} is a big-endian GGUF file.",
            why="Hearth reads the little-endian ones, which nearly all are.",
            hint="Look for the same model without `-be` in its name.",
        )
    raise Unsupported(
        f"{cursor.file_name} is a GGUF file of version {version}.",
        why="Hearth reads versions 2 and 3.",
        hint="Download a newer conversion of the model." if version < 2 else "Look for a newer Hearth.",
    )
