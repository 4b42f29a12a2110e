"""One file in the GGUF format, hostile until checked: metadata, tensor descriptions, and where their bytes lie.

A file is: magic, version, tensor count, metadata count, metadata, tensor descriptions, padding, tensor data. Source:
the GGUF specification (ggml, docs/gguf.md). Every number is held against the size of the file before it is used. What
the metadata mean, and that a model may stand in several files, is for `gguf.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.ggml_types import GGML_TYPES, refuse_type
from hearth.checkpoint.gguf_metadata import MAX_NAME_BYTES, Cursor, GgufMetadata, require_version
from hearth.checkpoint.mapped import PULL_AGAIN, map_file, refuse_pointer
from hearth.checkpoint.types import TensorInfo
from hearth.errors import CorruptFile, Unsupported

_DEFAULT_ALIGNMENT = 32


class _Described(NamedTuple):
    """A tensor and where its bytes begin, counted from the start of the data section."""

    info: TensorInfo
    offset: int


class GgufFile:
    """Opening it reads its header; tensors and vocabulary stay mapped.

    Attributes:
        path: of the file.
        metadata: what stands before the tensors.
        tensors: that it holds, by name.

    Raises:
        CorruptFile: the file is truncated, damaged or hostile.
        Unsupported: another version, byte order or tensor type number.
        StorageError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._data = map_file(path)
        refuse_pointer(path, self._data)
        cursor = Cursor(self._data.data, path.name)
        require_version(cursor)
        tensor_count, metadata_count = cursor.u64(), cursor.u64()
        if tensor_count * 24 > cursor.remaining:  # empty name (8), no dimensions (4), type (4), offset (8)
            cursor.fail(f"{tensor_count:,} tensors are announced where {cursor.remaining:,} bytes are left.")
        self.metadata = GgufMetadata(cursor, metadata_count)
        alignment = _alignment(cursor, self.metadata)
        described = [_describe(cursor, alignment) for _ in range(tensor_count)]
        self._data_start = -(-cursor.position // alignment) * alignment
        self._offsets = {tensor.info.name: tensor.offset for tensor in described}
        self.tensors: Mapping[str, TensorInfo] = {tensor.info.name: tensor.info for tensor in described}
        self._header_end = cursor.position
        self._check_layout(cursor, described)

    def _check_layout(self, cursor: Cursor, described: list[_Described]) -> None:
        if len(self.tensors) != len(described):
            names = sorted(tensor.info.name for tensor in described)
            twice = next(first for first, second in itertools.pairwise(names) if first == second)
            cursor.fail(f"the tensor {twice[:200]!r} stands twice.")
        if not described:
            return
        in_order = sorted(described, key=lambda tensor: tensor.offset)
        for first, second in itertools.pairwise(in_order):
            if first.offset + first.info.size_bytes > second.offset:
                _refuse_groups_of_128(cursor, first, second)
                cursor.fail(f"tensors {first.info.name[:200]!r} and {second.info.name[:200]!r} overlap.")
        last = in_order[-1]
        end = self._data_start + last.offset + last.info.size_bytes
        if end > len(self._data):
            raise CorruptFile(
                f"{self.path.name} is truncated: tensor {last.info.name[:200]!r} ends at byte {end:,}, the file has "
                f"{len(self._data):,} bytes.",
                why="The download was probably interrupted, or the header is damaged.",
                hint=PULL_AGAIN,
            )

    @property
    def header(self) -> NDArray[np.uint8]:
        """All bytes before the tensors'."""
        return self._data[: self._header_end]

    def raw(self, name: str) -> NDArray[np.uint8]:
        """The bytes of a tensor, mapped."""
        begin, end = self.span(name)
        return self._data[begin:end]

    def span(self, name: str) -> tuple[int, int]:
        """Where the bytes of a tensor stand in the file: `[begin, end)`."""
        begin = self._data_start + self._offsets[name]
        return begin, begin + self.tensors[name].size_bytes


def _refuse_groups_of_128(cursor: Cursor, first: _Described, second: _Described) -> None:
    """Raises Unsupported where a tensor is as long as an older Q2_0 made it: 34 bytes for 128 numbers."""
    length = first.info.size_bytes // 36 * 34
    if first.info.dtype == "q2_0" and 0 <= second.offset - first.offset - length < _DEFAULT_ALIGNMENT:
        raise Unsupported(
            f"{cursor.file_name}: tensor {first.info.name[:200]!r} has the type q2_0 with a scale for 128 numbers.",
            why="A fork of llama.cpp wrote it so; in llama.cpp a scale of that type is for 64.",
            hint="Look for a newer conversion of the model: Q2_0, TQ2_0, Q4_K_M.",
        )


def header_size(beginning: bytes) -> int | None:
    """Bytes of a file's header, of whose content only the beginning is at hand; None where the header goes on.

    Raises:
        Unsupported: another version or byte order.
    """
    cursor = Cursor(memoryview(beginning), "")
    try:
        require_version(cursor)
        tensor_count, metadata_count = cursor.u64(), cursor.u64()
        GgufMetadata(cursor, metadata_count)
        for _ in range(tensor_count):
            cursor.string(MAX_NAME_BYTES)
            cursor.position += 8 * cursor.u32() + 12  # dimensions; type, offset
    except CorruptFile:
        return None
    return cursor.position if cursor.remaining >= 0 else None


def _describe(cursor: Cursor, alignment: int) -> _Described:
    name = cursor.string(MAX_NAME_BYTES)
    shown = repr(name[:200])
    num_dims = cursor.u32()
    if num_dims > 4:
        cursor.fail(f"tensor {shown} has {num_dims:,} dimensions.", "GGUF tensors have at most 4.")
    dims = [cursor.u64() for _ in range(num_dims)]  # innermost first
    if num_dims == 4 and dims[-1] == 1:  # which says nothing, and which some files have and others have not
        dims.pop()
    type_number, offset = cursor.u32(), cursor.u64()
    kind = GGML_TYPES.get(type_number)
    if kind is None:
        refuse_type(type_number, f"{cursor.file_name}: tensor {shown}")
    elements = 1
    for dim in dims:
        elements *= dim
        if dim == 0 or elements >= 1 << 63:
            cursor.fail(f"tensor {shown} has the impossible shape {dims[::-1]}.")
    row = dims[0] if dims else 1
    if row % kind.block:
        cursor.fail(f"tensor {shown} of type {kind.name} has rows of {row:,}, no multiple of {kind.block}.")
    if offset % alignment:
        cursor.fail(f"tensor {shown} begins at {offset:,}, no multiple of the alignment {alignment}.")
    info = TensorInfo(name, tuple(dims[::-1]), kind.name, elements // kind.block * kind.block_bytes)
    return _Described(info, offset)


def _alignment(cursor: Cursor, metadata: GgufMetadata) -> int:
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    # `type() is`: a bool is no alignment.
    if type(alignment) is not int or alignment <= 0 or alignment & (alignment - 1):
        cursor.fail(f"general.alignment is {str(alignment)[:80]}.", "It must be a power of two.")
    return alignment
