"""The checkpoint that shows quantised weights as those of the unquantised model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.folder import FolderCheckpoint
from hearth.checkpoint.mapped import read_json_object
from hearth.checkpoint.quantised.methods import method_of
from hearth.checkpoint.quantised.scheme import Scheme, scheme_of, without_scheme
from hearth.checkpoint.quantised.weight import Stored, Weight
from hearth.checkpoint.types import Checkpoint, SourceKind, TensorInfo, TokenizerSpec
from hearth.errors import CorruptFile


class UnquantisedCheckpoint:
    """A `Checkpoint` over a folder with quantised weights. Opening it reads what is small: shapes, orders of groups;
    scales, where their type leaves it open whether a format of ours holds them.

    Raises:
        CorruptFile: tensors of a weight are missing, or do not fit together.
        Unsupported: a way of quantising that Hearth does not read, by name.
    """

    kind: SourceKind = "safetensors"

    def __init__(self, folder: FolderCheckpoint, scheme: Scheme) -> None:
        self.path: Path = folder.path
        self.architecture = folder.architecture
        self.config: Mapping[str, Any] = without_scheme(folder.config)
        self._folder = folder
        method = method_of(scheme, str(folder.path))
        self._made: dict[str, Weight] = {}
        for weight in method.weights(Stored(folder), scheme):
            if weight.info.name in self._made:
                raise CorruptFile(f"The weight {weight.info.name[:200]!r} stands twice in {folder.path}.")
            self._made[weight.info.name] = weight
        used = {part for weight in self._made.values() for part in weight.parts}
        plain = {name: info for name, info in folder.tensors.items() if name not in used and not method.serves(name)}
        self.tensors: Mapping[str, TensorInfo] = plain | {name: weight.info for name, weight in self._made.items()}

    def raw(self, name: str) -> NDArray[np.uint8]:
        """See `Checkpoint.raw`. Raises KeyError for an unknown name, Unsupported for a type Hearth cannot use."""
        made = self._made.get(name)
        return self._folder.raw(name) if made is None else self._folder.stored(made.parts[0])

    def fingerprint(self) -> str:
        """See `Checkpoint.fingerprint`."""
        return self._folder.fingerprint()

    def tokenizer(self) -> TokenizerSpec | None:
        """See `Checkpoint.tokenizer`."""
        return self._folder.tokenizer()


def unquantised(folder: FolderCheckpoint) -> Checkpoint:
    """A folder, as it is where its weights are not quantised. Raises: as `UnquantisedCheckpoint`."""

    def beside(name: str) -> Mapping[str, Any] | None:
        path = folder.path / name
        return read_json_object(path) if path.is_file() else None

    scheme = scheme_of(folder.config, beside)
    return folder if scheme is None else UnquantisedCheckpoint(folder, scheme)
