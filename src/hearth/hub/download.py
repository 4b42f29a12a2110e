"""Downloads a model from the hub into the Hugging Face cache.

The order is what makes an interruption harmless: contents first (each checked, see transfer.py), then the links of the
snapshot, and the name of the revision last. Until then the revision means what it meant before. And it is what makes a
refusal cheap: a model is looked at before the first byte of it is kept.
"""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hearth.errors import CorruptFile, HearthError, NetworkError, StorageError
from hearth.hub import transfer
from hearth.hub.cache import DEFAULT_REVISION, Repo, find
from hearth.hub.failures import translated
from hearth.hub.files import TOKENIZER_FILES, RemoteFile, select
from hearth.hub.names import HubName
from hearth.hub.remote import Choose, Remote, look
from hearth.hub.settings import cache_dir, endpoint, is_offline, prefers_xet
from hearth.hub.types import Inspect, Progress, ProgressCallback, Source
from hearth.units import format_bytes

# Left free on the disk beside the model.
_DISK_MARGIN_BYTES = 64 << 20
# Callbacks come no more often than this.
_REPORT_EVERY_BYTES = 1 << 20


def download(
    name: HubName,
    progress: ProgressCallback | None,
    *,
    inspect: Inspect | None = None,
    memory_bytes: int | None = None,
) -> Source:
    """Brings all that is needed of a model to this disk, and returns where it is.

    Args:
        inspect: called with what is to come before any of it is kept, unless its weights are here already; raises to
            refuse it.
        memory_bytes: as `look`.

    Raises: see `hearth.hub.resolve`. Whatever `inspect` raises.
    """
    remote = bring(name, progress, inspect=inspect, memory_bytes=memory_bytes)
    gguf = remote.selection.gguf
    source = find(HubName(name.repo_id, name.revision, gguf.path if gguf else None))
    if source is None:
        raise CorruptFile(
            f"{name.repo_id!r} is not whole on the hub: its index names weight files that are not there.",
            hint="Its authors have to mend that; another revision (`owner/name@revision`) may be whole.",
        )
    return replace(source, notices=remote.notices)


def bring(
    name: HubName,
    progress: ProgressCallback | None,
    *,
    inspect: Inspect | None = None,
    memory_bytes: int | None = None,
    choose: Choose = select,
) -> Remote:
    """Brings what is wanted of a repository into the cache.

    Args: as `download`; choose: as `look`.

    Raises: as `download`.
    """
    revision = name.revision or DEFAULT_REVISION
    repo = Repo.of(name.repo_id)
    with translated(name.repo_id, revision):
        remote = look(name, memory_bytes, choose)
        commit, needed = remote.commit, remote.selection.files
        missing = [f for f in needed if not _is_here(repo, commit, f)]
        _check_space(name.repo_id, repo, missing)
        if inspect is not None and any(f in missing for f in remote.selection.weights):
            inspect(remote)
        _fetch_all(repo, remote, missing, progress)
        _write_ref(repo, revision, commit)
    return remote


def complete(source: Source) -> bool:
    """Fetches the tokenizer of a model in the cache that another tool left out, and what else small is missing; of the
    very commit that is here.

    Returns:
        Whether anything came. False too where the hub cannot be reached: the model is as it was.
    """
    if source.repo_id is None or source.commit is None or source.kind != "folder":
        return False
    if is_offline() or any(any(source.path.glob(name)) for name in TOKENIZER_FILES):
        return False
    repo = Repo.of(source.repo_id)
    try:
        with translated(source.repo_id, source.commit):
            remote = look(HubName(source.repo_id, source.commit))
            small = [f for f in remote.selection.files if f not in remote.selection.weights]
            missing = [f for f in small if not _is_here(repo, source.commit, f)]
            if missing:
                _fetch_all(repo, remote, missing, None)
    except HearthError:
        return False
    return bool(missing)


def _fetch_all(repo: Repo, remote: Remote, missing: Sequence[RemoteFile], progress: ProgressCallback | None) -> None:
    """Brings the missing files of a model, and makes the snapshot of all that is here."""
    needed = remote.selection.files
    report = _Report(remote.repo_id, needed, missing, repo, progress)
    by_library = [f for f in missing if f.size_bytes > transfer.MAX_HTTP_BYTES or (f.is_lfs and prefers_xet())]
    for file in missing:
        if file not in by_library:
            _fetch(repo, remote.commit, file, report)
    _link_snapshot(repo, remote.commit, needed, report)
    for file in missing:
        _check_link(repo, remote.commit, file, fetched=file not in by_library)
        report.finish(file)


def _is_here(repo: Repo, commit: str, file: RemoteFile) -> bool:
    """Whether a file's content is in the cache, as a blob or, where there are no links, in the snapshot itself."""
    return transfer.is_whole_blob(repo.blobs / file.oid, file) or transfer.is_whole_blob(
        repo.snapshot(commit) / file.path, file
    )


