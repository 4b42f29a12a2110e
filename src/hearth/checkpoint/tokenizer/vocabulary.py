"""A vocabulary as SentencePiece and GGUF files write it, and the merges that are hidden in its scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import NamedTuple

from hearth.checkpoint.mapped import PULL_AGAIN
from hearth.errors import CorruptFile

MAX_PIECE_CHARS = 1024
# Characters of all merges together, for each character of the vocabulary: 2.0 to 2.5 in published ones.
_MAX_MERGED = 6
# Looking for the merges of a piece takes the square of its length; published vocabularies have 30 million in all.
_MAX_SQUARES = 1 << 30


class Kind(IntEnum):
    """What a piece is for: the numbers of SentencePiece's `Type` and of `tokenizer.ggml.token_type`."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


class Piece(NamedTuple):
    """One entry of a vocabulary; its id is its place in the list."""

    text: str
    score: float
    kind: Kind


def check_pieces(pieces: list[Piece], source: str) -> None:
    """Raises CorruptFile where a vocabulary cannot be used: empty, ambiguous, or with entries of absurd length."""
    if not pieces:
        raise CorruptFile(f"The vocabulary in {source} is empty.", hint=PULL_AGAIN)
    seen: dict[str, int] = {}
    for number, piece in enumerate(pieces):
        if len(piece.text) > MAX_PIECE_CHARS:
            raise CorruptFile(
                f"Entry {number} of the vocabulary in {source} has {len(piece.text):,} characters.",
                why=f"At most {MAX_PIECE_CHARS:,} are plausible.",
                hint=PULL_AGAIN,
            )
        if piece.score != piece.score or piece.score in (float("inf"), float("-inf")):
            raise CorruptFile(f"Entry {number} of the vocabulary in {source} has no finite score.", hint=PULL_AGAIN)
        if seen.setdefault(piece.text, number) != number:
            raise CorruptFile(
                f"Entries {seen[piece.text]} and {number} of the vocabulary in {source} are the same.",
                why=f"Both are {piece.text[:80]!r}.",
                hint=PULL_AGAIN,
            )


def merges_by_score(scores: Mapping[str, float], source: str) -> list[tuple[str, str]]:
    """The merge list, best first, with which byte-pair encoding takes the same steps as SentencePiece's.

    SentencePiece keeps no merges: it joins the two neighbours whose joined text has the highest score, the leftmost
    where scores are equal. So every way to cut a piece into two pieces is a merge, ranked by the score of the whole.

    The cuts of one piece have equal scores, but the `tokenizers` library ranks every merge differently. That makes no
    difference: two of them could only compete for a symbol between two overlapping occurrences of the piece, and a
    search through random vocabularies and texts found none (tests/checkpoint/test_spm.py repeats it). Equal scores of
    different pieces, which no SentencePiece trainer writes, are ranked in the order of the vocabulary.

    Args:
        scores: the pieces that merging may produce or use, and their scores.
        source: for messages.
    """
    if sum(len(text) ** 2 for text in scores) > _MAX_SQUARES:
        raise CorruptFile(
            f"The vocabulary in {source} has too many long entries.",
            why="Published ones have far fewer; it is damaged, or was made to exhaust time.",
            hint=PULL_AGAIN,
        )
    ranked: list[tuple[float, int, int, str, str]] = []
    budget = 100_000 + _MAX_MERGED * sum(map(len, scores))
    for number, (text, score) in enumerate(scores.items()):
        for cut in range(1, len(text)):
            left, right = text[:cut], text[cut:]
            if left in scores and right in scores:
                ranked.append((-score, number, cut, left, right))
                budget -= len(text)
        if budget < 0:
            raise CorruptFile(
                f"The vocabulary in {source} implies more merges than any published one.",
                why="It is damaged, or was made to exhaust memory.",
                hint=PULL_AGAIN,
            )
    ranked.sort()
    return [(left, right) for *_, left, right in ranked]


def byte_piece(value: int) -> str:
    """The piece that stands for one byte where the vocabulary has no character: `<0x0A>`."""
    return f"<0x{value:02X}>"


def has_all_bytes(texts: Iterable[str]) -> bool:
    known = set(texts)
    return all(byte_piece(value) in known for value in range(256))


def _byte_characters() -> list[str]:
    """The printable character that byte-level BPE writes for each byte (GPT-2's `bytes_to_unicode`)."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


_BYTE_CHARACTERS = _byte_characters()


def byte_level(data: bytes) -> str:
    """Bytes as byte-level BPE spells them: one printable character each."""
    return "".join(map(_BYTE_CHARACTERS.__getitem__, data))
