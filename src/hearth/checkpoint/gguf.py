"""A checkpoint in the GGUF format: one file, or the parts of one that was split.

Parts are called `NAME-00001-of-0000N.gguf`; each is a file of its own with some of the tensors, and what is said of the
model stands in the first (`llama-gguf-split`). Whichever of them is opened, the model is all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.gguf_file import GgufFile
from hearth.checkpoint.gguf_metadata import GgufMetadata
from hearth.checkpoint.mapped import PULL_AGAIN, fingerprint_files
from hearth.checkpoint.readable import require_readable
from hearth.checkpoint.tokenizer.gguf_vocab import gguf_tokenizer
from hearth.checkpoint.types import SourceKind, TensorInfo, TokenizerSpec
from hearth.errors import CorruptFile, Unsupported
from hearth.hub.ggufs import part_files


class GgufCheckpoint:
    """A `Checkpoint` over a .gguf file, or over all parts of a split one.

    Args:
        path: of the file, or of any of its parts.
        eyes: it is to be the part of a model that sees (mmproj), rather than a model.

    Attributes:
        files: that hold the tensors, in order.

    Raises:
        CorruptFile: a file is truncated, damaged or hostile, a part is missing or belongs to another model.
        Unsupported: another version, byte order or tensor type number; a file of another kind.
        StorageError: a file cannot be opened.
    """

    kind: SourceKind = "gguf"

    def __init__(self, path: Path, *, eyes: bool = False) -> None:
        self.files = _open_parts(part_files(path))
        first = self.files[0]
        self.path = first.path
        _require_kind(first.path, first.metadata, eyes)
        self.config: Mapping[str, Any] = first.metadata
        self.architecture: str = _architecture(first)
        self._holders = {name: file for file in self.files for name in file.tensors}
        if len(self._holders) < sum(len(file.tensors) for file in self.files):
            twice = next(n for file in self.files for n in file.tensors if self._holders[n] is not file)
            raise CorruptFile(
                f"The tensor {twice[:200]!r} stands twice in the parts of {first.path.name}.",
                why="They are not of one model.",
                hint=PULL_AGAIN,
            )
        tensors = {name: file.tensors[name] for name, file in self._holders.items()}
        self.tensors: Mapping[str, TensorInfo] = _with_factors(tensors, self._factor)

    def _factor(self, name: str) -> float:
        return float(np.ascontiguousarray(self._holders[name].raw(name)).view("<f4")[0])

    def raw(self, name: str) -> NDArray[np.uint8]:
        """See `Checkpoint.raw`. Raises KeyError for an unknown name, Unsupported for a type Hearth cannot use."""
        require_readable(self.tensors[name], self.kind)
        return self._holders[name].raw(name)

    def span(self, name: str) -> tuple[Path, int, int]:
        """Where the bytes of a tensor stand: the file, and `[begin, end)` in it."""
        file = self._holders[name]
        return file.path, *file.span(name)

    def fingerprint(self) -> str:
        """See `Checkpoint.fingerprint`."""
        return fingerprint_files([("header", file.header) for file in self.files], [file.path for file in self.files])

    def tokenizer(self) -> TokenizerSpec | None:
        """See `Checkpoint.tokenizer`. Raises CorruptFile, or Unsupported for an unknown kind of tokenizer."""
        embedding = self.tensors.get("token_embd.weight")
        rows = embedding.shape[0] if embedding is not None and len(embedding.shape) == 2 else None
        return gguf_tokenizer(self.config, self.path.name, rows)


def _open_parts(paths: list[Path]) -> list[GgufFile]:
    missing = [path.name for path in paths if not path.is_file()] if len(paths) > 1 else []
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise CorruptFile(
            f"{paths[0].parent} lacks {missing[0]}{others}.",
            why=f"The model is split over {len(paths)} files, all of which are needed.",
            hint="Bring the missing ones (`hearth pull` brings all), and keep the names they were published with.",
        )
    files = [GgufFile(path) for path in paths]
    for number, file in enumerate(files):
        count, own = file.metadata.get("split.count", 1), file.metadata.get("split.no", 0)
        if (count, own) != (len(files), number) and (len(files) > 1 or count not in (0, 1)):
            here = f"that it is part {number + 1} of {len(files)}" if len(files) > 1 else "does not say so"
            raise CorruptFile(
                f"{file.path.name} says that it is part {_shown(own, 1)} of {_shown(count)} of a split file, and its "
                f"name {here}.",
                why="Parts are found by their names: NAME-00001-of-00003.gguf.",
                hint="Give all parts the names they were published with, or pull the model again.",
            )
    total = files[0].metadata.get("split.tensors.count") if len(files) > 1 else None
    found = sum(len(file.tensors) for file in files)
    if isinstance(total, int) and total != found:
        raise CorruptFile(
            f"The {len(files)} parts of {paths[0].name} hold {found} tensors where {total} are announced.",
            why="They are not of one model.",
            hint=PULL_AGAIN,
        )
    return files


def _with_factors(tensors: Mapping[str, TensorInfo], factor: Callable[[str], float]) -> dict[str, TensorInfo]:
    """The tensors without those that belong to one of type NVFP4: `NAME.scale` multiplies `NAME.weight`;
    `NAME.input_scale` is for processors that round activations the same way.

    Raises:
        CorruptFile: a scale is no finite number.
        Unsupported: it is several numbers, one for each expert.
    """
    found = dict(tensors)
    for name, info in tensors.items():
        stem = name.removesuffix(".weight")
        if info.dtype != "nvfp4" or stem == name:
            continue
        found.pop(f"{stem}.input_scale", None)
        scale = found.pop(f"{stem}.scale", None)
        if scale is None:
            continue
        if scale.dtype != "f32" or scale.shape not in ((), (1,)):
            raise Unsupported(
                f"Tensor {scale.name[:200]!r} has the shape {list(scale.shape)}.", why="One number is known."
            )
        value = factor(scale.name)
        if not math.isfinite(value):
            raise CorruptFile(
                f"{scale.name[:200]!r} is not a finite number.", why="The file is damaged.", hint=PULL_AGAIN
            )
        found[name] = replace(info, factor=value)
    return found


def _shown(number: object, more: int = 0) -> str:
    return f"{number + more:,}" if isinstance(number, int) else repr(number)[:40]


def _architecture(file: GgufFile) -> str:
    architecture = file.metadata.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        raise CorruptFile(
            f"{file.path.name}: the file does not say which architecture it has.",
            why="general.architecture is missing.",
            hint=PULL_AGAIN,
        )
    return architecture


# By `general.type`; and `general.architecture` of what llama.cpp's converter makes of the eyes of a model.
_OTHER_KINDS = {
    "adapter": (
        "a LoRA adapter, which changes another model and is none by itself",
        "It goes with its model: hearth chat MODEL --lora ADAPTER.gguf",
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
