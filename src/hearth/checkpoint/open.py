"""Which reader a path needs."""

from __future__ import annotations

import os
from pathlib import Path

from hearth.checkpoint.folder import FolderCheckpoint
from hearth.checkpoint.gguf import GgufCheckpoint
from hearth.checkpoint.joined import JoinedCheckpoint, eyes_beside
from hearth.checkpoint.quantised import unquantised
from hearth.checkpoint.torch_file import TorchCheckpoint
from hearth.checkpoint.types import Checkpoint
from hearth.errors import ModelNotFound, UsageError
from hearth.hub.ggufs import models_among
from hearth.hub.local import TORCH_ENDINGS
from hearth.hub.weights import FORMS, form_in

NO_EYES = "none"


def open_checkpoint(path: str | os.PathLike[str], *, mmproj: str | None = None) -> Checkpoint:
    """Opens a model as its authors published it; reads headers only.

    Args:
        path: a folder with config.json and files of weights, a .gguf file or any part of a split one, a folder with one
            GGUF model, or a file of weights (.pth).
        mmproj: the file that sees for a GGUF file; None: what lies beside it, if anything; "none": none.

    Raises:
        ModelNotFound: nothing is there, or nothing that is a model.
        CorruptFile: a file is damaged, truncated, missing or hostile.
        Unsupported: sound, but in a form that Hearth does not read.
        StorageError: a file cannot be opened.
    """
    path = Path(path)
    if path.is_file():
        if any(form.is_weights(path.name) for form in FORMS):
            raise UsageError(
                f"{path} is one file of a model.",
                why="The configuration and the tokenizer stand beside it.",
                hint=f"Give the folder: {path.parent}",
            )
        return TorchCheckpoint(path) if path.suffix.lower() in TORCH_ENDINGS else _gguf(path, mmproj)
    if not path.is_dir():
        raise ModelNotFound(f"{path} does not exist.", hint="Give a model folder or a .gguf file.")
    if (path / "config.json").is_file() and form_in(path) is not None:
        if mmproj not in (None, NO_EYES):
            raise UsageError(f"--mmproj goes with a .gguf file, and {path} is none.")
        return unquantised(FolderCheckpoint(path))
    ggufs = [path / name for name in models_among(file.name for file in path.iterdir() if file.is_file())]
    if len(ggufs) == 1:
        return _gguf(ggufs[0], mmproj)
    if ggufs:
        raise UsageError(
            f"{path} holds {len(ggufs)} GGUF models.",
            why=f"Among them {ggufs[0].name} and {ggufs[1].name}.",
            hint="Name the one you want.",
        )
    return FolderCheckpoint(path)  # its errors say what the folder lacks


def _gguf(path: Path, mmproj: str | None) -> Checkpoint:
    text = GgufCheckpoint(path)
    if mmproj == NO_EYES:
        return text
    eyes = Path(mmproj).expanduser() if mmproj is not None else eyes_beside(path)
    if eyes is None:
        return text
    return JoinedCheckpoint(text, GgufCheckpoint(eyes, eyes=True), asked_for=mmproj is not None)
