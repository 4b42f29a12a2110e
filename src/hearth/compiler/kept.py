"""Files of the compile cache that are linked into programs: kept with their hash, and made anew where it differs.

A power cut may leave a file that is cut or empty under its right name, and a disk may flip a bit; either would be
linked in silently, or fail every compile that needs it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from hearth.bundle.failures import storage_errors
from hearth.bundle.reader import sha256_of


def is_sound(path: Path) -> bool:
    """Whether a kept file is there and is what was kept."""
    try:
        return _hash_file(path).read_text(encoding="ascii", errors="replace").strip() == sha256_of(path)
    except OSError:
        return False


def make(path: Path, write: Callable[[Path], object]) -> None:
    """Makes a file of the cache, beside its place and renamed: one that is stopped leaves nothing that counts as whole.

    Args:
        path: its place; the folder is there.
        write: writes the file to the path that it is given, which ends like `path`. What it raises is raised.

    Raises:
        StorageError: the disk is full.
    """
    part = path.with_name(f".{path.stem[-40:]}-{os.getpid()}{path.suffix}")
    try:
        write(part)
        keep(part, path)
    finally:
        part.unlink(missing_ok=True)


def keep(made: Path, path: Path) -> None:
    """Moves a finished file of the same disk to its place in the cache.

    Raises:
        StorageError: the disk is full.
    """
    with storage_errors("write", path):
        digest = sha256_of(made)
        _sync(made)
        made.replace(path)
        beside = path.with_name(f".{path.name}.{os.getpid()}.sha256")
        try:
            beside.write_text(digest + "\n", encoding="ascii")
            beside.replace(_hash_file(path))
        finally:
            beside.unlink(missing_ok=True)


def _hash_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _sync(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
