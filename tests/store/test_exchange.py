"""Conversations leave as files and come back; files that somebody made to do harm do not come in."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth import Conversation as CliConversation
from hearth.errors import CorruptFile, HearthError, UsageError
from hearth.store import Conversation, Store, Timings, Usage
from hearth.store.exchange import checked_settings, from_json, to_json, to_markdown

from .samples import attach_picture, png

PICTURE = png(20, 30)


@pytest.fixture
def branched(store: Store) -> Conversation:
    file = store.add_attachment("notes.pdf", "pdf", "The notes 笔记", tokens=3, pages=2)
    made = store.create(model="starter", system="Be kind.\nAlways.", settings={"seed": 1, "thinking": False})
    seen = attach_picture(store, PICTURE)
    asked = store.add_user_message(made.id, None, "Read this", [file.id, seen.id])
    for text in ("One answer", "Another answer 😀"):
        running = store.begin_answer(made.id, asked.id, "starter")
        store.append(running.id, [("thinking", "So..."), ("answer", text)])
        store.end_answer(running.id, "stopped", usage=Usage(1, 0, 2), timings=Timings(0.5, 1.5, 2.0))
    store.add_user_message(made.id, None, "Read this again", [file.id, seen.id])
    return store.change(made.id, leaf=store.conversation(made.id).messages[2].id)


def _without_ids(conversation: Conversation) -> Any:
    order = {message.id: position for position, message in enumerate(conversation.messages)}
    return (
        conversation.title,
        conversation.model,
        conversation.system,
        conversation.settings,
        conversation.created,
        order.get(conversation.leaf or ""),
        [
            {
                **vars(message),
                "id": 0,
                "parent": order.get(message.parent or ""),
                "attachments": [
                    (file.name, file.kind, file.tokens, file.chars, file.pages, file.picture)
                    for file in message.attachments
                ],
            }
            for message in conversation.messages
        ],
    )


def test_an_exported_conversation_comes_back_whole(store: Store, branched: Conversation, tmp_path: Path) -> None:
    exported = to_json(branched, store.contents(branched.messages))
    with Store(tmp_path / "other") as other:
        for _ in range(2):  # twice: ids are new each time
            back = other.insert(*from_json(exported.encode()))
        assert _without_ids(back) == _without_ids(branched)
        assert len(other.conversations()[0]) == 2
        assert other.conversations("another")[0][0].title == "Read this"
        assert set(other.contents(back.messages).values()) == {"The notes 笔记", PICTURE}
        ids = [file.id for message in back.messages for file in message.attachments]
        assert len(set(ids)) == 2, "the branches share their files"
        other.delete(back.id)
        assert other.conversations("another")[0]


def test_markdown_is_the_branch_that_is_shown(branched: Conversation) -> None:
    text = to_markdown(branched)
    assert text.startswith("# Read this\n\n> Be kind.\n> Always.\n\n## You\n\n*Attached: notes.pdf*\n\n")
    assert "*Attached: a cat.png*\n\nRead this\n" in text
    assert "Another answer 😀" in text
    assert "One answer" not in text
    assert "<details><summary>Thinking</summary>\n\nSo...\n\n</details>" in text
    assert "*(stopped)*" in text


def test_a_conversation_of_the_command_line_comes_in(store: Store, tmp_path: Path) -> None:
    talked = CliConversation(system="Be brief.")
    talked.add("user", "What is the capital of France?")
    talked.add("assistant", "Paris.", thinking="Easy.")
    talked.save(tmp_path / "talk.json", model="starter")
    back = store.insert(*from_json((tmp_path / "talk.json").read_bytes()))
    assert (back.title, back.system, back.model) == ("What is the capital of France?", "Be brief.", "starter")
    assert [(m.role, m.content, m.thinking) for m in back.branch(back.leaf)] == [
        ("user", "What is the capital of France?", ""),
        ("assistant", "Paris.", "Easy."),
    ]


def _file(**changes: Any) -> dict[str, Any]:
    messages = [
        {"id": "a", "parent": None, "role": "user", "content": "hi"},
        {"id": "b", "parent": "a", "role": "assistant", "content": "ho", "state": "done"},
    ]
    return {"format": "hearth-chat", "version": 1, "title": "t", "messages": messages, "leaf": "b"} | changes


def _picture(data: str | None) -> dict[str, Any]:
    return {"id": "x", "name": "n", "kind": "picture", "data": data, "picture": {"media_type": "text/html"}}


def _message(**changes: Any) -> list[dict[str, Any]]:
    return [{"id": "a", "parent": None, "role": "user", "content": "hi"} | changes]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "its format"),
        (b'{"format": ["hearth-chat"]}', "its format"),
        (_file(version=2), "version 2"),
        (_file(version=None), "version None"),
        (_file(messages={}), "no list"),
        (_file(messages=[1]), "no object"),
        (_file(messages=_message(parent="a")), "does not stand before it"),
        (_file(messages=[*_message(parent="b"), *_message(id="b", parent="a")]), "does not stand before it"),
        (_file(messages=_message() * 2), "id of another"),
        (_file(messages=_message(role="system")), "'system'"),
        (_file(messages=_message(role=["user"])), "role"),
        (_file(messages=_message(content=5)), "no text"),
        (_file(messages=_message(content=None)), "no text"),
        (_file(messages=_message(id=5)), "no id"),
        (_file(messages=_message(parent=["a"])), "damaged"),
        (_file(messages=_message(state="hacked")), "state"),
        (_file(messages=_message(attachments=["x"])), "attachment that is not"),
        (_file(messages=_message(usage={"prompt_tokens": -1})), "prompt_tokens"),
        (_file(messages=_message(usage={"prompt_tokens": 1e308})), "prompt_tokens"),
        (_file(messages=_message(usage=[])), "prompt_tokens"),
        (_file(messages=_message(timings={"tok_s": True})), "tok_s"),
        (_file(leaf="z"), "leaf"),
        (_file(leaf=["b"]), "leaf"),
        (_file(title={}), "no text"),
        (_file(title="x" * 10_000), "characters"),
        (_file(settings={"template": "x"}), "no setting 'template'"),
        (_file(settings=[]), "settings"),
        (_file(attachments=[{"id": "x", "name": "n", "kind": "exe", "text": ""}]), "kind"),
        (_file(attachments=[_picture("")]), "is empty"),
        (_file(attachments=[_picture("~~~~")]), "no base64"),
        (_file(attachments=[_picture(None)]), "is empty"),
        (_file(attachments=[_picture(base64.b64encode(b"<svg onload='alert(1)'/>").decode())]), "no picture"),
        (_file(attachments=[_picture(base64.b64encode(PICTURE[:600]).decode())]), "cut short"),
        (b'{"format": "hearth-chat", "version": 1, "settings": {"seed": NaN}}', "not JSON"),
        (b'{"format": "hearth-chat", "version": 1, "settings": {"seed": 1e999}}', "whole number"),
        (b'{"format": "hearth-chat", "version": 1, "settings": {"seed": ' + b"9" * 5000 + b"}}", "not JSON"),
        ({"format": "hearth-conversation", "version": 1, "messages": [{"role": "tool", "content": "x"}]}, "'tool'"),
        ({"format": "hearth-conversation", "version": 1, "messages": [{"role": "root", "content": "x"}]}, "'root'"),
    ],
)
def test_a_hostile_file_is_refused_with_what_is_wrong(data: object, says: str) -> None:
    with pytest.raises(CorruptFile) as refusal:
        from_json(data if isinstance(data, bytes) else json.dumps(data).encode())
    assert says in str(refusal.value)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_whatever_stands_in_a_file_it_is_read_or_refused(data: st.DataObject) -> None:
    file = _file(attachments=[{"id": "f", "name": "n", "kind": "text", "text": "x", "tokens": 1}])
    file["messages"][0]["attachments"] = ["f"]
    target: Any = data.draw(st.sampled_from([file, *file["messages"], *file["attachments"]]))
    target[data.draw(st.sampled_from([*target, "usage", "timings", "created", "settings", "system"]))] = data.draw(
        _JSON
    )
    try:
        conversation, texts = from_json(json.dumps(file).encode())
    except HearthError:
        return
    assert conversation.branch(conversation.leaf) is not None
    assert all(file.id in texts for message in conversation.messages for file in message.attachments)


def test_halves_of_characters_and_odd_times_do_no_harm(store: Store) -> None:
    file = _file(messages=_message(content="half \ud800 nul \u0000", created="0001-01-01T00:00:00+14:00"), leaf=None)
    back = store.insert(*from_json(json.dumps(file).encode()))
    assert back.messages[0].content == "half \ufffd nul \ufffd"
    assert back.messages[0].created > "2020"
    assert back.leaf == back.messages[0].id


@pytest.mark.parametrize(
    "settings",
    [{"seed": 1.5}, {"seed": True}, {"temperature": "1"}, {"temperature": float("nan")}, {"thinking": 1}, {"x": 1},
     {"top_k": 10**400}, {"top_p": -(10**400)}, "temperature"],
)  # fmt: skip
def test_settings_of_the_wrong_kind_are_refused(settings: Any) -> None:
    with pytest.raises(UsageError):
        checked_settings(settings)


def test_settings_are_kept_as_numbers_of_their_kind() -> None:
    given = {"temperature": 1, "top_k": 40.0, "seed": 3, "thinking": True, "max_tokens": None}
    assert checked_settings(given) == {"temperature": 1.0, "top_k": 40, "seed": 3, "thinking": True}
