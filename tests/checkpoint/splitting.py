"""Splits a GGUF file as `llama-gguf-split` does, so that tests have parts of a model that runs."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from hearth.checkpoint.ggml_types import GGML_TYPES
from hearth.checkpoint.gguf_file import GgufFile
from hearth.checkpoint.gguf_metadata import Cursor

from .builders import RawTensor, gguf_bytes, gguf_string

NUMBERS = {kind.name: number for number, kind in GGML_TYPES.items()}


def split(path: Path, folder: Path, stem: str, parts: int) -> list[Path]:
    """Writes `parts` files with about as many tensors each; the first has what the file says of the model."""
    file = GgufFile(path)
    names = list(file.tensors)
    paths = []
    for number in range(parts):
        described, data = [], b""
        for name in names[number * len(names) // parts : (number + 1) * len(names) // parts]:
            info = file.tensors[name]
            described.append(RawTensor(name, info.shape[::-1], NUMBERS[info.dtype], len(data)))
            content = file.raw(name).tobytes()
            data += content + bytes(-len(content) % 32)
        said = {"split.no": number, "split.count": parts, "split.tensors.count": len(names)}
        part = gguf_bytes({**said, "general.architecture": "llama"}, described, data)
        if number == 0:
            part = _with_metadata(path.read_bytes(), said, described, data)
        paths.append(folder / f"{stem}-{number + 1:05d}-of-{parts:05d}.gguf")
        paths[-1].write_bytes(part)
    return paths


def _with_metadata(whole: bytes, said: dict[str, int], described: list[RawTensor], data: bytes) -> bytes:
    """The metadata of a file, byte by byte, and some of its tensors."""
    count = struct.unpack_from("<Q", whole, 16)[0]
    cursor = Cursor(memoryview(whole), "", 24)
    for _ in range(count):
        cursor.string()
        cursor.skip(cursor.u32())
    entries = whole[24 : cursor.position] + b"".join(gguf_string(k) + struct.pack("<II", 4, v) for k, v in said.items())
    head = b"GGUF" + struct.pack("<IQQ", 3, len(described), count + len(said)) + entries
    for tensor in described:
        head += gguf_string(tensor.name) + struct.pack("<I", len(tensor.dims))
        head += np.array(tensor.dims, "<u8").tobytes() + struct.pack("<IQ", tensor.type, tensor.offset)
    return head + bytes(-len(head) % 32) + data
