"""Folders in which a bundle is being written or removed: whose they are, and clearing away those that are nobody's.

Such a folder is locked by the process that made it for as long as that lives, however it ends: a lock that can be had
belongs to a process that was killed.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PREFIX = ".unfinished-"
"""How the names of such folders begin."""
_NAME = re.compile(re.escape(PREFIX) + r"(?P<name>.+)-(?:\d+|removed)-[0-9a-f]{8}")
# Where a file system has no locks, what nobody has touched for so long is nobody's.
STALE_AFTER_S = 24 * 3600


@dataclass(frozen=True)
class Unfinished:
    """What a compilation left behind, or is at.

    Attributes:
        name: of the bundle that it was to become.
        size_bytes: that it takes on the disk.
        in_use: a living process is at it.
    """

    path: Path
    name: str
    size_bytes: int
    in_use: bool


class ClaimedFolder:
    """A new folder beside `destination` that is this process's until `release`."""

    def __init__(self, destination: Path) -> None:
        while True:
            self.path = destination.parent / f"{PREFIX}{destination.name}-{os.getpid()}-{secrets.token_hex(4)}"
            self.path.mkdir(mode=0o755)  # whatever the umask: a program is to lie in it
            self._descriptor: int | None = os.open(self.path, os.O_RDONLY)
            _lock(self._descriptor, wait=True)
            # Between the two steps it looked like nobody's, and may have been cleared away.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(self._descriptor), self.path.stat()):
                    return
            self.release()

    def release(self) -> None:
        """Gives the lock up. The folder stays, if it has not been renamed or removed."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def doomed_name(path: Path) -> Path:
    """The name that a folder gets before it is removed, so that half of it has no name of its own."""
    return path.parent / f"{PREFIX}{path.name}-removed-{secrets.token_hex(4)}"


def list_unfinished(parent: Path) -> list[Unfinished]:
    """All such folders in a folder."""
    found = []
    for path, name in _folders(parent):
        with contextlib.suppress(OSError), _Held(path) as held:
            found.append(Unfinished(path, name, _taken_bytes(path), in_use=not held.free))
    return found


def clear_unfinished(parent: Path) -> int:
    """Removes those that are nobody's. Returns the bytes freed."""
    freed = 0
    for path, _ in _folders(parent):
        with contextlib.suppress(OSError), _Held(path) as held:
            if held.free:
                freed += _taken_bytes(path)
                shutil.rmtree(path, ignore_errors=True)
    return freed


class _Held:
    """Holds a folder's lock inside the block, if nobody has it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.free = False

    def __enter__(self) -> _Held:
        self._descriptor = os.open(self._path, os.O_RDONLY)
        locked = _lock(self._descriptor, wait=False)
        self.free = _is_old(self._path) if locked is None else locked
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def _lock(descriptor: int, *, wait: bool) -> bool | None:
    """Whether the lock is had; None where there are no locks."""
    if sys.platform == "win32":  # which has other locks
        return None
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_old(path: Path) -> bool:
    touched = max([path.stat().st_mtime, *(file.stat().st_mtime for file in path.iterdir())])
    return touched < time.time() - STALE_AFTER_S


def _folders(parent: Path) -> list[tuple[Path, str]]:
    if not parent.is_dir():
        return []
    matches = ((path, _NAME.fullmatch(path.name)) for path in sorted(parent.iterdir()))
    return [(path, match["name"]) for path, match in matches if match is not None and path.is_dir()]


def _taken_bytes(path: Path) -> int:
    """What a folder takes on the disk, holes in files not counted."""
    return sum(getattr(s, "st_blocks", 0) * 512 or s.st_size for s in (f.lstat() for f in path.rglob("*")))
