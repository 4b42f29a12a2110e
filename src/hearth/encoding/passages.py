"""A long text in passages that a model can read as a whole: `passages`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

Span = tuple[int, int]
"""Where a piece of a text begins and ends, in characters."""

# Borders from the best to the worst: what a writer set apart, lines, sentences, words.
_BORDERS = tuple(
    re.compile(pattern) for pattern in (r"\n\s*\n", r"\n", r"(?<=[.!?…])\s+|(?<=[。！？])", r"\s+")
)  # fmt: skip


def passages(text: str, count: Callable[[str], int], most: int) -> list[Span]:
    """Spans of a text, one after the other, which together have all of it but blanks between them.

    Args:
        count: tokens of a piece of text.
        most: tokens of a passage. One that is longer than that, by itself and without a border inside, is halved.
    """
    merged: list[Span] = []
    for span in _pieces(text, (0, len(text)), count, most, 0):
        if merged and count(text[merged[-1][0] : span[1]]) <= most:
            merged[-1] = (merged[-1][0], span[1])
        else:
            merged.append(span)
    return merged


def _pieces(text: str, span: Span, count: Callable[[str], int], most: int, level: int) -> Iterator[Span]:
    """A span as it is where it is short enough; else what lies between its best borders."""
    begin, end = _stripped(text, span)
    if begin == end:
        return
    # A token is a character at least, so what is far too long need not be counted.
    if end - begin <= 64 * most and count(text[begin:end]) <= most:
        yield begin, end
        return
    if level < len(_BORDERS):
        at = begin
        for border in _BORDERS[level].finditer(text, begin, end):
            yield from _pieces(text, (at, border.start()), count, most, level + 1)
            at = border.end()
        yield from _pieces(text, (at, end), count, most, level + 1)
    elif end - begin > 1:
        middle = (begin + end) // 2
        yield from _pieces(text, (begin, middle), count, most, level)
        yield from _pieces(text, (middle, end), count, most, level)
    else:
        yield begin, end


def _stripped(text: str, span: Span) -> Span:
    begin, end = span
    while begin < end and text[begin].isspace():
        begin += 1
    while begin < end and text[end - 1].isspace():
        end -= 1
    return begin, end
