"""Where compiled bundles are kept, and under which name."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from hearth.errors import UsageError

ENVIRONMENT = "HEARTH_CACHE"

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}")


def cache_dir() -> Path:
    """Hearth's cache folder: `$HEARTH_CACHE`, else the user's cache folder of this system. It need not exist yet."""
    chosen = os.environ.get(ENVIRONMENT)
    if chosen:
        return Path(chosen).expanduser().absolute()
    return Path(platformdirs.user_cache_dir("hearth", appauthor=False))


def bundles_dir() -> Path:
    """The folder with a folder for each compiled bundle."""
    return cache_dir() / "bundles"


def tuning_dir() -> Path:
    """The folder with what `hearth tune` found, a file for each model of processor."""
    return cache_dir() / "tuning"


def make_folder(folder: Path) -> None:
    """A folder of the cache, and those above it that are missing: for others to read at most, whatever the umask."""
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        missing.mkdir(mode=0o755, exist_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Writes a file of the cache that appears whole or not at all, and the folders above it that are missing.

    Raises:
        OSError: it cannot be written; what was there before is as it was.
    """
    make_folder(path.parent)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def bundle_key(name: str, identity: Mapping[str, object]) -> str:
    """A folder name for what was compiled: a readable part, and a hash of everything that shapes the result.

    Args:
        name: the model as the user named it.
        identity: source fingerprint, number formats, target, versions...; JSON values only.
    """
    # Only the last two parts of a path, and only letters that every file system takes.
    readable = "-".join(re.findall(r"[A-Za-z0-9.]+", "/".join(Path(name).parts[-2:])))[-60:].strip(".-") or "model"
    text = json.dumps(dict(identity), sort_keys=True)
    return f"{readable}-{hashlib.sha256(text.encode()).hexdigest()[:20]}"


def bundle_path(key: str) -> Path:
    """The folder of the bundle called `key`.

    Raises:
        UsageError: `key` is no plain name.
    """
    if _KEY.fullmatch(key) is None:
        raise UsageError(f"'{key}' is no name of a bundle.")
    return bundles_dir() / key
