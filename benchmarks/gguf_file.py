"""Writes a GGUF v3 file: metadata, tensor table, tensors.

From the specification of the format (ggml's docs/gguf.md). Knows nothing of models; a tensor's bytes come from a
function that is called when their turn comes, so that no tensor is ever whole in memory.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import gguf_blocks
import numpy as np

ALIGNMENT = 32
NORMAL, CONTROL, UNUSED = 1, 3, 5  # tokenizer.ggml.token_type


class GgufFile:
    """Collects what goes into a file; `write` makes it.

    Args:
        metadata: (key, value); a value is a str, bool, numpy uint32, int32 or float32, or a list of str or int32.
    """

    def __init__(self, metadata: Sequence[tuple[str, object]]) -> None:
        self._metadata = metadata
        self._tensors: list[tuple[str, tuple[int, ...], str, Callable[[], Iterator[bytes]]]] = []

    def add(self, name: str, shape: tuple[int, ...], kind: str, pieces: Callable[[], Iterator[bytes]]) -> None:
        """A tensor of the given shape, rows first, whose bytes `pieces` will give."""
        self._tensors.append((name, shape, kind, pieces))

    def write(self, path: Path) -> None:
        """Writes the file under another name first: a broken run leaves none that looks whole."""
        part = path.with_name(path.name + ".part")
        with part.open("wb") as file:
            file.write(self._header())
            for name, shape, kind, pieces in self._tensors:
                file.write(b"\0" * (-file.tell() % ALIGNMENT))
                start = file.tell()
                for piece in pieces():
                    file.write(piece)
                if file.tell() - start != _size_bytes(shape, kind):
                    raise AssertionError(f"{name}: {file.tell() - start} bytes written")
            file.write(b"\0" * (-file.tell() % ALIGNMENT))
        part.replace(path)

    def _header(self) -> bytes:
        out = [b"GGUF", struct.pack("<IQQ", 3, len(self._tensors), len(self._metadata))]
        for key, value in self._metadata:
            out += [_string(key), _value(value)]
        offset = 0
        for name, shape, kind, _ in self._tensors:
            dims = tuple(reversed(shape))  # the innermost first
            out += [_string(name), struct.pack(f"<I{len(dims)}Q", len(dims), *dims)]
            out.append(struct.pack("<IQ", gguf_blocks.BLOCKS[kind].type_id, offset))
            offset += _size_bytes(shape, kind) + -_size_bytes(shape, kind) % ALIGNMENT
        header = b"".join(out)
        return header + b"\0" * (-len(header) % ALIGNMENT)


def byte_level_vocabulary(size: int, control_ids: set[int]) -> tuple[list[str], list[np.int32], list[str]]:
    """A small but valid byte-level BPE vocabulary, filled up with unused tokens: (tokens, types, merges)."""
    # The 188 bytes that print stand for themselves, the others for characters from 256 on (as GPT-2 published).
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(others))]
    letters = "abcdefghijklmnopqrstuvwxyz"
    merges = [f"{first} {second}" for first in letters for second in letters]
    known = alphabet + [merge.replace(" ", "") for merge in merges]
    tokens, types = [], []
    rest = iter(known)
    for token_id in range(size):
        text = None if token_id in control_ids else next(rest, None)
        if token_id in control_ids:
            tokens.append(f"<|control_{token_id}|>")
            types.append(np.int32(CONTROL))
        else:
            tokens.append(text if text is not None else f"<|unused_{token_id}|>")
            types.append(np.int32(NORMAL if text is not None else UNUSED))
    return tokens, types, merges


def _size_bytes(shape: tuple[int, ...], kind: str) -> int:
    block = gguf_blocks.BLOCKS[kind]
    return int(np.prod(shape)) // block.columns * block.size_bytes


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: object) -> bytes:
    if isinstance(value, list):
        kinds = {str: 8, np.int32: 5}
        kind = kinds[type(value[0])]
        items = [_string(item) if kind == 8 else item.tobytes() for item in value]
        return struct.pack("<IIQ", 9, kind, len(value)) + b"".join(items)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _string(value)
    if isinstance(value, bool):
        return struct.pack("<IB", 7, value)
    codes = {np.uint32: (4, "<I"), np.int32: (5, "<i"), np.float32: (6, "<f")}
    code, layout = codes[type(value)]
    return struct.pack("<I", code) + struct.pack(layout, value)
