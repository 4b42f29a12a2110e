"""A chat template in a GGUF file that has none."""

from __future__ import annotations

import struct
from pathlib import Path

_HEADER = struct.Struct("<4sIQQ")  # magic, version, tensors, keys
_KEY = b"tokenizer.chat_template"
_STRING = 8  # the type of a value
_ALIGNMENT = 32  # of the tensors behind all keys: whatever is put in before them has to be a multiple


def with_template(source: Path, destination: Path, template: str) -> Path:
    """A copy of `source` with a chat template."""
    content = source.read_bytes()
    magic, version, tensors, keys = _HEADER.unpack_from(content)
    head = struct.pack("<Q", len(_KEY)) + _KEY + struct.pack("<I", _STRING)
    text = template.encode()
    comment = b"{#%s#}" % (b" " * (-(len(head) + 8 + len(text) + 4) % _ALIGNMENT))
    value = struct.pack("<Q", len(text + comment)) + text + comment
    destination.write_bytes(_HEADER.pack(magic, version, tensors, keys + 1) + head + value + content[_HEADER.size :])
    return destination
