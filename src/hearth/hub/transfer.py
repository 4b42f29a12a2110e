"""Brings one file from the hub to this disk: resumed where it stopped, and checked before it counts.

huggingface_hub (as of 2.4) throws a partial file away when a download is interrupted, and compares only its size, not
its hash. A model is gigabytes on a home line, so Hearth moves the bytes itself: they go to a part file, whose hash
is taken on the way, and only a file with the right hash gets the name by which the cache knows it as whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from hearth.errors import CorruptFile
from hearth.hub.cache import PART_SUFFIX
from hearth.hub.failures import http_error_type
from hearth.hub.files import RemoteFile
from hearth.hub.settings import endpoint

READ_BYTES = 1 << 20
# The hub gives larger files by its Xet protocol only, which huggingface_hub speaks.
MAX_HTTP_BYTES = 50 * 10**9
# Pauses between attempts, in seconds. Only attempts that bring nothing new count; any new byte begins anew.
RETRY_PAUSES_S: tuple[float, ...] = (1, 2, 4, 8)
_LONGEST_PAUSE_S = 60.0
_TRANSIENT_STATUS = frozenset({408, 429, 500, 502, 503, 504})

# Called with the number of bytes of the file that are on this disk now. It can go back when a part was useless.
OnBytes = Callable[[int], None]


class _RangeRefused(Exception):
    """The server answers from the first byte, or not at all, when asked for the rest of a file."""


def fetch_blob(repo_id: str, commit: str, file: RemoteFile, blob: Path, lock_file: Path, on_bytes: OnBytes) -> None:
    """Makes `blob` the content of `file`, unless it is that already.

    Args:
        repo_id: `owner/name`.
        commit: the commit that `file` is of.
        file: what to fetch.
        blob: where to. Until it is whole and its hash is right, it does not exist; the bytes stand beside it.
        lock_file: held meanwhile, so that two processes do not write one part file.
        on_bytes: called as bytes come.

    Raises:
        CorruptFile: the content has not the hash that the hub says.
        OSError, and errors of huggingface_hub and its HTTP client: as they come.
    """
    from huggingface_hub.utils import WeakFileLock

    lock_file.parent.mkdir(parents=True, exist_ok=True)
    blob.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock_file):
        if is_whole_blob(blob, file):  # another process brought it while this one waited
            on_bytes(file.size_bytes)
            return
        # A part from an earlier run may be damaged (power loss): if the hash is wrong it gets one fresh start.
        resumed = part_size(blob) > 0
        if not _fetch_checked(repo_id, commit, file, blob, on_bytes) and not (
            resumed and _fetch_checked(repo_id, commit, file, blob, on_bytes)
        ):
            raise damaged(repo_id, file)


def fetch_bytes(repo_id: str, commit: str, file: RemoteFile) -> bytes:
    """The content of a small file, kept nowhere.

    Raises: as `fetch_blob`.
    """
    content = _persist(lambda: b"".join(_stream(_url(repo_id, commit, file), 0, file.size_bytes + 1)))
    digest = _new_hash(file)
    digest.update(content)
    if digest.hexdigest() != file.oid:
        raise damaged(repo_id, file)
    return content


def fetch_range(repo_id: str, commit: str, file: RemoteFile, begin: int, end: int) -> bytes | None:
    """Bytes `[begin, end)` of a file, kept nowhere and not checked; None where the server sends only whole files.

    Raises:
        OSError, and errors of huggingface_hub and its HTTP client: as they come.
    """
    try:
        content = _persist(lambda: b"".join(_stream(_url(repo_id, commit, file), begin, end, must_range=True)))
    except _RangeRefused:
        return None
    return content[: end - begin] if len(content) >= end - begin else None


def _persist(fetch: Callable[[], bytes]) -> bytes:
    """Calls again while the line or the server is in trouble that may pass."""
    for attempt in range(1, len(RETRY_PAUSES_S) + 1):
        try:
            return fetch()
        except Exception as error:
            if not is_transient(error):
                raise
            time.sleep(pause_s(error, attempt))
    return fetch()


def damaged(repo_id: str, file: RemoteFile) -> CorruptFile:
    """The error for a file whose hash is wrong."""
    return CorruptFile(
        f"{file.path!r} of {repo_id!r} came damaged: its checksum is not what the hub says.",
        why="It was changed on its way, or the hub's copy is damaged.",
        hint="Nothing of it was kept. Pull again; if that does not help, try another network.",
    )


def hash_of(path: Path, file: RemoteFile) -> str:
    """The hash of a file on this disk, of the kind that the hub names `file` by."""
    digest = _new_hash(file)
    with path.open("rb") as stream:
        while chunk := stream.read(READ_BYTES):
            digest.update(chunk)
    return str(digest.hexdigest())


def is_whole_blob(blob: Path, file: RemoteFile) -> bool:
    """Whether the content is here: only checked files get a blob's name, so its size is enough to know."""
    try:
        return blob.stat().st_size == file.size_bytes
    except FileNotFoundError:
        return False


