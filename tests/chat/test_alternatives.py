"""A pattern of many strings finds the longest at each place."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from hearth.chat.alternatives import any_of

STRINGS = st.text("ab<|[^]-", max_size=5)


@given(strings=st.lists(STRINGS, max_size=12), text=st.text("ab<|[^]-", max_size=30))
def test_as_plain_alternatives_with_the_longest_first(strings: list[str], text: str) -> None:
    plain = [re.escape(s) for s in sorted(set(strings) - {""}, key=len, reverse=True)]
    wanted = re.compile("|".join(plain) or "(?!)")
    assert [m.span() for m in any_of(strings).finditer(text)] == [m.span() for m in wanted.finditer(text)]


def test_strings_that_go_on_and_on_from_each_other() -> None:
    pattern = any_of("a" * n for n in range(1, 200))
    assert [m.end() - m.start() for m in pattern.finditer("a" * 250)] == [199, 51]
