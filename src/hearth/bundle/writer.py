"""Writing a bundle so that it is either there, whole, or not there.

Everything is written into a hidden folder beside the place it will have; the manifest comes last, then the folder gets
its name by one rename. Whatever happens before that, a crash, Ctrl-C, a full disk, leaves no folder that counts as a
bundle.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from hearth.bundle.failures import HINT, storage_errors
from hearth.bundle.manifest import MANIFEST, FileEntry, Manifest, is_file_name
from hearth.bundle.paths import bundles_dir, make_folder, write_whole
from hearth.bundle.reader import Bundle, open_bundle, sha256_of
from hearth.bundle.unfinished import ClaimedFolder, clear_unfinished, doomed_name
from hearth.errors import BundleMismatch, CorruptFile, ModelNotFound, StorageError
from hearth.units import format_bytes

_ELSEWHERE_HINT = "Free some space there, or name a folder on another disk."


class BundleWriter:
    """Writes one bundle. A context manager: leaving it without `commit` removes what was written.

        with BundleWriter(bundle_path(key)) as writer:
            writer.write("plan.bin", plan)
            weights = writer.allocate("weights.bin", size)    # fill it in place
            link(..., output=writer.path("libhearth.so"))
            bundle = writer.commit(manifest)

    Args:
        destination: the folder that the bundle will be.
        replace_existing: put the new bundle in place of one that is there; else one that is there and sound wins, since
            equal keys mean equal content: two compilations at once do no harm.

    Raises (all methods):
        StorageError: the folder cannot be written or the disk is full.
    """

    def __init__(self, destination: Path, *, replace_existing: bool = False) -> None:
        self.destination = destination
        self.replace_existing = replace_existing
        self._claimed: ClaimedFolder | None = None
        # Only what lies in the cache is moved by HEARTH_CACHE.
        self._hint = HINT if destination.parent == bundles_dir() else _ELSEWHERE_HINT
        self._maps: list[np.memmap[tuple[int, ...], np.dtype[np.uint8]]] = []

    def __enter__(self) -> BundleWriter:
        with storage_errors("make the folder", self.destination.parent, hint=self._hint):
            make_folder(self.destination.parent)
            self._refuse_foreign()
            clear_unfinished(self.destination.parent)
            self._claimed = ClaimedFolder(self.destination)
        return self

    @property
    def _folder(self) -> Path:
        assert self._claimed is not None, "a BundleWriter is a context manager"
        return self._claimed.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._maps.clear()
        # After commit the folder has another name and there is nothing to remove.
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._claimed is not None:
            self._claimed.release()

    def path(self, name: str) -> Path:
        """Where to write the file `name` now (another program may do it)."""
        if not is_file_name(name):
            raise ValueError(f"{name!r} cannot be a file of a bundle")
        return self._folder / name

    def write(self, name: str, content: bytes | str) -> None:
        """Write a whole file."""
        file = self.path(name)
        with storage_errors("write", file, hint=self._hint):
            file.write_bytes(content.encode() if isinstance(content, str) else content)

    def allocate(self, name: str, size_bytes: int) -> NDArray[np.uint8]:
        """A file of `size_bytes` zeros as a writable array, to be filled in place before `commit`.

        The space is taken now: on a full disk this fails with an error, where filling a mapped file of holes would kill
        the process later.
        """
        file = self.path(name)
        with storage_errors(f"reserve {format_bytes(size_bytes)} for", file, hint=self._hint):
            _reserve(file, size_bytes)
            if size_bytes == 0:  # cannot be mapped
                return np.empty(0, np.uint8)
            mapped = np.memmap(file, np.uint8, "r+", shape=(size_bytes,))
        self._maps.append(mapped)
        return mapped

    def commit(self, manifest: Manifest) -> Bundle:
        """Hash every file, write the manifest, and give the folder its name.

        Args:
            manifest: complete but for `files`, which is filled in here from what was written.

        Returns:
            The bundle at the destination: this one, or one that another process finished first.
        """
        with storage_errors("write the bundle", self.destination, hint=self._hint):
            for mapped in self._maps:
                mapped.flush()
            self._maps.clear()
            files = {}
            for file in sorted(self._folder.iterdir()):
                files[file.name] = FileEntry(sha256_of(file), file.stat().st_size)
                _sync(file)
            text = replace(manifest, files=files).to_json()
            checked = Manifest.from_json(text)  # never write what cannot be read back
            (self._folder / MANIFEST).write_text(text, encoding="utf-8")
            _sync(self._folder / MANIFEST)
            _sync(self._folder)
            existing = self._take_place()
            _sync(self.destination.parent)
        return existing or Bundle(self.destination, checked)

    def _take_place(self) -> Bundle | None:
        """Rename the folder to its destination, or return the sound bundle that is there already and stays."""
        while True:
            self._refuse_foreign()
            try:
                self._folder.rename(self.destination)
                return None
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            if not self.replace_existing:
                # A damaged one is no reason to lose this one.
                with suppress(CorruptFile, BundleMismatch, ModelNotFound):
                    return open_bundle(self.destination, for_this_machine=False)
            # Moved aside first, so that at no time half a bundle has the name.
            discard(self.destination)

    def _refuse_foreign(self) -> None:
        """Never replace what is no bundle: the destination may be a folder that a user named."""
        place = self.destination
        if not place.exists() or (place / MANIFEST).is_file() or (place.is_dir() and not any(place.iterdir())):
            return
        raise StorageError(
            f"{place} exists and is no bundle; it is left as it is.",
            hint="Choose another folder, or remove it yourself.",
        )


def discard(path: Path) -> None:
    """Remove a bundle, or what has its place: first its name, then its content."""
    doomed = doomed_name(path)
    try:
        path.rename(doomed)
    except FileNotFoundError:
        return  # another process was faster
    if doomed.is_dir() and not doomed.is_symlink():
        shutil.rmtree(doomed, ignore_errors=True)
    else:
        doomed.unlink(missing_ok=True)


def _reserve(file: Path, size_bytes: int) -> None:
    """Make a file of zeros whose space is taken on the disk."""
    with file.open("wb") as stream:
        if hasattr(os, "posix_fallocate") and size_bytes:
            try:
                os.posix_fallocate(stream.fileno(), 0, size_bytes)
                return
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                    raise
        zeros = bytes(1 << 20)
        for begin in range(0, size_bytes, len(zeros)):
            stream.write(zeros[: size_bytes - begin])


def _sync(path: Path) -> None:
    """Have a file or the names in a folder written to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot: their own risk
            raise
    finally:
        os.close(descriptor)


def add_file(bundle: Bundle, name: str, text: str) -> Bundle:
    """Puts one more file into a bundle that is there, or in the place of an older one.

    Raises:
        StorageError: it cannot be written; the bundle is then as it was.
    """
    content = text.encode()
    entry = FileEntry(hashlib.sha256(content).hexdigest(), len(content))
    manifest = replace(bundle.manifest, files={**bundle.manifest.files, name: entry})
    with storage_errors("write", bundle.path / name):
        write_whole(bundle.path / name, text)
        write_whole(bundle.path / MANIFEST, manifest.to_json())
    return replace(bundle, manifest=manifest)
