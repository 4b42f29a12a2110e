"""What UTF-8 cannot hold never reaches a tokenizer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.chat.utf8 import clean_text


@pytest.mark.parametrize(
    ("text", "clean", "replaced"),
    [
        ("", "", 0),
        ("café \ufffd", "café \ufffd", 0),
        ("caf\udce9 \ufffd", "caf\ufffd \ufffd", 1),
        ("\ud83d\ude42", "🙂", 0),
        ("a\ud83d", "a\ufffd", 1),
        ("\ude42\ud83d", "\ufffd\ufffd", 2),
    ],
)
def test_halves_become_their_character_or_a_replacement(text: str, clean: str, replaced: int) -> None:
    assert clean_text(text) == (clean, replaced)


@given(st.text(st.characters(), max_size=20))
def test_clean_text_is_utf8(text: str) -> None:
    clean, replaced = clean_text(text)
    clean.encode()
    assert (clean == text) == (not any("\ud800" <= c <= "\udfff" for c in text))
    assert replaced <= len(text)
