"""Keeps what people write from turning into control tokens when a template puts it into a prompt.

A template works on text, so after it has run nothing tells the `<|im_end|>` it wrote from one that a user typed. Before
it runs, each control token's text in a message is therefore broken by a marker, a private character that occurs nowhere
else; afterwards the markers are taken out and where they stood is remembered: a control token found across such a place
is plain text. Since only texts that hold a control token (or, at their ends, a piece of one that could be completed by
what the template puts beside it) are marked, templates that look into messages see them as they are.

Some templates know earlier tool calls only as text of a message, and then it is Hearth that writes the control token in
front of them. Such a message's content is a `Composed`: a text that remembers which of its characters Hearth wrote.

What this cannot see: a template that cuts pieces out of the *middle* of a message may join two harmless pieces to a
control token. No published template we know of does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Self

from hearth.chat.prompt import Prompt

# Fields that a template compares with fixed words; their values are checked, not marked.
STRUCTURAL = frozenset({"role", "type"})


@dataclass(frozen=True)
class ControlToken:
    """A control token that Hearth itself writes into a message."""

    text: str


class Composed(str):
    """A text in which Hearth wrote some control tokens, among parts that came from outside.

    Nothing that JSON holds becomes one, and whatever is made out of one (by `+`, `strip`, `join`, ...) is an ordinary
    string: what was Hearth's own is forgotten rather than extended to others' words.

    Attributes:
        parts: in order; a `str` is from outside, whatever it says.
    """

    parts: tuple[str | ControlToken, ...]

    def __new__(cls, *parts: str | ControlToken) -> Self:
        self = super().__new__(cls, "".join(p.text if isinstance(p, ControlToken) else p for p in parts))
        self.parts = parts
        return self


class LiteralGuard:
    """Marks texts for one tokenizer's control tokens.

    Args:
        control: their texts.
    """

    def __init__(self, control: Iterable[str]) -> None:
        self._control = sorted((c for c in control if len(c) > 1), key=len, reverse=True)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(map(re.escape, self._control)) if self._control else r"(?!)")

    @cached_property
    def _beginnings(self) -> frozenset[str]:
        return frozenset(c[:n] for c in self._control for n in range(1, len(c)))

    @cached_property
    def _endings(self) -> frozenset[str]:
        return frozenset(c[-n:] for c in self._control for n in range(1, len(c)))

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._control), default=1)

    def mark(self, value: Any, marker: str) -> Any:
        """A copy of plain data with a marker inside every control token of every text in it, but for those that Hearth
        wrote."""
        if isinstance(value, Composed):
            # Markers stand inside a part or at its ends, so they never touch a token between two parts.
            parts = (p.text if isinstance(p, ControlToken) else self._mark_text(p, marker) for p in value.parts)
            return "".join(parts)
        if isinstance(value, str):
            return self._mark_text(value, marker)
        if isinstance(value, dict):
            return {
                self._mark_text(k, marker, ends=False): v if k in STRUCTURAL else self.mark(v, marker)
                for k, v in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.mark(v, marker) for v in value]
        return value

    def _mark_text(self, text: str, marker: str, *, ends: bool = True) -> str:
        places = {m.start() + 1 for m in self._pattern.finditer(text)}
        if ends:
            reach = min(len(text), self._longest - 1)
            places |= {len(text) - n + 1 for n in range(1, reach + 1) if text[-n:] in self._beginnings}
            places |= {n - 1 for n in range(1, reach + 1) if text[:n] in self._endings}
        if not places:
            return text
        cuts = [0, *sorted(places), len(text)]
        return marker.join(text[a:b] for a, b in pairwise(cuts))


def free_marker(texts: Iterable[str]) -> str:
    """A private-use character that occurs in none of the texts."""
    used = set().union(*map(set, texts))
    return next(c for c in map(chr, range(0xE000, 0xF900)) if c not in used)


def unmark(text: str, marker: str) -> Prompt:
    """The prompt without its markers, which become zero-width literal spans."""
    parts = text.split(marker)
    literal, position = [], 0
    for part in parts[:-1]:
        position += len(part)
        literal.append((position, position))
    return Prompt("".join(parts), tuple(literal))
