"""A conversation keeps what was said, and nothing of what went wrong."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from hearth import LLM
from hearth.chat.answer import Chunk
from hearth.cli.printer import AnswerPrinter
from hearth.cli.talk import Talk


class StopsAfter(AnswerPrinter):
    """A user who presses Ctrl-C after some pieces."""

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self._pieces = pieces

    def print(self, chunks: Iterable[Chunk]) -> None:
        for index, _ in enumerate(chunks):
            if index + 1 >= self._pieces:
                raise KeyboardInterrupt


def roles(talk: Talk) -> list[str]:
    return [m.role for m in talk.conversation.messages]


def test_an_interrupted_answer_is_kept_as_far_as_it_went(starter: LLM, capsys: pytest.CaptureFixture[str]) -> None:
    talk = Talk(starter, StopsAfter(2))
    assert talk.handle("What is the capital of France?")
    assert roles(talk) == ["user", "assistant"]
    said = talk.conversation.messages[-1].content
    assert said
    assert starter.chat([{"role": "user", "content": "What is the capital of France?"}]).text.startswith(said)
    assert "(stopped)" in capsys.readouterr().err
    assert starter.engine.num_running == 0


def test_a_turn_that_fails_is_taken_back(starter: LLM, capsys: pytest.CaptureFixture[str]) -> None:
    talk = Talk(starter, AnswerPrinter())
    talk.handle("What is the capital of France?")
    before = list(talk.conversation.messages)
    assert talk.handle("word " * 600), "the conversation goes on"
    assert talk.conversation.messages == before
    assert "/reset" in capsys.readouterr().err


def test_a_broken_setting_is_told_and_survived(starter: LLM, capsys: pytest.CaptureFixture[str]) -> None:
    talk = Talk(starter, AnswerPrinter(), sampling={"top_p": 9})
    assert talk.handle("hello")
    assert roles(talk) == []
    assert "top_p" in capsys.readouterr().err


def test_a_slash_can_be_said(starter: LLM) -> None:
    talk = Talk(starter, AnswerPrinter())
    talk.handle("//etc is a folder")
    assert talk.conversation.messages[0].content == "/etc is a folder"


@pytest.mark.parametrize("word", ["/exit", "/quit", " /exit "])
def test_leaving(starter: LLM, word: str) -> None:
    assert not Talk(starter, AnswerPrinter()).handle(word)


def test_a_new_system_prompt_begins_anew(starter: LLM) -> None:
    talk = Talk(starter, AnswerPrinter(), system="Be brief.")
    talk.handle("hello")
    talk.handle("/system Be long.")
    assert (talk.conversation.system, talk.conversation.messages) == ("Be long.", [])
    talk.handle("/system -")
    assert talk.conversation.system == ""