def part_path(blob: Path) -> Path:
    """Where the bytes stand until they are whole."""
    return blob.with_name(blob.name + PART_SUFFIX)


def part_size(blob: Path) -> int:
    """Bytes that an earlier, interrupted download left."""
    try:
        return part_path(blob).stat().st_size
    except FileNotFoundError:
        return 0


def _fetch_checked(repo_id: str, commit: str, file: RemoteFile, blob: Path, on_bytes: OnBytes) -> bool:
    """Fills the part file and makes it the blob; False, and no part left, if its hash is wrong."""
    part = part_path(blob)
    with part.open("a+b") as out:
        digest = _fill(repo_id, commit, file, out, on_bytes)
        out.flush()
        os.fsync(out.fileno())  # the name must not reach the disk before the bytes do
    if digest != file.oid:
        part.unlink()
        on_bytes(0)
        return False
    part.replace(blob)
    return True


def _fill(repo_id: str, commit: str, file: RemoteFile, out: BinaryIO, on_bytes: OnBytes) -> str:
    """Appends what is missing to `out`, through cut connections, and returns the hash of the whole."""
    url = _url(repo_id, commit, file)
    digest, have = _hash_of_part(file, out)
    furthest, idle_attempts = have, 0
    failure: Exception | None = None
    while have < file.size_bytes:
        try:
            for chunk in _stream(url, have):
                if have + len(chunk) > file.size_bytes:
                    return "more bytes than the hub said"
                out.write(chunk)
                digest.update(chunk)
                have += len(chunk)
                on_bytes(have)
        except _RangeRefused:
            out.truncate(0)
            digest, have = _new_hash(file), 0
            on_bytes(0)
        except Exception as error:
            if not is_transient(error):
                raise
            failure = error
        if have == file.size_bytes:
            break
        # Measured from the furthest point, so that a server that always starts anew and always breaks ends this too.
        idle_attempts = 0 if have > furthest else idle_attempts + 1
        furthest = max(furthest, have)
        if idle_attempts > len(RETRY_PAUSES_S):
            if failure is not None:
                raise failure
            return "fewer bytes than the hub said"
        time.sleep(pause_s(failure, idle_attempts))
    return str(digest.hexdigest())


def _hash_of_part(file: RemoteFile, out: BinaryIO) -> tuple[Any, int]:
    """The running hash over what `out` holds, and its length; a part that is too long is emptied."""
    digest = _new_hash(file)
    have = out.seek(0, os.SEEK_END)
    if have > file.size_bytes:
        out.truncate(0)
        have = 0
    out.seek(0)
    while chunk := out.read(READ_BYTES):
        digest.update(chunk)
    return digest, have


def _new_hash(file: RemoteFile) -> Any:
    if file.is_lfs:
        return hashlib.sha256()
    # git's object id: SHA-1 over a header and the content. It guards against damage here, not against an attacker.
    return hashlib.sha1(b"blob %d\0" % file.size_bytes, usedforsecurity=False)


def _url(repo_id: str, commit: str, file: RemoteFile) -> str:
    from huggingface_hub import hf_hub_url

    return hf_hub_url(repo_id, file.path, revision=commit, endpoint=endpoint())


def _stream(url: str, start: int, end: int | None = None, *, must_range: bool = False) -> Iterator[bytes]:
    """The bytes `[start, end)` of a file as they come; all from `start` on without an end.

    Raises:
        _RangeRefused: the server begins at the first byte, where that is not what was asked or not allowed.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    headers = {**build_hf_headers(library_name="hearth"), "Accept-Encoding": "identity"}
    if start or must_range:
        headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
    # The client follows the redirect to the hub's storage, and leaves the token behind when the host is another.
    with get_session().stream("GET", url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT) as response:
        if (start or must_range) and response.status_code in (200, 416):
            raise _RangeRefused
        hf_raise_for_status(response)
        left = None if end is None else end - start
        for chunk in response.iter_bytes():
            yield chunk if left is None else chunk[:left]
            left = None if left is None else left - len(chunk)
            if left is not None and left <= 0:  # a server may send more than it was asked for
                return


def is_transient(error: Exception) -> bool:
    """Whether another attempt may help: a cut connection, a busy or broken server."""
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _TRANSIENT_STATUS
    return isinstance(error, http_error_type())


def pause_s(error: Exception | None, attempt: int) -> float:
    """Seconds to wait before the next attempt; as long as a busy server asks for, up to a minute."""
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        with contextlib.suppress(ValueError):  # no header, or a date instead of seconds
            return min(float(error.response.headers.get("Retry-After", "")), _LONGEST_PAUSE_S)
    return RETRY_PAUSES_S[min(attempt, len(RETRY_PAUSES_S)) - 1] if attempt else 0.0
