"""SentencePiece's precompiled normalisation table, checked before a library allocates what it announces.

The table is: size of a trie in bytes (u32, little-endian), the trie (an array of u32), texts.
"""

from __future__ import annotations

import base64
import binascii
import re

from hearth.checkpoint.mapped import PULL_AGAIN
from hearth.errors import CorruptFile

_IN_JSON = re.compile(r'"precompiled_charsmap"\s*:\s*"([^"\\]*)"')


def check_charsmap(data: bytes, source: str) -> None:
    """Raises CorruptFile for a table whose trie cannot be. `source` is for messages."""
    size = int.from_bytes(data[:4], "little")
    if len(data) < 4 or size % 4 or size > len(data) - 4:
        raise CorruptFile(
            f"The normalisation table of the tokenizer in {source} is damaged.",
            why=f"A trie of {size:,} bytes is announced where {max(0, len(data) - 4):,} bytes are left.",
            hint=PULL_AGAIN,
        )


def check_charsmaps_in(text: str, source: str) -> None:
    """The same for each table in the text of a tokenizer.json."""
    if '"precompiled_charsmap"' not in text:
        return
    for match in _IN_JSON.finditer(text):
        try:
            data = base64.b64decode(match[1], validate=True)
        except binascii.Error:
            continue  # the library refuses it
        check_charsmap(data, source)
