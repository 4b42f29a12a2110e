"""Opening a bundle: is it whole, is it for this Hearth, is it for this machine."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hearth.bundle import cpu
from hearth.bundle.manifest import (
    ABI_VERSION,
    MANIFEST,
    PLAN,
    TOKENIZER,
    TOKENIZER_META,
    WEIGHTS,
    Manifest,
)
from hearth.bundle.manifest import MAX_MANIFEST_BYTES as _LIMIT
from hearth.errors import BundleMismatch, CorruptFile, ModelNotFound


@dataclass(frozen=True)
class Bundle:
    """A checked bundle folder.

    Attributes:
        path: the folder.
        manifest: what it says of itself.
    """

    path: Path
    manifest: Manifest

    @property
    def plan(self) -> Path:
        """The launch plan."""
        return self.path / PLAN

    @property
    def weights(self) -> Path:
        """The packed weights."""
        return self.path / WEIGHTS

    @property
    def library(self) -> Path:
        """The shared library: kernels and runtime."""
        return self.path / self.manifest.library

    @property
    def tokenizer(self) -> Path | None:
        """`tokenizer.json`, None for a model that came without a tokenizer."""
        return self._optional(TOKENIZER)

    @property
    def tokenizer_meta(self) -> Path | None:
        """What `tokenizer.json` does not say; None as for `tokenizer`."""
        return self._optional(TOKENIZER_META)

    @property
    def size_bytes(self) -> int:
        """Of all its files but the manifest."""
        return sum(entry.size_bytes for entry in self.manifest.files.values())

    def _optional(self, name: str) -> Path | None:
        return self.path / name if name in self.manifest.files else None


def open_bundle(path: Path, *, verify: Literal["program", "full"] = "program", for_this_machine: bool = True) -> Bundle:
    """Open a bundle folder after checking it.

    Args:
        path: the folder.
        verify: `program` looks at the size of each file, which catches what was cut off, and at the SHA-256 of plan and
            library; `full` at that of every file, which reads it all (about a second for each GB).
        for_this_machine: also refuse what this machine or this version cannot run. False to look at a bundle that was
            compiled for another machine.

    Raises:
        ModelNotFound: the folder is no bundle.
        CorruptFile: manifest or a file is damaged or missing.
        BundleMismatch: it was made by another version, for another machine, or a file was changed since.
    """
    manifest = read_manifest(path)
    again = f"Compile it again: hearth compile {shlex.quote(manifest.source_name)} (hearth rm removes this one)."
    if for_this_machine:
        _check_machine(manifest, again)
    for name, entry in manifest.files.items():
        file = path / name
        # A link could lead out of the bundle, to something that its hash does not cover later.
        if file.is_symlink() or not file.is_file():
            raise CorruptFile(f"The bundle {path} has no file {name}.", hint=again)
        size = file.stat().st_size
        if size != entry.size_bytes:
            raise CorruptFile(f"{file} has {size} bytes, not {entry.size_bytes}: it is damaged.", hint=again)
        if (verify == "full" or name in manifest.program) and sha256_of(file) != entry.sha256:
            raise BundleMismatch(f"{file} was changed since the bundle was made.", why="Its hash differs.", hint=again)
    return Bundle(path, manifest)


def read_manifest(path: Path) -> Manifest:
    """The manifest of a bundle folder; nothing else of it is looked at.

    Raises:
        ModelNotFound: there is none.
        CorruptFile: it cannot be read or is damaged.
        BundleMismatch: it has another format version.
    """
    file = path / MANIFEST
    try:
        with file.open("rb") as stream:
            return Manifest.from_json(stream.read(_LIMIT + 1))
    except (FileNotFoundError, NotADirectoryError):
        raise ModelNotFound(
            f"{path} is no compiled bundle: it has no {MANIFEST}.", hint="Compile a model: hearth compile MODEL."
        ) from None
    except OSError as error:
        raise CorruptFile(f"{file} cannot be read: {error.strerror}.") from error


def sha256_of(file: Path) -> str:
    """SHA-256 (hex) of a file's content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_machine(manifest: Manifest, again: str) -> None:
    name = manifest.source_name
    if manifest.abi_version != ABI_VERSION:
        raise BundleMismatch(
            f"The bundle of {name} has version {manifest.abi_version} of the runtime; this Hearth needs {ABI_VERSION}.",
            why=f"It was made by Hearth {manifest.hearth_version}.",
            hint=again,
        )
    here = f"{cpu.architecture()}-{cpu.operating_system()}"
    target_system = cpu.triple_system(manifest.target)
    if cpu.architecture(manifest.target.partition("-")[0]) != cpu.architecture() or (
        target_system is not None and target_system != cpu.operating_system()
    ):
        raise BundleMismatch(f"The bundle of {name} is for {manifest.target}; this machine is {here}.", hint=again)
    present = cpu.features()
    if present is None:
        return
    missing = {each.name: sorted(set(each.features) - present) for each in manifest.instruction_sets}
    if all(missing.values()):
        raise BundleMismatch(
            f"The bundle of {name} has no kernels for this processor.",
            why=" ".join(f"{isa} needs {', '.join(lacking)}, which it lacks." for isa, lacking in missing.items()),
            hint=again,
        )
