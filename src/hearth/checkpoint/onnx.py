"""A model in one ONNX file, its weights in it or in files beside it. Hostile until checked; the package `onnx` is not
needed."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.mapped import (
    PULL_AGAIN,
    fingerprint_files,
    map_file,
    read_json_object,
    refuse_pointer,
    truncated,
)
from hearth.checkpoint.onnx_graph import GraphReader, OnnxGraph
from hearth.checkpoint.readable import require_readable
from hearth.checkpoint.tokenizer.hf import hf_tokenizer
from hearth.checkpoint.types import SourceKind, TensorInfo, TokenizerSpec
from hearth.errors import CorruptFile, StorageError, Unsupported


class OnnxCheckpoint:
    """A `Checkpoint` over one .onnx file: its initializers are the tensors. Opening it reads the graph.

    Attributes:
        graph: what is computed.
        opsets: version of the operators, by domain ("" is ONNX's own).
        metadata: texts by name that the model's authors put into the file: labels, an alphabet.

    Raises:
        CorruptFile: the file is truncated, damaged or hostile, or names a file outside its folder.
        Unsupported: it defines functions of its own.
        StorageError: it cannot be opened.
    """

    kind: SourceKind = "onnx"
    architecture = "onnx"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, NDArray[np.uint8]] = {}
        data = map_file(path)
        refuse_pointer(path, data)
        reader = GraphReader(self._external)
        try:
            self.graph: OnnxGraph
            self.graph, self.opsets, functions, self._identity = reader.model(data.data)
            self.metadata: Mapping[str, str] = reader.metadata
        except (ValueError, struct.error) as error:
            raise CorruptFile(f"{path.name} is no sound ONNX file.", why=f"{error}.", hint=PULL_AGAIN) from error
        if functions:
            raise Unsupported(
                f"{path.name} defines functions of its own: {', '.join(functions[:5])[:200]}.",
                why="Hearth reads graphs whose functions are written out.",
                hint="Export it anew with optimize=True, or write them out with onnx.inliner.inline_local_functions.",
            )
        self.tensors: Mapping[str, TensorInfo] = {
            name: TensorInfo(name, tensor.shape, tensor.dtype, tensor.size_bytes)
            for name, tensor in self.graph.initializers.items()
        }

    def _external(self, tensor: str, entries: Mapping[str, str], size: int) -> Callable[[], NDArray[np.uint8]]:
        """Bytes of a tensor in another file of the model's folder."""
        location = entries.get("location", "")
        if not _is_inside(location, self.path.parent):
            raise CorruptFile(
                f"{self.path.name} keeps the tensor {tensor[:200]!r} in {location[:200]!r}.",
                why="Its data may only stand in the model's own folder.",
                hint="This file may be hostile: get the model from a source you trust.",
            )
        offset, length = _count(entries.get("offset", "0")), _count(entries.get("length", str(size)))
        if length != size:
            raise ValueError(f"the tensor {tensor[:200]!r} needs {size:,} bytes and has {length:,}")
        if location not in self._files:
            try:
                self._files[location] = map_file(self.path.parent / location)
            except StorageError as error:
                raise CorruptFile(
                    f"{self.path.name} keeps weights in {location[:200]!r}, which cannot be read.",
                    why=error.why,
                    hint="Bring that file beside the .onnx file, under this name.",
                ) from error
        data = self._files[location]
        if offset + length > len(data):
            raise truncated(self.path.parent / location, offset + length, len(data), f"tensor {tensor[:200]!r}")
        return lambda: data[offset : offset + length]

    def raw(self, name: str) -> NDArray[np.uint8]:
        """See `Checkpoint.raw`. Raises KeyError for an unknown name, Unsupported for a type Hearth cannot use."""
        require_readable(self.tensors[name], self.kind)
        return self.graph.initializers[name].data()

    def fingerprint(self) -> str:
        """See `Checkpoint.fingerprint`."""
        files = [self.path, *(self.path.parent / name for name in sorted(self._files))]
        return fingerprint_files([("graph", bytes(part)) for part in self._identity], files)

    @property
    def config(self) -> Mapping[str, Any]:
        """config.json beside the file, or above its folder; empty where there is none."""
        folder = self._folder_with("config.json")
        return {} if folder is None else read_json_object(folder / "config.json")

    def tokenizer(self) -> TokenizerSpec | None:
        """See `Checkpoint.tokenizer`. Raises CorruptFile, or Unsupported for an unknown kind of tokenizer."""
        folder = self._folder_with("tokenizer.json")
        return None if folder is None else hf_tokenizer(folder, self.config, None)

    def _folder_with(self, name: str) -> Path | None:
        """Where a file of the model's repository is: beside the graph, or above a folder `onnx`."""
        above = [self.path.parent.parent] if self.path.parent.name == "onnx" else []
        return next((folder for folder in (self.path.parent, *above) if (folder / name).is_file()), None)


def _is_inside(location: str, folder: Path) -> bool:
    """Whether a relative path leads to a file in a folder, also where links are followed."""
    parts = PurePosixPath(location).parts
    plain = (
        bool(parts)
        and "\0" not in location
        and "\\" not in location
        and ".." not in parts
        and not PurePosixPath(location).is_absolute()
        and not PureWindowsPath(location).drive
    )
    return plain and (folder / location).resolve().is_relative_to(folder.resolve())


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise ValueError(f"{text[:40]!r} is no number of bytes")
    return int(text)
