"""Errors may quote a stranger's words: they reach a terminal and a log as text, and not by the megabyte."""

from __future__ import annotations

import logging
import sys

import pytest

from hearth.errors import CorruptFile, did_you_mean, shown
from hearth.server.log import configure_log


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b]0;PWNED\x07\x1b[31mred", "\\x1b]0;PWNED\\x07\\x1b[31mred"),
        ("a\rb\x9b2J", "a\\rb\\x9b2J"),
        ("gnp.\u202eexe", "gnp.\\u202eexe"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("Größe 模型 😀", "Größe 模型 😀"),
    ],
)
def test_no_word_of_a_stranger_is_a_command_to_the_terminal(text: str, expected: str) -> None:
    assert shown(text) == expected
    error = CorruptFile(text, why=text, hint=text)
    assert (error.what, error.why, error.hint, str(error)) == (*[expected] * 3, " ".join([expected] * 3))


def test_a_name_of_a_megabyte_is_shortened() -> None:
    error = CorruptFile("Tensor " + "x" * 1_000_000 + " is missing.")
    assert len(str(error)) < 3000
    assert error.what.startswith("Tensor xxx")
    assert error.what.endswith("is missing.")


def test_no_word_of_a_stranger_makes_a_line_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("hearth", "uvicorn.error", "asyncio")
    before = {name: (logging.getLogger(name).handlers, logging.getLogger(name).propagate) for name in names}
    try:
        configure_log("info")
        logging.getLogger("hearth.server").error("model %s is gone", "x\n2026-01-01 00:00:00 INFO    forged\x1b[2J")
        sys.stderr.flush()
    finally:
        for name, (handlers, propagate) in before.items():
            logging.getLogger(name).handlers, logging.getLogger(name).propagate = handlers, propagate
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("model x is gone") or first.endswith("model x")
    assert second.startswith("    2026")
    assert "\x1b" not in second


def test_a_hint_names_what_looks_alike_and_what_else_to_do() -> None:
    assert did_you_mean(["chat", "ask"], "See `hearth help`.") == "Did you mean chat or ask? See `hearth help`."
    assert did_you_mean(["chat"]) == "Did you mean chat?"
    assert did_you_mean([], "See `hearth help`.") == "See `hearth help`."
    assert did_you_mean([]) == ""
