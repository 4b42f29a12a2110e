"""Keeps what people write from turning into control tokens when a template puts it into a prompt.

A template works on text, so after it has run nothing tells the `<|im_end|>` it wrote from one that a user typed. Before
it runs, each control token's text in a message is therefore put between two markers, private characters that occur
nowhere else and stand for this very token; afterwards the markers are taken out and where they stood is remembered: a
token beside one of its own markers, or across any, is plain text. Templates still find the tokens that they look for
(`</think>`).

Where a template may cut a text (at its ends, with or without the white space there, and at the strings that it looks
for) a piece of a control token could be completed by what then stands beside it; a third marker goes into such pieces.
All other texts reach the template as they are.

Some templates know earlier tool calls only as text of a message, and then it is Hearth that writes the control token in
front of them. Such a message's content is a `Composed`: a text that remembers which of its characters Hearth wrote.

What this cannot see: a template that cuts a message in the middle at a place that no string of its own marks, or writes
the letters of one in another case, may make a control token. No published template we know of does.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from hearth.chat.alternatives import any_of
from hearth.chat.prompt import Prompt
from hearth.errors import UsageError

# Fields that a template compares with fixed words; such a word is not marked.
STRUCTURAL = frozenset({"role", "type"})
_WORD = re.compile(r"\w{1,64}")
_ESCAPED = re.compile(r"(?<=u)[ef][0-9a-f]{3}")
_REACH = 1000  # characters of a piece of a control token that are looked at


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


def behind(text: str, own: str, between: str) -> str:
    """A text that Hearth composed behind another's, in which it stays Hearth's own."""
    if not text:
        return own
    return Composed(text + between, *own.parts) if isinstance(own, Composed) else text + between + own


class Markers:
    """Characters that stand for nothing else in one conversation: one before and one after each control token that is
    in it, and one inside a piece of any.

    Args:
        texts: of the conversation, and of the template.

    Raises:
        UsageError: hardly a private-use character is left that the texts do not hold.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        used: set[str] = set()
        for text in texts:
            used.update(text)
            # Templates may write texts as JSON or as Python does, which escape such a character.
            used.update(chr(int(code, 16)) for code in _ESCAPED.findall(text))
        self._free = (c for c in map(chr, range(0xE000, 0xF900)) if c not in used)
        self.inside = self._next()
        self._around: dict[str, tuple[str, str]] = {}

    def around(self, token: str) -> tuple[str, str]:
        """What stands before and after a control token."""
        if token not in self._around:
            self._around[token] = self._next(), self._next()
        return self._around[token]

    def split(self, text: str) -> tuple[str, list[tuple[int, str]]]:
        """A text without its markers, escaped ones too, and where in it which of them stood."""
        marks = "".join([self.inside, *(mark for pair in self._around.values() for mark in pair)])
        codes = "|".join(f"{ord(mark):x}" for mark in marks)
        plain: list[str] = []
        found: list[tuple[int, str]] = []
        at = length = 0
        for match in re.finditer(f"[{marks}]|(\\\\+)u({codes})", text):
            # An escaped marker has one backslash, one that was escaped again two, then four; what else stands before it
            # has twice as many, or a multiple of that.
            slashes = len(match[1] or "")
            end = match.start() + slashes - (slashes & -slashes)
            plain.append(text[at:end])
            length += end - at
            at = match.end()
            found.append((length, chr(int(match[2], 16)) if match[2] else match[0]))
        return "".join([*plain, text[at:]]), found

    def literal(self, plain: str, found: Iterable[tuple[int, str]]) -> tuple[tuple[int, int], ...]:
        """The spans that markers at some places of a text make literal: their own token where it still stands beside
        them, else nothing but the place."""
        before = {pair[0]: token for token, pair in self._around.items()}
        after = {pair[1]: token for token, pair in self._around.items()}
        spans: list[tuple[int, int]] = []
        for place, mark in found:
            begin = end = place
            if plain.startswith(before.get(mark, "\0"), place):
                end += len(before[mark])
            elif mark in after and plain.endswith(after[mark], 0, place):
                begin -= len(after[mark])
            spans.append((begin, end))
        merged: list[tuple[int, int]] = []
        for begin, end in sorted(set(spans)):
            if merged and (begin < merged[-1][1] or begin == end == merged[-1][1]):
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((begin, end))
        return tuple(merged)

    def _next(self) -> str:
        try:
            return next(self._free)
        except StopIteration:
            raise UsageError("The messages hold nearly every private-use character there is.") from None


