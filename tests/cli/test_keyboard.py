"""Inputs of several lines arrive whole, from a keyboard as from a pipe."""

from __future__ import annotations

import io

import pytest

from hearth.cli.keyboard import is_complete, lines, without_marks


@pytest.mark.parametrize(
    ("text", "complete", "meant"),
    [
        ("hello", True, "hello"),
        ("one \\", False, ""),
        ("one\\\ntwo", True, "one\ntwo"),
        ('"""', False, ""),
        ('"""a\nb', False, ""),
        ('"""\na\n\nb\n"""', True, "a\n\nb"),
        ('"""a""" b', True, "a b"),
        ("a\nb", True, "a\nb"),
        ("", True, ""),
    ],
)
def test_where_an_input_ends(text: str, complete: bool, meant: str) -> None:
    assert is_complete(text) is complete
    if complete:
        assert without_marks(text) == meant


def test_from_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('one\ntwo\\\nmore\n"""\na\nb\n"""\nlast'))
    assert list(lines()) == ["one", "two\nmore", "a\nb", "last"]


def test_an_open_quote_at_the_end_of_a_pipe_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('"""\nunfinished'))
    assert list(lines()) == ['"""\nunfinished']
