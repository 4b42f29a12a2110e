"""Tokenizers of the SentencePiece kind, BPE or unigram, as a tokenizer.json."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any, Literal

from hearth.checkpoint.tokenizer.spec import added_token, document, sequence
from hearth.checkpoint.tokenizer.vocabulary import Kind, Piece, check_pieces, has_all_bytes, merges_by_score
from hearth.errors import Unsupported

_SPACE = "▁"  # U+2581, how the vocabulary spells a space
_ALL = 1 << 30
_NEVER_CHOSEN = 1e6


@dataclass(frozen=True)
class SpmModel:
    """What a SentencePiece model says, wherever it was read from.

    Attributes:
        pieces: the vocabulary; an id is a place in it.
        algorithm: how text becomes pieces.
        byte_fallback: characters outside the vocabulary become byte pieces (else the unknown piece).
        add_dummy_prefix: a space is put before the text.
        remove_extra_whitespaces: spaces at both ends go, runs of spaces become one.
        charsmap: SentencePiece's precompiled normalisation table; empty for none.
        escape_whitespaces: the vocabulary writes spaces as U+2581.
        strip_left, strip_right: ids of added tokens that swallow the white space before, after them.
        unknown: id of the unknown piece where its kind does not tell.
        extra: tokens beyond the vocabulary: id, text, special.
    """

    pieces: list[Piece]
    algorithm: Literal["bpe", "unigram"]
    byte_fallback: bool = False
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = False
    charsmap: bytes = b""
    escape_whitespaces: bool = True
    strip_left: frozenset[int] = frozenset()
    strip_right: frozenset[int] = frozenset()
    unknown: int | None = None
    extra: list[tuple[int, str, bool]] = field(default_factory=list)


def spm_document(model: SpmModel, source: str) -> dict[str, Any]:
    """The tokenizer.json of a SentencePiece model. `source` is for messages.

    Raises:
        CorruptFile: the vocabulary is empty, ambiguous or absurd.
        Unsupported: it uses something that tokenizer.json cannot express.
    """
    pieces = [_readable(piece) for piece in model.pieces]
    check_pieces(pieces + [Piece(text, 0.0, Kind.CONTROL) for _, text, _ in model.extra], source)
    if model.byte_fallback and not has_all_bytes(piece.text for piece in pieces):
        raise Unsupported(
            f"The vocabulary in {source} falls back to bytes but lacks some of them.",
            why="Without all 256 byte pieces some texts could not be encoded.",
            hint="Look for another conversion of this model.",
        )
    return document(
        _bpe(model, pieces, source) if model.algorithm == "bpe" else _unigram(model, pieces),
        added_tokens=_added_tokens(model, pieces),
        normalizer=_normalizer(model),
        decoder=_decoder(model),
    )


def _readable(piece: Piece) -> Piece:
    # User-defined pieces are looked for in the text as the user wrote it, where a space is a space.
    return piece._replace(text=piece.text.replace(_SPACE, " ")) if piece.kind == Kind.USER_DEFINED else piece


def _unknown_piece(model: SpmModel, pieces: list[Piece]) -> int | None:
    return next((number for number, piece in enumerate(pieces) if piece.kind == Kind.UNKNOWN), model.unknown)


def _bpe(model: SpmModel, pieces: list[Piece], source: str) -> dict[str, Any]:
    # Control, unknown and byte pieces never come out of merging, whatever a text spells. User-defined ones are found
    # before merging starts.
    scores = {piece.text: piece.score for piece in pieces if piece.kind in (Kind.NORMAL, Kind.UNUSED)}
    vocab = {piece.text: number for number, piece in enumerate(pieces)}
    vocab |= {text: number for number, text, _ in model.extra}
    unknown = _unknown_piece(model, pieces)
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": None if unknown is None else pieces[unknown].text,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": model.byte_fallback,
        "ignore_merges": False,
        "vocab": vocab,
        "merges": merges_by_score(scores, source),
    }


def _unigram(model: SpmModel, pieces: list[Piece]) -> dict[str, Any]:
    # The library lets every entry compete for the text, SentencePiece only the normal ones. The others get a score so
    # low that they lose wherever the text can be spelled with normal pieces. The library derives the score of unknown
    # characters from the lowest, which is harmless: a character that is no piece of its own stands in no piece at all,
    # so it has no other reading.
    never = min((piece.score for piece in pieces if piece.kind == Kind.NORMAL), default=0.0) - _NEVER_CHOSEN
    vocab = [[piece.text, piece.score if piece.kind == Kind.NORMAL else never] for piece in pieces]
    return {
        "type": "Unigram",
        "unk_id": _unknown_piece(model, pieces),
        "vocab": vocab + [[text, never] for _, text, _ in model.extra],
        "byte_fallback": model.byte_fallback,
    }


def _added_tokens(model: SpmModel, pieces: list[Piece]) -> list[dict[str, Any]]:
    named = [
        added_token(
            number,
            piece.text,
            special=piece.kind != Kind.USER_DEFINED,
            lstrip=number in model.strip_left,
            rstrip=number in model.strip_right,
        )
        for number, piece in enumerate(pieces)
        if piece.kind in (Kind.CONTROL, Kind.USER_DEFINED, Kind.UNKNOWN)
    ]
    return named + [
        added_token(number, text, special=special, lstrip=number in model.strip_left)
        for number, text, special in model.extra
    ]


def _normalizer(model: SpmModel) -> dict[str, Any] | None:
    steps: list[dict[str, Any]] = []
    if model.charsmap:
        steps.append({"type": "Precompiled", "precompiled_charsmap": base64.b64encode(model.charsmap).decode("ascii")})
    if model.remove_extra_whitespaces:
        for regex, content in ((r"\A +", ""), (rf"[ {_SPACE}]+\z", ""), (" {2,}", " ")):
            steps.append({"type": "Replace", "pattern": {"Regex": regex}, "content": content})
    if model.add_dummy_prefix:
        steps.append({"type": "Prepend", "prepend": " "})
    if model.escape_whitespaces:
        steps.append({"type": "Replace", "pattern": {"String": " "}, "content": _SPACE})
    return sequence("Sequence", "normalizers", steps)


def _decoder(model: SpmModel) -> dict[str, Any] | None:
    steps: list[dict[str, Any]] = [{"type": "Replace", "pattern": {"String": _SPACE}, "content": " "}]
    if model.byte_fallback:
        steps.append({"type": "ByteFallback"})
    steps.append({"type": "Fuse"})
    # SentencePiece takes back the one space it added, or, where it collapses spaces, all that lead the text.
    if strip := _ALL if model.remove_extra_whitespaces else int(model.add_dummy_prefix):
        steps.append({"type": "Strip", "content": " ", "start": strip, "stop": 0})
    return sequence("Sequence", "decoders", steps)
