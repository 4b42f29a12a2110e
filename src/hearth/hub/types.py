"""What the hub room hands out: where a model lies, what is installed, how far a download is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from hearth.hub.remote import Remote

# A folder as published, a GGUF file, an ONNX file, a file of weights that torch saved, a bundle that Hearth compiled,
# or the model that ships with Hearth.
SourceKind = Literal["folder", "gguf", "onnx", "torch", "bundle", "starter"]


@dataclass(frozen=True)
class Source:
    """A model on this disk.

    Attributes:
        name: what to type to get it again, always the same for the same files: `starter`, `owner/name`,
            `owner/name:Q4_K_M`, or an absolute path.
        path: the folder (`folder`, `bundle`, `starter`) or the `.gguf` or `.onnx` file; of a split one the first part.
        kind: what lies at `path`.
        repo_id: `owner/name` on the hub; None for what is local.
        commit: the hub's commit that the files are of; None for what is local.
        size_bytes: sum of the sizes of the model's files.
        notices: what the user should know: which of several files was chosen.
    """

    name: str
    path: Path
    kind: SourceKind
    repo_id: str | None = None
    commit: str | None = None
    size_bytes: int = 0
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Installed:
    """One line of `hearth list`.

    Attributes:
        name: what to type to use it, and what it is called everywhere: in lists, in a server, on the page.
        kind: `folder`, `gguf` or `starter`.
        size_bytes: on this disk; for an incomplete model, what has come so far.
        path: folder or file; for an incomplete model, the cache folder of its repository.
        last_used: seconds since the epoch, as the file system recorded it; None where it is not known.
        complete: False when a download was cut: `hearth pull NAME` finishes it.
        update_bytes: what has come of an update that was cut; the model is as it was before.
    """

    name: str
    kind: SourceKind
    size_bytes: int
    path: Path
    last_used: float | None = None
    complete: bool = True
    update_bytes: int = 0


@dataclass(frozen=True)
class Progress:
    """How far a download is, over all files of the model.

    Attributes:
        repo_id: `owner/name`.
        file: the file that is coming now.
        done_bytes: on this disk, with what earlier, interrupted downloads left.
        total_bytes: of all files that are needed.
        resumed_bytes: the part of `done_bytes` that was there when this download began.
    """

    repo_id: str
    file: str
    done_bytes: int
    total_bytes: int
    resumed_bytes: int


ProgressCallback = Callable[[Progress], None]
Inspect = Callable[["Remote"], None]
