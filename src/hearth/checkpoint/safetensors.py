"""One safetensors file, whose header is read, trusting nothing in it.

A file is: header length (u64, little-endian), header (JSON), data. The header maps a tensor's name to its `dtype`,
`shape` and `data_offsets` [begin, end) into the data. Source: the format section of the safetensors README.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.mapped import PULL_AGAIN, map_file, parse_json_object, refuse_pointer, truncated
from hearth.checkpoint.readable import require_readable
from hearth.checkpoint.types import TensorInfo
from hearth.errors import CorruptFile, Unsupported

MAX_HEADER_BYTES = 100_000_000
"""The format's own limit."""

# Bits per element; types of less than 8 bits are packed.
_DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
}  # fmt: skip


@dataclass(frozen=True)
class Located:
    """A tensor and where its bytes stand: `[begin, end)` from the start of the file."""

    info: TensorInfo
    file: Path
    begin: int
    end: int


class SafetensorsFile:
    """A file of weights: its tensors, described, and their bytes, mapped when they are first asked for.

    Raises: as `read_header`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._located, self._header_size = read_header(path)
        self.tensors: Mapping[str, TensorInfo] = {name: found.info for name, found in self._located.items()}

    @cached_property
    def _data(self) -> NDArray[np.uint8]:
        return map_file(self.path)

    @property
    def identity(self) -> NDArray[np.uint8]:
        """What of the file says what is in it."""
        return self._data[: self._header_size]

    def raw(self, name: str) -> NDArray[np.uint8]:
        """See `Checkpoint.raw`."""
        require_readable(self.tensors[name], "safetensors")
        return self.stored(name)

    def stored(self, name: str) -> NDArray[np.uint8]:
        """The bytes of a tensor of any type."""
        tensor = self._located[name]
        return self._data[tensor.begin : tensor.end]


def read_header(path: Path) -> tuple[dict[str, Located], int]:
    """The tensors of a safetensors file by name, and the size of its header in bytes (length field included).

    Raises:
        CorruptFile: any part of the header contradicts the format or the size of the file.
        Unsupported: a dtype that is not in the format's list.
        StorageError: the file cannot be opened.
    """
    data = map_file(path)
    size = len(data)
    refuse_pointer(path, data)
    if size < 8:
        raise truncated(path, 8, size, "the header's length")
    header_size = int.from_bytes(data[:8].tobytes(), "little")
    if header_size > MAX_HEADER_BYTES:
        raise CorruptFile(
            f"{path.name} is no safetensors file: its header claims {header_size:,} bytes.",
            why=f"The format allows {MAX_HEADER_BYTES:,}.",
            hint=PULL_AGAIN,
        )
    if 8 + header_size > size:
        raise truncated(path, 8 + header_size, size, "the header")
    header = parse_json_object(data[8 : 8 + header_size].tobytes(), f"The header of {path.name}")
    header.pop("__metadata__", None)
    start = 8 + header_size
    located = {name: _locate(path, name, entry, start) for name, entry in header.items()}
    needed = max((tensor.end for tensor in located.values()), default=start)
    if needed > size:
        raise truncated(path, needed, size, "the tensor data")
    _refuse_overlap(path, located)
    return located, start


def _locate(path: Path, name: str, entry: Any, start: int) -> Located:
    def bad(why: str) -> CorruptFile:
        return CorruptFile(f"{path.name}: the entry of tensor {name[:200]!r} is damaged.", why=why, hint=PULL_AGAIN)

    if not isinstance(entry, dict):
        raise bad("It is not a JSON object.")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str):
        raise bad("It has no dtype.")
    if dtype not in _DTYPE_BITS:
        raise Unsupported(
            f"{path.name}: tensor {name[:200]!r} has the unknown dtype {dtype[:40]!r}.",
            why=f"Known: {', '.join(_DTYPE_BITS)}.",
            hint="Look for the same model in BF16, F16 or F32.",
        )
    if not _are_counts(shape) or len(shape) > 32:
        raise bad("Its shape is not a list of sizes.")
    if not _are_counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise bad("Its data_offsets are not [begin, end].")
    elements = 1
    for dim in shape:
        elements *= dim
        if elements >= 1 << 63:
            raise bad(f"Its shape {shape} overflows.")
    size_bytes, rest = divmod(elements * _DTYPE_BITS[dtype], 8)
    begin, end = offsets
    if rest or size_bytes != end - begin:
        raise bad(f"{dtype} {shape} needs {size_bytes:,} bytes, data_offsets span {end - begin:,}.")
    info = TensorInfo(name, tuple(shape), dtype.lower(), size_bytes)
    return Located(info, path, start + begin, start + end)


def _are_counts(value: Any) -> TypeGuard[list[int]]:
    """Is it a list of integers in 0 .. 2^63 - 1 (`true` is none)?"""
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 1 << 63 for item in value)


def _refuse_overlap(path: Path, located: dict[str, Located]) -> None:
    occupied = sorted((t for t in located.values() if t.end > t.begin), key=lambda t: t.begin)
    for first, second in itertools.pairwise(occupied):
        if first.end > second.begin:
            raise CorruptFile(
                f"{path.name}: tensors {first.info.name[:200]!r} and {second.info.name[:200]!r} overlap.",
                why="Two tensors of a sound file never share bytes.",
                hint=PULL_AGAIN,
            )
