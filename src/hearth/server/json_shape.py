"""How JSON text is built, measured before it is parsed: a parser's time and memory follow from it.

Counted in whole blocks by numpy, which lets other threads run meanwhile; a parser of Python or Rust does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_BLOCK_BYTES: Final = 1 << 18
_QUOTE, _BACKSLASH, _COMMA, _COLON = b'"\\,:'


@dataclass(frozen=True)
class Shape:
    """What stands outside of the strings of a text.

    Attributes:
        depth: objects and lists that are open at the same time, at most.
        branches: names of members, objects and lists.
        items: commas.
    """

    depth: int
    branches: int
    items: int


def measure(text: bytes) -> Shape:
    """Measures JSON. Of what is none, it measures what a parser reads before it says so: more is possible, less is not.

    A string that is not closed reaches to the end.
    """
    depth = deepest = branches = items = 0
    in_string = escaping = False  # at the beginning of the block; whether its first character is escaped
    whole = np.frombuffer(text, np.uint8)
    for begin in range(0, len(whole), _BLOCK_BYTES):
        block = whole[begin : begin + _BLOCK_BYTES]
        quotes, escaping = _unescaped_quotes(block, escaping)
        toggles = np.zeros(len(block), bool)
        toggles[quotes] = True
        strings = np.logical_xor.accumulate(toggles)
        outside = strings if in_string else ~strings
        in_string ^= len(quotes) % 2 == 1

        # `[` and `{`, `]` and `}` differ in one bit.
        opening = ((block | 0x20) == ord("{")) & outside
        closing = ((block | 0x20) == ord("}")) & outside
        brackets = np.flatnonzero(opening | closing)
        if len(brackets):
            depths = depth + np.cumsum(np.where(opening[brackets], 1, -1))
            deepest, depth = max(deepest, int(depths.max())), int(depths[-1])
        branches += int(np.count_nonzero(opening)) + int(np.count_nonzero((block == _COLON) & outside))
        items += int(np.count_nonzero((block == _COMMA) & outside))
    return Shape(deepest, branches, items)


def _unescaped_quotes(block: NDArray[np.uint8], escaping: bool) -> tuple[NDArray[np.intp], bool]:
    """Where quotes stand that open or close a string, and whether the next block's first character is escaped."""
    quotes = np.flatnonzero(block == _QUOTE)
    backslashes = block == _BACKSLASH
    if not escaping and not backslashes.any():
        return quotes, False
    # A character is escaped by an odd run of backslashes before it; an escape of the last block counts as one here.
    places = np.arange(len(block))
    last_other = np.maximum.accumulate(np.where(backslashes, -1, places))

    def escaped(at: NDArray[np.intp]) -> NDArray[np.bool_]:
        before = np.where(at > 0, last_other[at - 1], -1)
        run = at - 1 - before + (escaping & (before < 0))
        odd: NDArray[np.bool_] = run % 2 == 1
        return odd

    return quotes[~escaped(quotes)], bool(escaped(np.array([len(block)]))[0])
