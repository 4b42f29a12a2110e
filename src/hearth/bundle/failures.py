"""What the operating system says about a disk, in words a user can act on."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hearth.errors import StorageError

HINT = "Free some space or choose another folder with the environment variable HEARTH_CACHE."

_LEAST_FREE_BYTES = 1 << 20

_WORDS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your disk quota is used up",
    errno.EROFS: "it lies on a read-only file system",
    errno.EACCES: "you have no permission to write there",
    errno.EPERM: "you have no permission to write there",
    errno.ENOTDIR: "part of that path is a file, not a folder",
    errno.EFBIG: "the file is larger than the file system allows",
    errno.EIO: "the disk reports an error",
}


def is_full(folder: Path) -> bool:
    """Whether the disk that a folder lies on has no room left: for programs that fail and do not say why."""
    try:
        return shutil.disk_usage(folder).free < _LEAST_FREE_BYTES
    except OSError:
        return False


def disk_full(doing: str, path: Path) -> StorageError:
    return StorageError(f"Cannot {doing} {path}: {_WORDS[errno.ENOSPC]}.", hint=HINT)


@contextmanager
def storage_errors(doing: str, path: Path, *, hint: str = HINT) -> Iterator[None]:
    """Turn any OSError inside into a StorageError: "Cannot DOING PATH: reason"."""
    try:
        yield
    except OSError as error:
        reason = _WORDS.get(error.errno or 0, error.strerror or str(error))
        raise StorageError(f"Cannot {doing} {path}: {reason}.", hint=hint) from error
