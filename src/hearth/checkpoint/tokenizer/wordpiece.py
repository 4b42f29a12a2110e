"""BERT's WordPiece vocabulary, as GGUF files spell it, as a tokenizer.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hearth.checkpoint.tokenizer.spec import document
from hearth.checkpoint.tokenizer.vocabulary import Kind, Piece


def wordpiece_document(
    pieces: list[Piece],
    unknown: int,
    *,
    lowercase: bool,
    strip_accents: bool,
    added_tokens: Iterable[Mapping[str, Any]],
) -> dict[str, Any]:
    """The tokenizer.json of a WordPiece vocabulary.

    GGUF files mark the pieces that begin a word (with U+2581), tokenizer.json those that continue one (with `##`).
    """
    spelled = [_spelled(piece) for piece in pieces]
    return document(
        {
            "type": "WordPiece",
            "unk_token": spelled[unknown],
            "continuing_subword_prefix": "##",
            # The library gives up on longer words, llama.cpp on none.
            "max_input_chars_per_word": 1 << 20,
            "vocab": {text: number for number, text in enumerate(spelled)},
        },
        added_tokens=added_tokens,
        normalizer={
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": strip_accents,
            "lowercase": lowercase,
        },
        pre_tokenizer={"type": "BertPreTokenizer"},
        decoder={"type": "WordPiece", "prefix": "##", "cleanup": True},
    )


def _spelled(piece: Piece) -> str:
    text = piece.text
    if piece.kind != Kind.NORMAL or (text.startswith("[") and text.endswith("]")):
        return text
    return text[1:] if text.startswith("▁") else "##" + text
