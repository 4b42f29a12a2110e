"""One pattern for many fixed strings that takes time for the text alone, however many strings there are.

Written as plain alternatives, a pattern tries one after the other at each place; vocabularies with thousands of tokens
like `<unused17>` then take seconds for a long text. Written as a tree of common beginnings it tries one path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from os.path import commonprefix

_MAX_DEPTH = 24  # beyond it plain alternatives: what compiles a pattern is recursive


def any_of(texts: Iterable[str]) -> re.Pattern[str]:
    """Matches any of the strings, of several at one place the longest; never matches where there are none."""
    found = sorted({text for text in texts if text})
    return re.compile(_tree(found, 0) if found else r"(?!)")


def _tree(texts: Sequence[str], depth: int) -> str:
    """A pattern of sorted, different strings, of which the first may be empty."""
    rest = [text for text in texts if text]
    if depth > _MAX_DEPTH:
        branches = [re.escape(text) for text in sorted(rest, key=len, reverse=True)]
    else:
        branches = [_branch(list(group), depth) for _, group in groupby(rest, key=lambda text: text[0])]
    pattern = branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"
    if len(rest) == len(texts):
        return pattern
    return f"(?:{pattern})?" if rest else ""


def _branch(texts: Sequence[str], depth: int) -> str:
    # Of all between, too: they are sorted.
    shared = commonprefix([texts[0], texts[-1]])  # noqa: RUF071 (letter by letter is what is wanted)
    return re.escape(shared) + _tree([text[len(shared) :] for text in texts], depth + 1)
