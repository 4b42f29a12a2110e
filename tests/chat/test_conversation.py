"""A saved conversation comes back as it was; a damaged file is refused and harms nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hearth.chat.conversation import Conversation, checked_messages
from hearth.errors import CorruptFile, StorageError, UsageError


def talk() -> Conversation:
    conversation = Conversation(system="Be kind 🙂")
    conversation.add("user", "Hello\nthere")
    conversation.add("assistant", "Hi", thinking="a greeting")
    return conversation


def test_round_trip(tmp_path: Path) -> None:
    talk().save(tmp_path / "talk.json", model="starter")
    assert Conversation.load(tmp_path / "talk.json") == talk()
    assert [p.name for p in tmp_path.iterdir()] == ["talk.json"], "no temporary file stays"


def test_saving_replaces_whole_files_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "no" / "such" / "folder.json"
    with pytest.raises(StorageError, match="cannot be written"):
        talk().save(path)
    with pytest.raises(StorageError, match="cannot be read"):
        Conversation.load(path)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        "[" * 100000,
        '{"format": "other"}',
        '{"format": "hearth-conversation", "version": 2, "messages": []}',
        '{"format": "hearth-conversation", "version": 1}',
        '{"format": "hearth-conversation", "version": 1, "messages": [3]}',
        '{"format": "hearth-conversation", "version": 1, "messages": [{"role": "root", "content": "x"}]}',
        '{"format": "hearth-conversation", "version": 1, "messages": [{"role": "user", "content": 3}]}',
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "talk.json"
    path.write_text(content)
    with pytest.raises(CorruptFile, match=r"talk\.json"):
        Conversation.load(path)


def test_thinking_is_kept_but_not_sent_as_content() -> None:
    sent = talk().for_template()
    assert sent[0] == {"role": "system", "content": "Be kind 🙂"}
    assert sent[2] == {"role": "assistant", "content": "Hi", "reasoning_content": "a greeting"}


def test_a_failed_turn_is_taken_back() -> None:
    conversation = talk()
    before = json.dumps(conversation.for_template())
    conversation.add("user", "x")
    conversation.add("assistant", "y")
    conversation.drop_last_turn()
    assert json.dumps(conversation.for_template()) == before
    conversation.drop_last_turn()
    conversation.drop_last_turn()
    assert conversation.messages == []


@pytest.mark.parametrize(
    "messages",
    [[], [{"content": "x"}], [{"role": "user"}], [3], 3, None, {"role": "user"}, [{"role": "usr", "content": "x"}]],
)
def test_messages_of_a_program_are_checked(messages: object) -> None:
    with pytest.raises(UsageError, match=r"[Mm]essage"):
        checked_messages(messages)  # type: ignore[arg-type]
