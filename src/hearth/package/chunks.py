"""A file as chunks that are named by what is in them.

A download that breaks off anywhere loses one chunk at most, every chunk is checked before it is used, and a cache
anywhere on the way may keep chunks for ever: another content has another name.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

CHUNK_BYTES = 8 << 20


def write_chunks(source: BinaryIO, folder: Path, *, chunk_bytes: int) -> list[str]:
    """Cuts what is left of a file into chunks of `chunk_bytes` and writes them into a folder that is there.

    Returns:
        The SHA-256 (hex) of each, in their order, which are the chunks' names.

    Raises:
        OSError: the file cannot be read, or the folder not written.
    """
    names = []
    while content := source.read(chunk_bytes):
        names.append(hashlib.sha256(content).hexdigest())
        (folder / names[-1]).write_bytes(content)
    return names
