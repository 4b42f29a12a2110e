"""Reads `tokenizer.model`: the protobuf of SentencePiece, field by field, trusting nothing in it.

Only the few fields that decide the result are read. Source: sentencepiece_model.proto (Google SentencePiece).
"""

from __future__ import annotations

import struct
from typing import Any, Literal

from hearth.checkpoint.mapped import PULL_AGAIN
from hearth.checkpoint.protobuf import fields
from hearth.checkpoint.tokenizer.charsmap import check_charsmap
from hearth.checkpoint.tokenizer.spm import SpmModel
from hearth.checkpoint.tokenizer.vocabulary import Kind, Piece
from hearth.errors import CorruptFile, Unsupported

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
    for number, value in fields(data):
        if number == _PIECES:
            pieces.append(_piece(_as_bytes(value)))
            if len(pieces) > _MAX_PIECES:
                raise ValueError(f"it has more than {_MAX_PIECES:,} pieces")
        elif number == _TRAINER:
            trainer = dict(fields(_as_bytes(value)))
        elif number == _NORMALIZER:
            normalizer = dict(fields(_as_bytes(value)))
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
    piece = dict(fields(data))
    score = struct.unpack("<f", _as_bytes(piece.get(_SCORE, bytes(4))))[0]
    kind = piece.get(_KIND, 1)
    if not isinstance(kind, int):
        raise ValueError("a field has the wrong type")
    return Piece(_as_bytes(piece.get(_TEXT, b"")).decode("utf-8"), score, Kind(kind))


def _control_id(pieces: list[Piece], value: Any) -> int | None:
    # Absent ids are written as -1, which a varint shows as 2^64 - 1.
    if isinstance(value, int) and value < len(pieces) and pieces[value].kind == Kind.CONTROL:
        return value
    return None


def _as_bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a field has the wrong type")
    return value
