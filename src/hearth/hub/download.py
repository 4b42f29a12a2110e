"""Downloads a model from the hub into the Hugging Face cache.

The order is what makes an interruption harmless: contents first (each checked, see transfer.py), then the links of the
snapshot, and the name of the revision last. Until then the revision means what it meant before.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import time
from typing import Any

from hearth.errors import CorruptFile, NetworkError, StorageError
from hearth.hub import transfer
from hearth.hub.cache import DEFAULT_REVISION, Repo, find
from hearth.hub.failures import translated
from hearth.hub.files import RemoteFile, format_size, select
from hearth.hub.names import HubName
from hearth.hub.settings import cache_dir, endpoint, prefers_xet
from hearth.hub.types import Progress, ProgressCallback, Source

# The hub gives larger files by its Xet protocol only, which huggingface_hub speaks.
MAX_HTTP_BYTES = 50 * 10**9
# Left free on the disk beside the model.
_DISK_MARGIN_BYTES = 64 << 20
# Callbacks come no more often than this.
_REPORT_EVERY_BYTES = 1 << 20
_API_TIMEOUT_S = 15.0
_API_ATTEMPTS = 3
_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def download(name: HubName, progress: ProgressCallback | None) -> Source:
    """Brings all that is needed of a model to this disk, and returns where it is.

    Raises: see `hearth.hub.resolve`.
    """
    revision = name.revision or DEFAULT_REVISION
    repo = Repo.of(name.repo_id)
    with translated(name.repo_id, revision):
        commit, files = _describe(name.repo_id, revision)
        needed = select(name.repo_id, files, name.file)
        missing = [f for f in needed if not _is_here(repo, commit, f)]
        _check_space(name.repo_id, repo, missing)
        report = _Report(name.repo_id, needed, missing, repo, progress)
        by_library = [f for f in missing if f.size_bytes > MAX_HTTP_BYTES or (f.is_lfs and prefers_xet())]
        for file in missing:
            if file not in by_library:
                _fetch(repo, commit, file, report)
        _link_snapshot(repo, commit, needed, report)
        for file in missing:
            _check_link(repo, commit, file, fetched=file not in by_library)
            report.finish(file)
        _write_ref(repo, revision, commit)
    wanted = needed[0].path if len(needed) == 1 else None
    source = find(HubName(name.repo_id, name.revision, wanted))
    if source is None:
        raise CorruptFile(
            f"{name.repo_id!r} is not whole on the hub: its index names weight files that are not there.",
            hint="Its authors have to mend that; another revision (`owner/name@revision`) may be whole.",
        )
    return source


def _describe(repo_id: str, revision: str) -> tuple[str, list[RemoteFile]]:
    """The commit that a revision is now, and its files."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint(), library_name="hearth")
    for attempt in range(1, _API_ATTEMPTS + 1):
        try:
            info = api.model_info(repo_id, revision=revision, files_metadata=True, timeout=_API_TIMEOUT_S)
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
    # Both become names of files in the cache.
    if not _COMMIT.fullmatch(info.sha or "") or not all(_OID.fullmatch(f.oid) for f in files):
        raise NetworkError(f"{endpoint()} does not describe {repo_id!r} as the hub does.", hint="Check HF_ENDPOINT.")
    return info.sha or "", files


def _is_here(repo: Repo, commit: str, file: RemoteFile) -> bool:
    """Whether a file's content is in the cache, as a blob or, where there are no links, in the snapshot itself."""
    return transfer.is_whole_blob(repo.blobs / file.oid, file) or transfer.is_whole_blob(
        repo.snapshot(commit) / file.path, file
    )


def _check_space(repo_id: str, repo: Repo, missing: list[RemoteFile]) -> None:
    """Raises StorageError if the disk cannot take what is missing."""
    needed_bytes = sum(f.size_bytes - min(transfer.part_size(repo.blobs / f.oid), f.size_bytes) for f in missing)
    folder = repo.path
    while not folder.exists():
        folder = folder.parent
    free_bytes = shutil.disk_usage(folder).free
    if missing and needed_bytes + _DISK_MARGIN_BYTES > free_bytes:
        raise StorageError(
            f"{repo_id!r} needs {format_size(needed_bytes)} more, and the disk of {cache_dir()} has "
            f"{format_size(free_bytes)} free.",
            hint="Free space (`hearth list`, `hearth rm MODEL`), or set HF_HOME to a folder on a larger disk.",
        )


def _fetch(repo: Repo, commit: str, file: RemoteFile, report: _Report) -> None:
    blob = repo.blobs / file.oid
    lock_file = cache_dir() / ".locks" / repo.path.name / f"{file.oid}.hearth.lock"
    if blob.exists():  # and of another size: damaged after it was checked
        blob.unlink()
    transfer.fetch_blob(repo.repo_id, commit, file, blob, lock_file, lambda have: report.at(file, have))
    report.finish(file)


def _link_snapshot(repo: Repo, commit: str, needed: list[RemoteFile], report: _Report) -> None:
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
        needed: list[RemoteFile],
        missing: list[RemoteFile],
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
