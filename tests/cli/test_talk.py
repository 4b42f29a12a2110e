"""A conversation keeps what was said, and nothing of what went wrong."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from hearth import LLM
from hearth.chat.answer import Chunk
from hearth.cli import talk as talk_module
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


def test_a_new_system_prompt_keeps_the_conversation(starter: LLM) -> None:
    talk = Talk(starter, AnswerPrinter(), system="Be brief.")
    talk.handle("hello")
    talk.handle("/system Be long.")
    assert (talk.conversation.system, len(talk.conversation.messages)) == ("Be long.", 2)
    talk.handle("/system -")
    assert talk.conversation.system == ""


def test_an_answer_is_asked_for_again_and_a_turn_taken_back(starter: LLM, capsys: pytest.CaptureFixture[str]) -> None:
    talk = Talk(starter, AnswerPrinter())
    for command in ("/retry", "/undo"):
        talk.handle(command)
    assert talk.conversation.messages == []
    talk.handle("What is the capital of France?")
    talk.handle("What is the capital of Italy?")
    before = [m.content for m in talk.conversation.messages]
    talk.handle("/retry")
    assert [m.content for m in talk.conversation.messages][:3] == before[:3]
    assert len(talk.conversation.messages) == 4
    talk.handle("/undo")
    assert [m.content for m in talk.conversation.messages] == before[:2]


def test_help_breaks_between_words_and_goes_on_under_the_explanation(
    starter: LLM, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(talk_module, "columns", lambda: 50)
    talk = Talk(starter, AnswerPrinter())
    talk.handle("/help")
    told = capsys.readouterr().err
    lines = told.partition("Several lines")[0].splitlines()
    assert all(len(line) <= 50 for line in lines)
    assert all(line.startswith(("/", " " * 16)) for line in lines)
    assert {f"/{name}" for name in talk.commands} - {"/save!"} == {line.split()[0] for line in lines if line[0] == "/"}


def test_settings_change_in_the_middle(starter: LLM, capsys: pytest.CaptureFixture[str]) -> None:
    talk = Talk(starter, AnswerPrinter(), sampling={"temperature": 0.5})
    talk.handle("/set max_tokens 1")
    talk.handle("What is the capital of France?")
    assert "Note: The answer was cut" in capsys.readouterr().err
    talk.handle("/set")
    told = capsys.readouterr().err
    for said in ("temperature 0.5", "max_tokens 1", "top_p default", "seed default"):
        assert said in told
    talk.handle("/set max-tokens default")
    talk.handle("/set temperature hot")
    talk.handle("/set colour blue")
    talk.handle("/sytem x")
    err = capsys.readouterr().err
    assert "undoes" not in err, "there is nothing to undo"
    for said in ("temperature takes a number", "There is no setting 'colour'", "Did you mean /system?"):
        assert said in err


def test_a_file_is_replaced_only_when_told_so(starter: LLM, tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    path.write_text("mine")
    talk = Talk(starter, AnswerPrinter())
    talk.handle(f"/save {path}")
    assert path.read_text() == "mine"
    talk.handle(f"/save! {path}")
    assert path.read_text() != "mine"
