"""What a model says goes to standard output as it is; what it thinks does not get in between."""

from __future__ import annotations

import io
from typing import Literal

import pytest

from hearth.chat.answer import Chunk, Completion, Timings, Usage
from hearth.cli.printer import AnswerPrinter, stats_line

CHUNKS = [Chunk("I won", "thinking"), Chunk("der.", "thinking"), Chunk("Yes"), Chunk(", it is.")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(
    monkeypatch: pytest.MonkeyPatch,
    chunks: list[Chunk],
    mode: Literal["show", "fold", "hide"] | None = None,
    terminal: bool = False,
) -> tuple[str, str]:
    out, err = (Terminal() if terminal else io.StringIO() for _ in range(2))
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    AnswerPrinter(mode).print(chunks)
    return out.getvalue(), err.getvalue()


def test_a_pipe_gets_the_answer_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed(monkeypatch, CHUNKS) == ("Yes, it is.\n", "")


def test_thinking_is_dimmed_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = printed(monkeypatch, CHUNKS, terminal=True)
    assert out == "Yes, it is.\n"
    assert err == "\x1b[2mI wonder.\x1b[0m\n\n"


def test_thinking_can_be_shown_in_a_pipe_without_colour_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed(monkeypatch, CHUNKS, "show") == ("Yes, it is.\n", "I wonder.\n\n")


def test_thinking_can_be_folded_and_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed(monkeypatch, CHUNKS, "fold")[1] == "thinking ... 3 words\n"
    assert printed(monkeypatch, CHUNKS, "hide", terminal=True)[1] == ""


def test_a_model_cannot_command_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = [Chunk("a\x1b]0;title\x07\x1b[2Jb\tc\nd\x9b1m\r")]
    assert printed(monkeypatch, hostile, terminal=True)[0] == "a]0;title[2Jb\tc\nd1m\n"
    assert printed(monkeypatch, hostile)[0] == hostile[0].text + "\n", "a file gets what the model said"


def test_an_interrupted_answer_ends_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def chunks() -> object:
        yield Chunk("half")
        raise KeyboardInterrupt

    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    with pytest.raises(KeyboardInterrupt):
        AnswerPrinter().print(chunks())  # type: ignore[arg-type]
    assert out.getvalue() == "half\n"


def test_statistics_tell_no_speed_that_a_few_tokens_would_have_to_tell() -> None:
    def line(prompt: int, tokens: int) -> str:
        done = Completion("", "", (), "stop", Usage(prompt, 0, tokens), Timings(first_token_s=0.5, total_s=2.5))
        return stats_line(done)

    assert line(12, 10) == "12 prompt tokens, first token after 0.50 s; 10 tokens"
    assert line(120, 101) == "120 prompt tokens, first token after 0.50 s, 240 tok/s; 101 tokens, 50.0 tok/s"
