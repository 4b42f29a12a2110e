"""Small hand-made checkpoints, so that the tests need no model and can be wrong on purpose.

The writers check nothing: a test may ask for a count, an offset or a type that no sound file has.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

U8, I8, U32, I32, F32, BOOL, STRING, ARRAY, U64 = 0, 1, 4, 5, 6, 7, 8, 9, 10


@dataclass
class Typed:
    """A metadata value with an explicit GGUF type number; for an array, that of its items."""

    type: int
    value: Any


@dataclass
class RawTensor:
    """A tensor description as it will stand in the file; `dims` innermost first."""

    name: str
    dims: Sequence[int]
    type: int
    offset: int


def gguf_string(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data


def _scalar(type_: int, value: Any) -> bytes:
    if type_ == STRING:
        return gguf_string(value)
    return struct.pack({U8: "<B", I8: "<b", U32: "<I", I32: "<i", F32: "<f", BOOL: "<B", U64: "<Q"}[type_], value)


def _guess(value: Any) -> int:
    for python_type, number in ((bool, BOOL), (int, U32), (float, F32), (str, STRING), (bytes, STRING)):
        if isinstance(value, python_type):
            return number
    raise TypeError(value)


def gguf_value(value: Any) -> bytes:
    """Type number and bytes of a metadata value."""
    if isinstance(value, Typed) and not isinstance(value.value, list):
        return struct.pack("<I", value.type) + _scalar(value.type, value.value)
    if isinstance(value, (list, Typed)):
        items = value.value if isinstance(value, Typed) else value
        type_ = value.type if isinstance(value, Typed) else _guess(items[0])
        return struct.pack("<IIQ", ARRAY, type_, len(items)) + b"".join(_scalar(type_, item) for item in items)
    return struct.pack("<I", _guess(value)) + _scalar(_guess(value), value)


def gguf_bytes(
    metadata: Mapping[str, Any] | Sequence[tuple[str, Any]] = (),
    tensors: Sequence[RawTensor] = (),
    data: bytes = b"",
    *,
    version: int = 3,
    alignment: int = 32,
    tensor_count: int | None = None,
    metadata_count: int | None = None,
) -> bytes:
    """A GGUF file. `general.architecture` is "llama" unless `metadata` says otherwise."""
    pairs = list(metadata.items() if isinstance(metadata, Mapping) else metadata)
    if all(key != "general.architecture" for key, _ in pairs):
        pairs.insert(0, ("general.architecture", "llama"))
    head = b"GGUF" + struct.pack(
        "<IQQ",
        version,
        len(tensors) if tensor_count is None else tensor_count,
        len(pairs) if metadata_count is None else metadata_count,
    )
    head += b"".join(gguf_string(key) + gguf_value(value) for key, value in pairs)
    for tensor in tensors:
        head += gguf_string(tensor.name) + struct.pack("<I", len(tensor.dims))
        head += b"".join(struct.pack("<Q", dim) for dim in tensor.dims)
        head += struct.pack("<IQ", tensor.type, tensor.offset)
    if tensors:
        head += bytes(-len(head) % alignment)
    return head + data


def gguf_model() -> bytes:
    """A sound GGUF file with two tensors: `a` f32 (2, 4) holding 0..7, `b` q8_0 (3, 32)."""
    a = np.arange(8, dtype="<f4").tobytes()
    b = bytes(range(102))
    tensors = [RawTensor("a", (4, 2), 0, 0), RawTensor("b", (32, 3), 8, 32)]
    return gguf_bytes({"llama.block_count": 2, "general.name": "tiny"}, tensors, a + b)


def safetensors_bytes(header: Any, data: bytes = b"", *, header_size: int | None = None) -> bytes:
    """A safetensors file; `header` may be text, or an object to be written as JSON."""
    text = header.encode() if isinstance(header, str) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if header_size is None else header_size) + text + data


def entry(dtype: str, shape: Sequence[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def model_folder(path: Path, **files: str | bytes) -> Path:
    """A sound model folder with one bf16 tensor `w` (2, 3); `files` are written over it (`__` stands for a dot)."""
    path.mkdir(exist_ok=True)
    contents: dict[str, str | bytes] = {
        "config.json": '{"model_type": "llama", "hidden_size": 3}',
        "model.safetensors": safetensors_bytes({"w": entry("BF16", (2, 3), 0, 12)}, bytes(range(12))),
    }
    contents |= {name.replace("__", "."): content for name, content in files.items()}
    for name, content in contents.items():
        (path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def proto_field(number: int, value: int | float | bytes | str) -> bytes:
    """One protobuf field: an int as varint, a float as fixed32, text and bytes with their length."""
    if isinstance(value, float):
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def sentencepiece_bytes(
    pieces: Sequence[tuple[str, float, int]], *, model_type: int = 2, byte_fallback: bool = False, prefix: bool = True
) -> bytes:
    """A SentencePiece model: pieces as (text, score, kind); `model_type` 1 is unigram, 2 BPE."""
    body = b"".join(
        proto_field(1, proto_field(1, text) + proto_field(2, float(score)) + proto_field(3, kind))
        for text, score, kind in pieces
    )
    trainer = proto_field(3, model_type) + proto_field(35, int(byte_fallback))
    normalizer = proto_field(1, "identity") + proto_field(3, int(prefix)) + proto_field(4, 0)
    return body + proto_field(2, trainer) + proto_field(3, normalizer)


SPECIAL_PIECES: list[tuple[str, float, int]] = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)]
BYTE_PIECES: list[tuple[str, float, int]] = [(f"<0x{value:02X}>", 0.0, 6) for value in range(256)]


def spm_vocabulary(*words: str) -> list[tuple[str, float, int]]:
    """Specials, bytes, then `words` with falling scores, then every character of them."""
    characters = sorted({character for word in words for character in word} - set(words))
    return [
        *SPECIAL_PIECES,
        *BYTE_PIECES,
        *((word, -float(rank), 1) for rank, word in enumerate([*words, *characters])),
    ]


def spm_metadata(pieces: Sequence[tuple[str, float, int]]) -> dict[str, Any]:
    """The `tokenizer.*` metadata of a GGUF file with a SentencePiece vocabulary."""
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [text for text, _, _ in pieces],
        "tokenizer.ggml.scores": [score for _, score, _ in pieces],
        "tokenizer.ggml.token_type": Typed(I32, [kind for _, _, kind in pieces]),
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }
