"""The pictures in a folder, by their names' endings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from hearth.errors import StorageError

T = TypeVar("T")
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".avif", ".ico")


def pictures_in(folder: Path, *, deep: bool = False) -> list[Path]:
    """Its pictures, by name.

    Args:
        deep: also those in folders within it.

    Raises:
        StorageError: it cannot be read, or has none.
    """
    try:
        if not folder.is_dir():
            raise StorageError(f"{folder} is no folder.", hint="Name one with pictures in it.")
        entries: Iterable[Path] = folder.rglob("*") if deep else folder.iterdir()
        found = sorted(path for path in entries if path.suffix.lower() in ENDINGS and path.is_file())
    except OSError as error:
        raise StorageError(f"{folder} cannot be read.", why=f"{error.strerror or error}.") from error
    if not found:
        raise StorageError(f"{folder} has no pictures.", why=f"None of its files ends in {', '.join(ENDINGS)}.")
    return found


def spread(pictures: Sequence[T], most: int) -> list[T]:
    """At most so many of them, evenly chosen, so that each folder of many gives its share."""
    if len(pictures) <= most:
        return list(pictures)
    return [pictures[i * len(pictures) // most] for i in range(most)]
