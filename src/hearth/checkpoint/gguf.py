"""A checkpoint in one GGUF file, hostile until checked.

A file is: magic, version, tensor count, metadata count, metadata, tensor descriptions, padding, tensor data. Source:
the GGUF specification (ggml, docs/gguf.md). Every number is held against the size of the file before it is used.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.ggml_types import GGML_TYPES
from hearth.checkpoint.gguf_metadata import MAX_NAME_BYTES, Cursor, GgufMetadata, require_version
from hearth.checkpoint.mapped import PULL_AGAIN, fingerprint_files, map_file, refuse_pointer
from hearth.checkpoint.readable import require_readable
from hearth.checkpoint.tokenizer.gguf_vocab import gguf_tokenizer
from hearth.checkpoint.types import SourceKind, TensorInfo, TokenizerSpec
from hearth.errors import CorruptFile, Unsupported

_DEFAULT_ALIGNMENT = 32
_SPLIT_NAME = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


class _Described(NamedTuple):
    """A tensor and where its bytes begin, counted from the start of the data section."""

    info: TensorInfo
    offset: int


class GgufCheckpoint:
    """A `Checkpoint` over one .gguf file. Opening it reads its header; tensors and vocabulary stay mapped.

    Args:
        eyes: it is to be the part of a model that sees (mmproj), rather than a model.

    Raises:
        CorruptFile: the file is truncated, damaged or hostile.
        Unsupported: another version, byte order, tensor type number, or one part of a split file; a file of another
            kind.
        StorageError: the file cannot be opened.
    """

    kind: SourceKind = "gguf"

    def __init__(self, path: Path, *, eyes: bool = False) -> None:
        self.path = path
        self._data = map_file(path)
        refuse_pointer(path, self._data)
        cursor = Cursor(self._data.data, path.name)
        require_version(cursor)
        tensor_count, metadata_count = cursor.u64(), cursor.u64()
        if tensor_count * 24 > cursor.remaining:  # empty name (8), no dimensions (4), type (4), offset (8)
            cursor.fail(f"{tensor_count:,} tensors are announced where {cursor.remaining:,} bytes are left.")
        metadata = GgufMetadata(cursor, metadata_count)
        _refuse_split(path, metadata)
        _require_kind(path, metadata, eyes)
        self.config: Mapping[str, Any] = metadata
        self.architecture: str = _architecture(cursor, metadata)
        alignment = _alignment(cursor, metadata)
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

    def raw(self, name: str) -> NDArray[np.uint8]:
        """See `Checkpoint.raw`. Raises KeyError for an unknown name, Unsupported for a type Hearth cannot use."""
        info = self.tensors[name]
        require_readable(info, self.kind)
        begin, end = self.span(name)
        return self._data[begin:end]

    def span(self, name: str) -> tuple[int, int]:
        """Where the bytes of a tensor stand in the file: `[begin, end)`."""
        begin = self._data_start + self._offsets[name]
        return begin, begin + self.tensors[name].size_bytes

    def fingerprint(self) -> str:
        """See `Checkpoint.fingerprint`."""
        return fingerprint_files([("header", self._data[: self._header_end])], [self.path])

    def tokenizer(self) -> TokenizerSpec | None:
        """See `Checkpoint.tokenizer`. Raises CorruptFile, or Unsupported for an unknown kind of tokenizer."""
        embedding = self.tensors.get("token_embd.weight")
        rows = embedding.shape[0] if embedding is not None and len(embedding.shape) == 2 else None
        return gguf_tokenizer(self.config, self.path.name, rows)


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
    type_number, offset = cursor.u32(), cursor.u64()
    kind = GGML_TYPES.get(type_number)
    if kind is None:
        raise Unsupported(
            f"{cursor.file_name}: tensor {shown} has the unknown type number {type_number}.",
            why=f"Known: {', '.join(known.name for known in GGML_TYPES.values())}.",
            hint="Look for the same model as Q4_K_M, Q8_0 or F16, or for a newer Hearth.",
        )
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


def _architecture(cursor: Cursor, metadata: GgufMetadata) -> str:
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        cursor.fail("the file does not say which architecture it has.", "general.architecture is missing.")
    return architecture


# By `general.type`; and `general.architecture` of what llama.cpp's converter makes of the eyes of a model.
_OTHER_KINDS = {
    "adapter": (
        "a LoRA adapter, which changes another model and is none by itself",
        "Look for the model with the adapter merged in (llama.cpp's `llama-export-lora` merges them).",
    ),
    "mmproj": (
        "the part of a model that sees or hears (mmproj), which goes with a language model",
        "Use the language model beside it, which finds this file; or name it with --mmproj.",
    ),
    "imatrix": (
        "an importance matrix: notes for quantising a model",
        "Use the model that it was made for.",
    ),
    "vocab": ("a vocabulary without weights", "Use the model that it belongs to."),
}
_OTHER_ARCHITECTURES = {"clip": "mmproj"}


def _require_kind(path: Path, metadata: GgufMetadata, eyes: bool) -> None:
    """Raises Unsupported for a file that is no model, or where `eyes` are wanted and it has none."""
    kind, architecture = metadata.get("general.type"), metadata.get("general.architecture")
    if isinstance(architecture, str):
        kind = _OTHER_ARCHITECTURES.get(architecture, kind)
    if eyes and kind != "mmproj":
        raise Unsupported(f"{path.name} is no part of a model that sees (mmproj).", hint="Name one, or leave it out.")
    if isinstance(kind, str) and kind in _OTHER_KINDS and not eyes:
        what, hint = _OTHER_KINDS[kind]
        raise Unsupported(f"{path.name} is {what}.", hint=hint)


def _refuse_split(path: Path, metadata: GgufMetadata) -> None:
    match = _SPLIT_NAME.search(path.name)
    parts = metadata.get("split.count", int(match[2]) if match else 1)
    if type(parts) is int and parts > 1:
        raise Unsupported(
            f"{path.name} is one of {parts} parts of a split GGUF file.",
            why="Hearth reads whole files.",
            hint="Join them with llama.cpp's `llama-gguf-split --merge`, or look for a file that is not split.",
        )