def _check_space(repo_id: str, repo: Repo, missing: Sequence[RemoteFile]) -> None:
    """Raises StorageError if the disk cannot take what is missing."""
    needed_bytes = sum(f.size_bytes - min(transfer.part_size(repo.blobs / f.oid), f.size_bytes) for f in missing)
    folder = repo.path
    while not folder.exists():
        folder = folder.parent
    free_bytes = shutil.disk_usage(folder).free
    if missing and needed_bytes + _DISK_MARGIN_BYTES > free_bytes:
        raise StorageError(
            f"{repo_id!r} needs {format_bytes(needed_bytes)} more, and the disk of {cache_dir()} has "
            f"{format_bytes(free_bytes)} free.",
            hint="Free space (`hearth list`, `hearth rm MODEL`), or set HF_HOME to a folder on a larger disk.",
        )


def _fetch(repo: Repo, commit: str, file: RemoteFile, report: _Report) -> None:
    blob = repo.blobs / file.oid
    lock_file = cache_dir() / ".locks" / repo.path.name / f"{file.oid}.hearth.lock"
    if blob.exists():  # and of another size: damaged after it was checked
        blob.unlink()
    transfer.fetch_blob(repo.repo_id, commit, file, blob, lock_file, lambda have: report.at(file, have))
    report.finish(file)


def _link_snapshot(repo: Repo, commit: str, needed: Sequence[RemoteFile], report: _Report) -> None:
    """Lets huggingface_hub make the snapshot of the contents that are here, and fetch those that are not."""
    from huggingface_hub import snapshot_download

    snapshot_download(
        repo.repo_id,
        revision=commit,
        endpoint=endpoint(),
        library_name="hearth",
        allow_patterns=[glob.escape(f.path) for f in needed],
        tqdm_class=report.bar_class(),
        max_workers=4,
    )


def _check_link(repo: Repo, commit: str, file: RemoteFile, *, fetched: bool) -> None:
    """Takes the hash of what huggingface_hub brought; what Hearth `fetched` and it only linked was checked before."""
    path = repo.snapshot(commit) / file.path
    if not path.is_file():
        raise NetworkError(f"{file.path!r} of {repo.repo_id!r} did not come.", hint="Pull again.")
    if fetched and path.resolve() == (repo.blobs / file.oid).resolve():
        return
    if transfer.hash_of(path, file) != file.oid:
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise transfer.damaged(repo.repo_id, file)


def _write_ref(repo: Repo, revision: str, commit: str) -> None:
    """Notes which commit a branch or tag means, in one step."""
    if revision == commit:
        return
    ref = repo.path / "refs" / revision
    ref.parent.mkdir(parents=True, exist_ok=True)
    fresh = ref.with_name(f".{ref.name}.{os.getpid()}")
    try:
        fresh.write_text(commit, "ascii")
        fresh.replace(ref)
    finally:
        fresh.unlink(missing_ok=True)


class _Report:
    """Adds up the bytes of all files and tells the callback, at most once a MiB and at the end of each file."""

    def __init__(
        self,
        repo_id: str,
        needed: Sequence[RemoteFile],
        missing: Sequence[RemoteFile],
        repo: Repo,
        callback: ProgressCallback | None,
    ) -> None:
        self._repo_id = repo_id
        self._callback = callback
        self._total = sum(f.size_bytes for f in needed)
        self._have = {f.path: f.size_bytes for f in needed}
        for file in missing:
            self._have[file.path] = min(transfer.part_size(repo.blobs / file.oid), file.size_bytes)
        self._resumed = sum(self._have.values())
        self._told = -_REPORT_EVERY_BYTES
        self._now = needed[-1].path

    def at(self, file: RemoteFile, have_bytes: int) -> None:
        """`have_bytes` of `file` are on this disk."""
        self._now = file.path
        self._have[file.path] = have_bytes
        self._tell()

    def finish(self, file: RemoteFile) -> None:
        """All of `file` is."""
        self._have[file.path] = file.size_bytes
        self._now = file.path
        self._tell(always=True)

    def _tell(self, *, always: bool = False, extra_bytes: int = 0) -> None:
        done = min(sum(self._have.values()) + extra_bytes, self._total)
        if self._callback is None or not (always or abs(done - self._told) >= _REPORT_EVERY_BYTES):
            return
        if done == self._told and done == self._total:
            return
        self._told = done
        self._callback(Progress(self._repo_id, self._now, done, self._total, self._resumed))

    def bar_class(self) -> type[Any]:
        """A progress bar for huggingface_hub that shows nothing, and passes on the bytes that it writes itself."""
        from huggingface_hub.utils import tqdm as hub_tqdm

        report, written = self, [0]

        class Bar(hub_tqdm):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                self._counts = kwargs.get("name") == "huggingface_hub.snapshot_download"
                kwargs["disable"] = True
                super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]  # tqdm has no types

            def update(self, n: float | None = 1) -> None:
                if self._counts:
                    written[0] += int(n or 0)
                    report._tell(extra_bytes=written[0])

        return Bar
