"""A rendered prompt: its text, and which parts of it came from outside and so may hold no control tokens."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Prompt:
    """Text for a model.

    Attributes:
        text: as the model shall read it.
        literal: spans `[begin, end)` of characters. A control token's text that touches one is plain text.
    """

    text: str
    literal: tuple[tuple[int, int], ...] = ()

    def is_literal(self, begin: int, end: int) -> bool:
        """Whether the characters `[begin, end)` touch a literal span."""
        return any(b < end and begin < e for b, e in self.literal)
