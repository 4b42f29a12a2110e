"""A language model in a GGUF file together with what sees, which stands in a file of its own (mmproj)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.gguf import GgufCheckpoint
from hearth.checkpoint.mapped import fingerprint_files
from hearth.checkpoint.types import SourceKind, TensorInfo, TokenizerSpec
from hearth.errors import CorruptFile
from hearth.hub.ggufs import eyes_for


class JoinedCheckpoint:
    """A `Checkpoint` over two files: the tensors of both, everything else of the language model.

    Attributes:
        eyes: the file that sees.
        asked_for: it was named, rather than found beside the language model.

    Raises:
        CorruptFile: both have a tensor of the same name.
    """

    kind: SourceKind = "gguf"

    def __init__(self, text: GgufCheckpoint, eyes: GgufCheckpoint, *, asked_for: bool) -> None:
        self.text, self.eyes, self.asked_for = text, eyes, asked_for
        self.path = text.path
        self.architecture = text.architecture
        self.config: Mapping[str, Any] = text.config
        both = sorted(text.tensors.keys() & eyes.tensors.keys())
        if both:
            raise CorruptFile(f"The tensor {both[0][:200]!r} stands in {text.path.name} and in {eyes.path.name}.")
        self.tensors: Mapping[str, TensorInfo] = {**text.tensors, **eyes.tensors}

    def raw(self, name: str) -> NDArray[np.uint8]:
        """See `Checkpoint.raw`."""
        return (self.text if name in self.text.tensors else self.eyes).raw(name)

    def fingerprint(self) -> str:
        """See `Checkpoint.fingerprint`."""
        whole = [(name, f.fingerprint().encode()) for name, f in (("text", self.text), ("eyes", self.eyes))]
        return fingerprint_files(whole, [])

    def tokenizer(self) -> TokenizerSpec | None:
        """See `Checkpoint.tokenizer`."""
        return self.text.tokenizer()


def eyes_beside(path: Path) -> Path | None:
    """The file that sees for a language model in a `.gguf` file, if one lies beside it (`hub.ggufs.eyes_for`)."""
    try:
        found = eyes_for(path.name, [p.name for p in path.parent.iterdir()])
    except OSError:
        return None
    return None if found is None else path.parent / found
