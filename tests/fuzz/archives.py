"""Files that are zip archives: what is in one, and one of other entries."""

from __future__ import annotations

import zipfile
from functools import cache
from pathlib import Path


@cache
def entries_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {entry: archive.read(entry) for entry in archive.namelist()}


def write(path: Path, content: dict[str, bytes] | bytes) -> None:
    """An archive of these entries, or these bytes as they are."""
    if isinstance(content, bytes):
        path.write_bytes(content)
        return
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
