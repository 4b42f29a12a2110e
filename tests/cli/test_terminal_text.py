"""What is told stays readable: whole words at any width, colours where they are wanted, no commands to the terminal."""

from __future__ import annotations

import random
import re

import pytest

from hearth.cli import table, terminal
from hearth.cli.terminal import cells, has_color, tell_error, wrapped
from hearth.cli.wrap import StreamWrap

WORDS = "The starter knows capitals, elements, small sums and HuggingFaceTB/SmolLM2-135M-Instruct by name"


@pytest.mark.parametrize("width", [20, 40, 60, 80])
def test_no_word_or_name_is_cut(width: int) -> None:
    lines = wrapped(WORDS, width).split("\n")
    assert " ".join(lines).split() == WORDS.split()
    assert all(cells(line) <= width or " " not in line for line in lines)


def test_lines_go_on_under_the_text_and_not_under_its_label() -> None:
    assert wrapped("one two three", 12, indent=4) == "one two\n    three"
    assert wrapped("one two", None) == "one two"


@pytest.mark.parametrize("width", [20, 33, 60])
def test_a_streamed_answer_breaks_between_words_wherever_its_pieces_end(width: int) -> None:
    rng = random.Random(width)
    text = f"{WORDS}.\n\n- {WORDS}\n- 今天天气很好，我们去公园散步吧。{WORDS}"
    seen = set()
    for _ in range(20):
        wrap, out, at = StreamWrap(width), "", 0
        while at < len(text):
            step = rng.randint(1, 9)
            out += wrap.push(text[at : at + step])
            at += step
        seen.add(out + wrap.finish())
    (out,) = seen
    for line in out.split("\n"):
        for found in re.finditer(r"[!-~]+", line):  # where the terminal itself would break it
            begin, size = cells(line[: found.start()]) % width, len(found[0])
            assert size > width or begin + size <= width, f"{found[0]} is cut"
    assert "".join(out.split()) == "".join(text.split()), "nothing is lost"
    for word in WORDS.split():
        assert word in out, f"{word} was cut"


def test_code_and_tables_keep_their_lines() -> None:
    text = "```python\nprint('a line of code that is wider than the terminal')\n```\n| a table | with a wide row |\n"
    wrap = StreamWrap(20)
    assert wrap.push(text) + wrap.finish() == text


@pytest.mark.parametrize(
    ("environment", "wanted"), [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"NO_COLOR": "1"}, False)]
)
def test_colours_only_where_they_are_wanted(
    environment: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(terminal, "is_terminal", lambda stream=None: True)
    assert has_color() is wanted
    tell_error("It broke.", "It was thin.", "Take another.")
    assert capsys.readouterr().err.count("It broke.") == 1


def test_names_and_texts_from_strangers_give_the_terminal_no_commands(capsys: pytest.CaptureFixture[str]) -> None:
    tell_error("The file \x1b]0;owned\x07\x1b[2Jx.gguf is damaged.", "", "")
    assert capsys.readouterr().err == "Error: The file ]0;owned[2Jx.gguf is damaged.\n"


def test_a_table_that_is_too_wide_becomes_blocks_with_whole_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    heads, rows = ["model", "size", "compiled"], [["HuggingFaceTB/SmolLM2-135M-Instruct", "260 MiB", "q4, avx512vnni"]]
    monkeypatch.setattr(table, "has_color", lambda stream=None: False)
    monkeypatch.setattr(table, "columns", lambda stream=None: 80)
    table.print_table(heads, rows)
    assert capsys.readouterr().out.splitlines()[1].split("  ")[0] == rows[0][0]
    monkeypatch.setattr(table, "columns", lambda stream=None: 40)
    table.print_table(heads, rows)
    assert capsys.readouterr().out.splitlines() == [rows[0][0], "  size      260 MiB", "  compiled  q4, avx512vnni"]


def test_an_error_and_its_cause_are_two_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    tell_error("a.json cannot be read:", "no such file.", "")
    tell_error("a.json cannot be read:", "config.json says so.", "")
    assert capsys.readouterr().err.splitlines() == [
        "Error: a.json cannot be read.",
        "Why: No such file.",
        "Error: a.json cannot be read.",
        "Why: config.json says so.",
    ]
