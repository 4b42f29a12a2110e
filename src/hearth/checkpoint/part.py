"""Some of the tensors of a checkpoint as a checkpoint of their own: one half of a model that has two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.types import Checkpoint, SourceKind, TensorInfo, TokenizerSpec


class CheckpointPart:
    """A `Checkpoint` over some tensors of another, under other names.

    Args:
        whole: that has them.
        names: each tensor's name here, and in the whole.
        architecture, config: of this half.
    """

    def __init__(
        self, whole: Checkpoint, names: Mapping[str, str], *, architecture: str, config: Mapping[str, Any]
    ) -> None:
        self.path = whole.path
        self.kind: SourceKind = whole.kind
        self.architecture = architecture
        self.config = config
        self.names = names
        self.tensors: Mapping[str, TensorInfo] = {
            name: replace(whole.tensors[original], name=name) for name, original in names.items()
        }
        self._whole = whole

    def raw(self, name: str) -> NDArray[np.uint8]:
        """See `Checkpoint.raw`."""
        return self._whole.raw(self.names[name])

    def fingerprint(self) -> str:
        """Of the whole."""
        return self._whole.fingerprint()

    def tokenizer(self) -> TokenizerSpec | None:
        """Of the whole."""
        return self._whole.tokenizer()