class LiteralGuard:
    """Marks texts for one tokenizer's control tokens.

    Args:
        control: their texts.
        cuts: strings at which the template may cut a text.
    """

    def __init__(self, control: Iterable[str], cuts: Iterable[str] = ()) -> None:
        self._control = frozenset(c for c in control if len(c) > 1)
        self._cuts = tuple(cuts)

    @cached_property
    def _tokens(self) -> re.Pattern[str]:
        return any_of(self._control)

    @cached_property
    def _places(self) -> re.Pattern[str]:
        return any_of(self._cuts)

    @cached_property
    def _beginnings(self) -> _Pieces:
        return _Pieces(self._control)

    @cached_property
    def _endings(self) -> _Pieces:
        return _Pieces(c[::-1] for c in self._control)

    def mark(self, value: Any, markers: Markers) -> Any:
        """A copy of plain data with markers at every control token of every text in it, but for those that Hearth
        wrote."""
        if isinstance(value, Composed):
            # Markers stand inside a part or at its ends, so they never touch a token between two parts.
            parts = (p.text if isinstance(p, ControlToken) else self._mark_text(p, markers) for p in value.parts)
            return "".join(parts)
        if isinstance(value, str):
            return self._mark_text(value, markers)
        if isinstance(value, dict):
            return {
                self._mark_text(k, markers, ends=False): v if _is_word(k, v) else self.mark(v, markers)
                for k, v in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.mark(v, markers) for v in value]
        return value

    def unmark(self, text: str, markers: Markers) -> Prompt:
        """The prompt without its markers. A control token beside its own becomes a literal span, any other marker an
        empty one."""
        plain, found = markers.split(text)
        return Prompt(plain, markers.literal(plain, found))

    def _mark_text(self, text: str, markers: Markers, *, ends: bool = True) -> str:
        found = [match.span() for match in self._tokens.finditer(text)]
        around = [markers.around(text[begin:end]) for begin, end in found]
        # Where several stand at one place they keep this order: a token's own two touch it.
        marks = [(end, pair[1]) for (_, end), pair in zip(found, around, strict=True)]
        if ends:
            marks += [(place, markers.inside) for place in self._inside_pieces(text, found)]
        marks += [(begin, pair[0]) for (begin, _), pair in zip(found, around, strict=True)]
        if not marks:
            return text
        marks.sort(key=lambda mark: mark[0])
        result, at = [], 0
        for place, marker in marks:
            result += [text[at:place], marker]
            at = place
        return "".join([*result, text[at:]])

    def _inside_pieces(self, text: str, tokens: Sequence[tuple[int, int]]) -> set[int]:
        """Places inside of pieces of control tokens wherever the text may be cut; none inside of a whole token."""
        edges = [0, *(edge for match in self._places.finditer(text) for edge in match.span()), len(text)]
        places: set[int] = set()
        for begin, end in zip(edges[::2], edges[1::2], strict=True):
            part = text[begin:end]
            for tail in {len(part), len(part.rstrip())}:
                window = part[max(0, tail - _REACH) : tail]
                places.update(begin + tail - n + 1 for n in self._beginnings.at_end_of(window))
            for head in {0, len(part) - len(part.lstrip())}:
                window = part[head : head + _REACH][::-1]
                places.update(begin + head + n - 1 for n in self._endings.at_end_of(window))
        if tokens:
            ends = [end for _, end in tokens]
            places = {p for p in places if (i := bisect_left(ends, p + 1)) == len(ends) or p <= tokens[i][0]}
        return places


class _Pieces:
    """Finds beginnings of some texts, shorter than these, at the end of others."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._sorted = sorted(set(texts))
        self._longest = max(map(len, self._sorted), default=0)
        self._first = any_of(text[0] for text in self._sorted)

    def at_end_of(self, text: str) -> list[int]:
        """The lengths of those that the text ends with."""
        reach = max(0, len(text) - self._longest + 1)
        found = (len(text) - match.start() for match in self._first.finditer(text, reach))
        return [length for length in found if self._begins(text[-length:])]

    def _begins(self, piece: str) -> bool:
        at = bisect_left(self._sorted, piece)
        if at < len(self._sorted) and self._sorted[at] == piece:
            at += 1
        return at < len(self._sorted) and self._sorted[at].startswith(piece)


def _is_word(key: Any, value: Any) -> bool:
    return key in STRUCTURAL and isinstance(value, str) and _WORD.fullmatch(value) is not None
