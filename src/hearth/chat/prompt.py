"""A rendered prompt: its text, and which parts of it came from outside and so may hold no control tokens."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Prompt:
    """Text for a model.

    Attributes:
        text: as the model shall read it.
        literal: spans `[begin, end)` of characters, in order and apart. A control token's text that touches one is
            plain text; so is one that has an empty span in its middle.
    """

    text: str
    literal: tuple[tuple[int, int], ...] = ()

    def is_literal(self, begin: int, end: int) -> bool:
        """Whether the characters `[begin, end)` touch a literal span."""
        first = bisect_left(self.literal, begin + 1, key=lambda span: span[1])
        return first < len(self.literal) and self.literal[first][0] < end

    def matches(self, pattern: re.Pattern[str]) -> Iterator[tuple[re.Match[str], bool]]:
        """The matches of a pattern for control tokens in order, and whether each is plain text.

        What is plain text takes nothing from a token that begins within it.
        """
        at = 0
        while (match := pattern.search(self.text, at)) is not None:
            plain = self.is_literal(*match.span())
            yield match, plain
            at = match.start() + 1 if plain else match.end()
