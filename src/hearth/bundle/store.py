"""The cache of compiled bundles: what is there, finding one, removing one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hearth.bundle.failures import storage_errors
from hearth.bundle.manifest import MANIFEST, Manifest
from hearth.bundle.paths import bundle_path, bundles_dir
from hearth.bundle.reader import Bundle, open_bundle, read_manifest
from hearth.bundle.unfinished import PREFIX
from hearth.bundle.writer import discard
from hearth.errors import BundleMismatch, CorruptFile, HearthError, ModelNotFound


@dataclass(frozen=True)
class StoredBundle:
    """A folder in the cache.

    Attributes:
        key: its name there.
        path: the folder.
        size_bytes: of its files, and of what is kept beside them.
        manifest: None where it cannot be read.
        problem: why it cannot be read, empty where it can.
    """

    key: str
    path: Path
    size_bytes: int
    manifest: Manifest | None
    problem: str = ""


def list_bundles() -> list[StoredBundle]:
    """All bundles in the cache by key, damaged ones and those of other versions included."""
    found = []
    with storage_errors("read the folder", bundles_dir()):
        folders = sorted(bundles_dir().iterdir()) if bundles_dir().is_dir() else []
        for folder in folders:
            if folder.name.startswith(PREFIX) or not (folder / MANIFEST).is_file():
                continue
            size_bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            try:
                found.append(StoredBundle(folder.name, folder, size_bytes, read_manifest(folder)))
            except HearthError as error:
                found.append(StoredBundle(folder.name, folder, size_bytes, None, str(error)))
    return found


def find_bundle(key: str) -> Bundle | None:
    """The bundle called `key` if it is there, whole and for this machine; None where it has to be compiled (again)."""
    try:
        return open_bundle(bundle_path(key))
    except (ModelNotFound, CorruptFile, BundleMismatch):
        return None


def remove_bundle(key: str) -> None:
    """Remove a bundle from the cache. A process that has it open keeps running.

    Raises:
        ModelNotFound: there is none of that name.
        StorageError: it cannot be removed.
    """
    path = bundle_path(key)
    if not path.is_dir():
        raise ModelNotFound(f"There is no compiled bundle '{key}'.", hint="hearth list shows what there is.")
    with storage_errors("remove", path):
        discard(path)
