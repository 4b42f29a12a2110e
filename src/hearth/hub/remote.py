"""A model on the hub, looked at before any of it is downloaded: its files, their sizes, and the beginning of them.

What stands in the files is for others to read; this file brings the bytes that they ask for.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from hearth.errors import CorruptFile, NetworkError
from hearth.hub import transfer
from hearth.hub.cache import DEFAULT_REVISION, Repo, full_name
from hearth.hub.failures import translated
from hearth.hub.files import GgufModel, RemoteFile, Selection, select
from hearth.hub.names import HubName
from hearth.hub.settings import endpoint
from hearth.units import format_bytes

_API_TIMEOUT_S = 15.0
_API_ATTEMPTS = 3
_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MAX_TEXT_BYTES = 16 << 20

Choose = Callable[[str, Sequence[RemoteFile], str | None, int | None], Selection]
"""(repository, its files, which of them was named, memory) -> what is wanted, as `files.select` says it of models."""


@dataclass(frozen=True)
class Remote:
    """A model on the hub.

    Attributes:
        name: what it will be called when it is here.
        repo_id, revision, commit: where it is; the revision as it was asked for.
        selection: the files that would come.
        license: as its page says; None where it says none.
        gated: whether its owners ask who downloads it to accept terms first.
    """

    name: str
    repo_id: str
    revision: str | None
    commit: str
    selection: Selection
    license: str | None = None
    gated: bool = False

    @property
    def size_bytes(self) -> int:
        """Of the files that would come."""
        return sum(f.size_bytes for f in self.selection.files)

    @property
    def notices(self) -> tuple[str, ...]:
        """Which of several files was chosen, where nobody said."""
        chosen = self.selection
        if not chosen.was_chosen or chosen.gguf is None:
            return ()
        return (
            f"{self.repo_id} has {len(chosen.choices)} GGUF files; {self.name} ({format_bytes(chosen.gguf.size_bytes)})"
            f" is taken. `hearth show {self.repo_id}` lists them.",
        )

    def choice_name(self, file: GgufModel) -> str:
        """What another of its GGUF models would be called."""
        name = HubName(self.repo_id, self.revision)
        return full_name(name, file.path, [f.path for f in self.selection.choices])

    def text(self, path: str) -> bytes | None:
        """The content of a small file, checked; None where there is none of that name.

        Raises:
            CorruptFile: it is not what the hub says, or too large for a text.
            NetworkError: it does not come.
        """
        file = next((f for f in self.selection.files if f.path == path), None)
        if file is None:
            return None
        if file.size_bytes > _MAX_TEXT_BYTES:
            raise CorruptFile(f"{path} of {self.repo_id!r} is too large: {format_bytes(file.size_bytes)}.")
        blob = Repo.of(self.repo_id).blobs / file.oid
        if transfer.is_whole_blob(blob, file):
            return blob.read_bytes()
        with translated(self.repo_id, self.commit):
            return transfer.fetch_bytes(self.repo_id, self.commit, file)

    def read(self, path: str, begin: int, end: int) -> bytes | None:
        """Bytes `[begin, end)` of a file that would come; None where the server sends only whole files.

        Raises:
            NetworkError: they do not come.
        """
        file = next(f for f in self.selection.files if f.path == path)
        if file.size_bytes > transfer.MAX_HTTP_BYTES:
            return None
        with translated(self.repo_id, self.commit):
            return transfer.fetch_range(self.repo_id, self.commit, file, begin, min(end, file.size_bytes))


def look(name: HubName, memory_bytes: int | None = None, choose: Choose = select) -> Remote:
    """What the hub has under a name.

    Args:
        memory_bytes: of several GGUF files, one that fits in these is taken where none is named.
        choose: which of its files are wanted.

    Raises:
        ModelNotFound, UsageError, Unsupported: as `choose`. NetworkError: the hub cannot be reached, or refuses.
    """
    revision = name.revision or DEFAULT_REVISION
    with translated(name.repo_id, revision):
        from huggingface_hub import HfApi

        api = HfApi(endpoint=endpoint(), library_name="hearth")
        for attempt in range(1, _API_ATTEMPTS + 1):
            try:
                info = api.model_info(name.repo_id, revision=revision, files_metadata=True, timeout=_API_TIMEOUT_S)
                break
            except OSError as error:  # an answer of the server; no connection at all is not worth another attempt here
                if attempt == _API_ATTEMPTS or not transfer.is_transient(error):
                    raise
                time.sleep(transfer.pause_s(error, attempt))
    files = [
        RemoteFile(
            path=sibling.rfilename,
            size_bytes=sibling.lfs.size if sibling.lfs else sibling.size or 0,
            oid=(sibling.lfs.sha256 if sibling.lfs else sibling.blob_id) or "",
            is_lfs=sibling.lfs is not None,
        )
        for sibling in info.siblings or []
    ]
    # Commit and hash become names of files in the cache, and so does a path.
    sound = all(_OID.fullmatch(f.oid) and _is_inside(f.path) for f in files)
    if not _COMMIT.fullmatch(info.sha or "") or not sound:
        raise NetworkError(
            f"{endpoint()} does not describe {name.repo_id!r} as the hub does.", hint="Check HF_ENDPOINT."
        )
    selection = choose(name.repo_id, files, name.file, memory_bytes)
    plain = HubName(name.repo_id, name.revision)
    return Remote(
        name=full_name(plain, selection.gguf.path, [f.path for f in selection.choices])
        if selection.gguf
        else str(plain),
        repo_id=name.repo_id,
        revision=name.revision,
        commit=info.sha or "",
        selection=selection,
        license=next((t.removeprefix("license:") for t in info.tags or [] if t.startswith("license:")), None),
        gated=bool(info.gated),
    )


def _is_inside(path: str) -> bool:
    """Whether a path stays in the folder that it is relative to, on every system."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and not re.search(r"[\\\0]|^[A-Za-z]:", path)
