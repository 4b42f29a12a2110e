"""Reads `tokenizer.model`: the protobuf of SentencePiece, field by field, trusting nothing in it.

Only the few fields that decide the result are read. Source: sentencepiece_model.proto (Google SentencePiece).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Literal

from hearth.checkpoint.mapped import PULL_AGAIN
from hearth.checkpoint.tokenizer.charsmap import check_charsmap
from hearth.checkpoint.tokenizer.spm import SpmModel
from hearth.checkpoint.tokenizer.vocabulary import Kind, Piece
from hearth.errors import CorruptFile, Unsupported

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_ALGORITHMS: dict[int, Literal["unigram", "bpe"]] = {1: "unigram", 2: "bpe"}
_MAX_PIECES = 2_000_000

# Field numbers of the messages ModelProto, SentencePiece, TrainerSpec and NormalizerSpec.
_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
_TEXT, _SCORE, _KIND = 1, 2, 3
_MODEL_TYPE, _WHITESPACE_AS_SUFFIX, _BYTE_FALLBACK, _BOS_ID, _EOS_ID = 3, 24, 35, 41, 42
_CHARSMAP, _DUMMY_PREFIX, _REMOVE_SPACES, _ESCAPE_SPACES = 2, 3, 4, 5


def read_sentencepiece(data: bytes, source: str) -> tuple[SpmModel, int | None, int | None]:
    """The model, and the ids of its begin and end tokens (None where it has none).

    Args:
        data: content of a tokenizer.model.
        source: its name, for messages.

    Raises:
        CorruptFile: not a SentencePiece model, or a damaged one.
        Unsupported: an algorithm other than BPE and unigram, or spaces kept as suffixes.
    """
    try:
        return _read(data, source)
    except (ValueError, struct.error) as error:  # UnicodeDecodeError is a ValueError
        raise CorruptFile(f"{source} is no sound SentencePiece model.", why=f"{error}.", hint=PULL_AGAIN) from error


def _read(data: bytes, source: str) -> tuple[SpmModel, int | None, int | None]:
    pieces: list[Piece] = []
    trainer: dict[int, Any] = {}
    normalizer: dict[int, Any] = {}
    for number, value in _fields(data):
        if number == _PIECES:
            pieces.append(_piece(_as_bytes(value)))
            if len(pieces) > _MAX_PIECES:
                raise ValueError(f"it has more than {_MAX_PIECES:,} pieces")
        elif number == _TRAINER:
            trainer = dict(_fields(_as_bytes(value)))
        elif number == _NORMALIZER:
            normalizer = dict(_fields(_as_bytes(value)))
    if not pieces:
        raise ValueError("it has no vocabulary")
    algorithm = _ALGORITHMS.get(trainer.get(_MODEL_TYPE, 1))
    if algorithm is None or trainer.get(_WHITESPACE_AS_SUFFIX, 0):
        raise Unsupported(
            f"{source} is a SentencePiece model of a kind that Hearth does not run.",
            why="Hearth runs BPE and unigram models that keep spaces at the front of words.",
            hint="Look for the same model with a tokenizer.json.",
        )
    charsmap = _as_bytes(normalizer.get(_CHARSMAP, b""))
    if charsmap:
        check_charsmap(charsmap, source)
    model = SpmModel(
        pieces,
        algorithm,
        byte_fallback=bool(trainer.get(_BYTE_FALLBACK, 0)),
        add_dummy_prefix=bool(normalizer.get(_DUMMY_PREFIX, 1)),
        remove_extra_whitespaces=bool(normalizer.get(_REMOVE_SPACES, 1)),
        escape_whitespaces=bool(normalizer.get(_ESCAPE_SPACES, 1)),
        charsmap=charsmap,
    )
    return model, _control_id(pieces, trainer.get(_BOS_ID, 1)), _control_id(pieces, trainer.get(_EOS_ID, 2))


def _piece(data: bytes) -> Piece:
    fields = dict(_fields(data))
    score = struct.unpack("<f", _as_bytes(fields.get(_SCORE, bytes(4))))[0]
    kind = fields.get(_KIND, 1)
    if not isinstance(kind, int):
        raise ValueError("a field has the wrong type")
    return Piece(_as_bytes(fields.get(_TEXT, b"")).decode("utf-8"), score, Kind(kind))


def _control_id(pieces: list[Piece], value: Any) -> int | None:
    # Absent ids are written as -1, which a varint shows as 2^64 - 1.
    if isinstance(value, int) and value < len(pieces) and pieces[value].kind == Kind.CONTROL:
        return value
    return None


def _as_bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a field has the wrong type")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of one message in the order of the file: number, and an int (varint) or bytes (all others)."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == _BYTES:
            size, position = _varint(data, position)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire} at byte {position:,}")
        if size > len(data) - position:
            raise ValueError(f"a field of {size:,} bytes where {len(data) - position:,} are left")
        yield number, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise ValueError("it ends inside a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number of more than 10 bytes")
