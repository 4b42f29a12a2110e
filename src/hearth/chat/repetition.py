"""Endless repetition is noticed: `RepetitionWatch`.

A small model, or a greedy one, may fall into a loop and say the same until the context is full. Only an exact loop
counts: the last tokens are one and the same row of tokens, over and over. What people ask for may look like that for a
while (the rows of an empty table, the squares of a board, "hello" a hundred times, an array of zeros), so it takes long
to be sure:

- a row with letters in it: 24 times and 400 tokens. The rows of a chess board come 8 times, those of Go 19.
- a row without any, as rulers, zeros and empty cells have none: 64 times and 2,048 tokens.

Knows tokens and whether they have letters; what becomes of the answer is `answer.py`'s.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence

MAX_PERIOD = 256
"""Tokens of the longest row that is looked for."""
WORDY = (24, 400)  # repeats, tokens
WORDLESS = (64, 2048)

_EVERY = 32  # tokens between two looks, so that they cost next to nothing
_TAIL = 24  # tokens by which a row is found again
_TRIES = 4
_WIDTH = array("i").itemsize


class RepetitionWatch:
    """Watches the tokens of one answer.

    Args:
        has_letters: whether the text of these tokens has any.

    Attributes:
        found: tokens of the row and how often it has come; None while there is no loop.
    """

    def __init__(self, has_letters: Callable[[Sequence[int]], bool]) -> None:
        self.found: tuple[int, int] | None = None
        self._has_letters = has_letters
        self._ids = array("i")
        self._next_look = WORDY[1]

    def push(self, token: int) -> bool:
        """One more token; whether the answer goes round in a circle."""
        self._ids.append(token)
        if len(self._ids) >= self._next_look and self.found is None:
            self._next_look = len(self._ids) + _EVERY
            self.found = self._look()
        return self.found is not None

    def _look(self) -> tuple[int, int] | None:
        data = self._ids[-WORDLESS[0] * MAX_PERIOD :].tobytes()
        tail = data[-_TAIL * _WIDTH :]
        end = len(data) - _WIDTH
        for _ in range(_TRIES):
            at = data.rfind(tail, 0, end)
            if at < 0:
                return None
            end = at + len(tail) - 1
            period, rest = divmod(len(data) - len(tail) - at, _WIDTH)
            if rest or period > MAX_PERIOD:
                continue
            repeats = _repeats(data, period * _WIDTH)
            wanted, tokens = WORDY if self._has_letters(self._ids[-period:]) else WORDLESS
            if repeats >= wanted and repeats * period >= tokens:
                return period, repeats
        return None


def _repeats(data: bytes, size: int) -> int:
    """How often the last `size` bytes stand at the end, one after the other."""
    row = data[-size:]
    count = 1
    while data.endswith(row, 0, len(data) - count * size):
        count += 1
    return count
