"""Which Hearth servers run on this machine: each leaves a small file while it does.

A file counts as long as the process that wrote it holds the lock beside it, so that what a killed server left behind is
known for what it is, and goes away when it is next looked at. Nothing in it is secret: no key, no token.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout


@dataclass(frozen=True)
class Presence:
    """One running server.

    Attributes:
        pid: its process.
        verb: "serve" or "app".
        url: where it listens.
        models: the names it was started with.
        since: when, in seconds since 1970.
    """

    pid: int
    verb: str
    url: str
    models: tuple[str, ...]
    since: float


def folder() -> Path:
    """Where running servers are noted: one folder for each user."""
    return Path(platformdirs.user_state_dir("hearth", appauthor=False)) / "servers"


@contextmanager
def announced(verb: str, url: str, models: Sequence[str]) -> Iterator[None]:
    """Notes this process as a running server for as long as the block lasts.

    That it cannot be noted is no reason not to serve.
    """
    path = folder() / f"{os.getpid()}.json"
    lock = FileLock(path.with_suffix(".lock"), timeout=0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        path.write_text(json.dumps(asdict(Presence(os.getpid(), verb, url, tuple(models), time.time()))))
    except (OSError, Timeout):
        yield
        return
    try:
        yield
    finally:
        lock.release()
        _forget(path)


def running() -> list[Presence]:
    """The servers that run now, oldest first."""
    found = []
    for path in folder().glob("*.json") if folder().is_dir() else ():
        try:
            with FileLock(path.with_suffix(".lock"), timeout=0):
                pass
            _forget(path)  # nobody holds it: the process has ended without a word
        except Timeout:
            with suppress(OSError, ValueError, TypeError):
                data = json.loads(path.read_text())
                found.append(Presence(**{**data, "models": tuple(data["models"])}))
        except OSError:
            continue
    return sorted(found, key=lambda server: server.since)


def _forget(path: Path) -> None:
    for file in (path, path.with_suffix(".lock")):
        with suppress(OSError):
            file.unlink()
