"""Conversations are kept, found again, and gone when they are deleted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hearth.errors import UsageError
from hearth.store import NotFound, Store, Timings, Usage
from store.samples import bytes_of, talk


def test_a_conversation_is_there_after_a_restart(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        made = store.create(model="starter", system="Be brief.", settings={"temperature": 0.5})
        asked = store.add_user_message(made.id, None, "What is the capital of France?")
        running = store.begin_answer(made.id, asked.id, "starter")
        store.append(running.id, [("thinking", "Hm. "), ("answer", "Par")])
        store.append(running.id, [("answer", "is.")])
        ended = store.end_answer(
            running.id, usage=Usage(20, 4, 3), timings=Timings(0.1, 0.2, 30.0), finish_reason="stop"
        )
    with Store(tmp_path) as store:
        read = store.conversation(made.id)
    assert (read.title, read.model, read.system) == ("What is the capital of France?", "starter", "Be brief.")
    assert read.settings == {"temperature": 0.5}
    assert read.messages == (asked, ended)
    assert (ended.content, ended.thinking, ended.state) == ("Paris.", "Hm. ", "done")
    assert (ended.usage, ended.timings) == (Usage(20, 4, 3), Timings(0.1, 0.2, 30.0))
    assert read.leaf == ended.id
    assert read.updated > read.created


def test_an_edited_message_is_a_branch_and_both_stay(store: Store) -> None:
    id = talk(store, "red", "Red it is.")
    first, answer = store.conversation(id).messages
    edited = store.add_user_message(id, None, "blue")
    whole = store.conversation(id)
    assert [message.content for message in whole.branch(whole.leaf)] == ["blue"]
    assert [message.content for message in whole.branch(answer.id)] == ["red", "Red it is."]
    again = store.begin_answer(id, first.id, "starter")
    assert again.parent == answer.parent == first.id, "a regenerated answer is a sibling"
    assert store.change(id, leaf=answer.id).leaf == answer.id
    other = store.create()
    with pytest.raises(NotFound):
        store.change(other.id, leaf=edited.id)
    with pytest.raises(NotFound):
        store.add_user_message(other.id, edited.id, "a parent of another conversation")
    with pytest.raises(UsageError, match="Only a message of the user"):
        store.begin_answer(id, answer.id, "starter")


def test_a_title_is_made_of_the_first_words_once(store: Store) -> None:
    id = store.create().id
    store.add_user_message(
        id, None, "## Please **explain** how a compiler allocates registers when there are too few of them"
    )
    assert store.conversation(id).title == "Please explain how a compiler allocates registers when…"
    store.change(id, title="  Registers\n and spills ")
    store.add_user_message(id, None, "Another first message")
    assert store.conversation(id).title == "Registers and spills"
    named = store.create(title="Mine").id
    store.add_user_message(named, None, "Hello")
    assert store.conversation(named).title == "Mine"


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("", ""),
        ("Hello", "Hello"),
        ("Hello there. How are you today, if I may ask?", "Hello there"),
        ("Is this real? I wonder.", "Is this real?"),
        ("\n\n- item\n- other", "item"),
        ("```python\nprint(1)\n```", "print(1)"),
        ("请解释一下编译器是怎样分配寄存器的。还有别的吗", "请解释一下编译器是怎样分配寄存器的"),
        ("字" * 100, "字" * 30 + "…"),
        ("x" * 100, "x" * 60 + "…"),
        ("snake_case and 2 * 3", "snake_case and 2 * 3"),
    ],
)
def test_titles(content: str, title: str) -> None:
    from hearth.store.text import title_of

    assert title_of(content) == title


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("compiler", True),
        ("COMPIL", True),
        ("comp regis", True),
        ("compiler bicycle", False),
        ("piler", False),
        ("resume", True),
        ("北京", True),
        ("京", True),
        ("国的首", True),
        ("京北", False),
        ("Python语言", True),
        ("東京", True),
        ("ひらがな", True),
        ("ภาษา", True),
        ("c++", True),
        ('"quoted" AND (NEAR', False),
        ("...", False),
        ("text: * ^ -", False),
        ("comp\0regis", True),
        ("\0", False),
    ],
)
def test_search(store: Store, query: str, found: bool) -> None:
    text = "A compiler in C++ allocates registers. Résumé. 北京是中国的首都, Python语言. 東京はひらがなを。 ภาษาไทย"
    id = talk(store, "tell me", text)
    talk(store, "bicycle", "something else")
    lines, more = store.conversations(query)
    assert [line.id for line in lines] == [id] * found
    assert not more


def test_search_shows_where_the_words_stand(store: Store) -> None:
    id = talk(store, "Which city?", "😀" * 100 + " The capital of France\nis 巴黎, the CAPITAL.")
    (line,), _ = store.conversations("capit 巴黎")
    units = line.snippet.encode("utf-16-le")
    shown = [units[2 * start : 2 * end].decode("utf-16-le") for start, end in line.hits]
    assert shown == ["capital", "巴黎", "CAPITAL"]
    assert "\n" not in line.snippet
    store.change(id, title="France, of course")
    (line,), _ = store.conversations("france")
    assert line.title_hits == [(0, 6)]
    assert store.conversations("city")[0], "the old title's words are still in the message"
    store.change(id, title="Renamed")
    assert store.conversations("course") == ([], False)


def test_the_list_comes_newest_first_in_pages(store: Store) -> None:
    ids = [talk(store, f"question {i}", "answer") for i in range(5)]
    store.add_user_message(ids[1], None, "moves to the front")
    expected = [ids[1], ids[4], ids[3], ids[2], ids[0]]
    seen, before, more = [], None, True
    while more:
        lines, more = store.conversations(limit=2, before=before)
        seen += [line.id for line in lines]
        before = lines[-1].updated
    assert seen == expected
    assert store.conversations()[0][0].snippet == "moves to the front"
    assert [line.id for line in store.conversations("question")[0]] == expected


def test_what_is_deleted_stands_in_no_file_any_more(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        kept = talk(store, "Xylophone keeps", "Xylophone stays. " * 20)
        for i in range(30):
            talk(store, f"filler {i}", "words of no meaning " * 50)
        file = store.add_attachment("secretfile.txt", "text", "Rhododendron " * 500)
        gone = store.create(title="Quetzalcoatl", system="Zarathustra speaks")
        asked = store.add_user_message(gone.id, None, "Brontosaurus question", [file.id])
        running = store.begin_answer(gone.id, asked.id, "starter")
        for i in range(200):
            store.append(running.id, [("answer", f"Pterodactyl{i} "), ("thinking", "Ichthyosaurus ")])
        store.end_answer(running.id)
        unfinished = store.begin_answer(gone.id, asked.id, "starter")
        store.append(unfinished.id, [("answer", "Velociraptor")])
        secrets = [
            b"Quetzalcoatl", b"quetzalcoatl", b"Zarathustra", b"Brontosaurus", b"brontosaurus", b"Pterodactyl",
            b"pterodactyl", b"Ichthyosaurus", b"Rhododendron", b"secretfile", b"Velociraptor",
        ]  # fmt: skip
        assert all(secret in bytes_of(tmp_path) for secret in secrets if secret[:1].isupper())
        store.delete(gone.id)
        assert not [secret for secret in secrets if secret in bytes_of(tmp_path)]
        assert b"Xylophone stays" in bytes_of(tmp_path)
        assert store.conversations("pterodactyl1") == ([], False)
        assert [line.id for line in store.conversations("xylophone")[0]] == [kept]
        with pytest.raises(NotFound):
            store.conversation(gone.id)
        with pytest.raises(NotFound):
            store.append(unfinished.id, [("answer", "too late")])
    assert not [secret for secret in secrets if secret in bytes_of(tmp_path)]


def test_a_file_that_two_messages_carry_stays_until_both_are_gone(store: Store) -> None:
    file = store.add_attachment("notes.txt", "text", "Some notes", tokens=2)
    first, second = store.create(), store.create()
    carried = store.add_user_message(first.id, None, "", [file.id])
    store.add_user_message(second.id, None, "again", [file.id])
    assert carried.attachments == (file,)
    assert store.conversation(first.id).title == "notes.txt"
    with pytest.raises(UsageError, match="belongs to a message"):
        store.delete_attachment(file.id)
    store.delete(first.id)
    assert store.attachment(file.id) == (file, "Some notes")
    store.delete(second.id)
    with pytest.raises(NotFound):
        store.attachment(file.id)
    unsent = store.add_attachment("unsent.txt", "text", "Never sent at all")
    store.delete_attachment(unsent.id)
    assert b"Never sent" not in bytes_of(store.path.parent)


def test_text_that_cannot_be_stored_becomes_text_that_can(store: Store) -> None:
    id = store.create().id
    said = store.add_user_message(id, None, "nul \0 half \ud83d whole \ud83d\ude00")
    assert said.content == "nul \ufffd half \ufffd whole 😀"
    assert store.conversation(id).messages[0].content == said.content


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_nobody_else_can_read_the_files(tmp_path: Path) -> None:
    with Store(tmp_path / "data") as store:
        talk(store, "mine", "only")
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "data").iterdir()}
        assert {"chats.db", "chats.db-wal"} <= set(modes)
        assert set(modes.values()) == {0o600}
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_a_long_answer_costs_no_more_a_token_at_its_end(store: Store) -> None:
    """Bytes written, not time: a piece must not write again all that came before it."""
    id = store.create().id
    running = store.begin_answer(id, store.add_user_message(id, None, "go").id, "starter")
    wal = store.path.with_name("chats.db-wal")

    def grown(pieces: int) -> int:
        before = wal.stat().st_size
        for _ in range(pieces):
            store.append(running.id, [("answer", "a piece of the answer ")])
        return wal.stat().st_size - before

    first = grown(50)
    store.append(running.id, [("answer", "x" * 500_000)])
    assert grown(50) < 2 * first
