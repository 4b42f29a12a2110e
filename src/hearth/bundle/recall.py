"""Which bundle a model led to, remembered: opening it again reads neither its header nor the compiler's sources.

A memory belongs to a request (the model and what was asked of it) and holds as long as nothing that shaped the bundle
has changed: the model's files and the compiler's own are watched by name, size and time of modification. It saves the
way to the bundle, not the bundle's own checks.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hearth.bundle import cpu
from hearth.bundle.paths import cache_dir, write_whole

FOLDER = "recall"
_MAX_BYTES = 1 << 16


@dataclass(frozen=True)
class Memory:
    """What may be remembered of one request.

    Attributes:
        file: where.
        state: hash of all that is watched, as it was when this object was made.
    """

    file: Path
    state: str

    def recall(self) -> Path | None:
        """The bundle's folder; None where nothing is remembered, or something that is watched has changed since."""
        try:
            with self.file.open("rb") as stream:
                known = json.loads(stream.read(_MAX_BYTES))
            return Path(known["bundle"]) if known["state"] == self.state else None
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None

    def remember(self, bundle: Path) -> None:
        """Keeps the folder for next time. A cache that cannot be written remembers nothing."""
        text = json.dumps({"state": self.state, "bundle": str(bundle)})
        with suppress(OSError):
            write_whole(self.file, text + "\n")


def memory_of(request: Mapping[str, object], watched: Iterable[Path]) -> Memory:
    """The memory of a request on this kind of machine.

    Args:
        request: JSON values only.
        watched: files; folders with all that is in them. What does not exist is watched too.
    """
    machine = [cpu.architecture(), cpu.operating_system(), sorted(cpu.features() or ())]
    key = hashlib.sha256(json.dumps([machine, dict(request)], sort_keys=True).encode()).hexdigest()
    digest = hashlib.sha256()
    for path in watched:
        for line in _state(path):
            digest.update(line.encode("utf-8", "surrogateescape") + b"\0")
    return Memory(cache_dir() / FOLDER / f"{key[:32]}.json", digest.hexdigest())


def _state(path: Path) -> Iterator[str]:
    """A line for each file."""
    if path.is_dir():
        yield from _folder_state(str(path))
    else:
        yield _file_state(str(path), path.stat)


def _folder_state(folder: str) -> Iterator[str]:
    # With no `Path` for each file: this stands between every start of Hearth and its first token.
    folders = [folder]
    while folders:
        folder = folders.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda e: e.name)
        except OSError:
            yield f"{folder} -"
            continue
        for entry in entries:
            # A link to a folder is not followed: it may lead round in a circle, or to the whole disk.
            if not entry.is_dir(follow_symlinks=False):
                yield _file_state(entry.path, entry.stat)
            elif entry.name != "__pycache__":  # Python writes there as it pleases
                folders.append(entry.path)


def _file_state(path: str, stat: Callable[[], os.stat_result]) -> str:
    try:
        about = stat()
        return f"{path} {about.st_size} {about.st_mtime_ns}"
    except OSError:
        return f"{path} -"
