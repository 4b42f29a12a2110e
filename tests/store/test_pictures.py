"""Pictures in the store: as their files are, once whatever carries them, and erased with the last that did."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from hearth.errors import CorruptFile, UsageError
from hearth.store import NotFound, Picture, Store
from hearth.store import pictures as stored
from hearth.store.store import UNSENT_KEPT

from .samples import attach_picture, bytes_of, png, talk

PHOTO = png(700, 900)  # of several pieces


def counted(store: Store, table: str) -> int:
    with sqlite3.connect(store.path) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_a_picture_is_kept_as_its_file_is_and_there_after_a_restart(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        file = attach_picture(store, PHOTO)
        assert (file.kind, file.tokens, file.chars) == ("picture", 7, 0)
        assert file.picture == Picture("image/png", 700, 900, len(PHOTO))
        id = store.create().id
        said = store.add_user_message(id, None, "", [file.id])
        assert said.attachments == (file,)
        assert store.conversation(id).title == "a cat.png"
    with Store(tmp_path) as store:
        messages = store.conversation(id).messages
        assert messages[0].attachments == (file,)
        assert store.contents(messages) == {file.id: PHOTO}
        assert store.attachment(file.id) == (file, PHOTO)


def test_the_same_file_is_kept_once_and_until_the_last_message_with_it_is_gone(store: Store) -> None:
    talks = []
    for name in ("one.png", "two.png"):
        talks.append(store.create().id)
        first = store.add_user_message(talks[-1], None, "look", [attach_picture(store, PHOTO, name).id])
        store.add_user_message(talks[-1], None, "look again", [first.attachments[0].id])
    assert counted(store, "pictures") == 1
    store.delete(talks[0])
    (left,) = store.conversation(talks[1]).messages[0].attachments
    assert store.attachment(left.id) == (left, PHOTO)
    store.delete(talks[1])
    assert counted(store, "pictures") == counted(store, "picture_pieces") == 0
    again = attach_picture(store, PHOTO)
    assert store.attachment(again.id)[1] == PHOTO


def test_a_deleted_picture_stands_in_no_file_any_more(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        talk(store, "stays", "stays")
        unsent = attach_picture(store, PHOTO[:-12] + b"unsent picture" + PHOTO[-12:])
        sent = attach_picture(store, PHOTO)
        id = store.create().id
        store.add_user_message(id, None, "look", [sent.id])
        with pytest.raises(UsageError, match="belongs to a message"):
            store.delete_attachment(sent.id)
        pieces = [PHOTO[at : at + 64] for at in range(0, len(PHOTO) - 64, 1 << 18)]
        assert all(piece in bytes_of(tmp_path) for piece in pieces)
        store.delete(id)
        store.delete_attachment(unsent.id)
        assert not [piece for piece in pieces if piece in bytes_of(tmp_path)]
        assert b"unsent picture" not in bytes_of(tmp_path)
        with pytest.raises(NotFound):
            store.attachment(sent.id)


def test_erasing_goes_on_where_a_kill_has_ended_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(tmp_path) as store:
        id = store.create().id
        store.add_user_message(id, None, "look", [attach_picture(store, PHOTO).id])
        erase, left = stored.erase_piece, iter([True])

        def killed(connection: sqlite3.Connection) -> None:
            if not next(left, None):
                raise KeyboardInterrupt
            erase(connection)

        monkeypatch.setattr(stored, "erase_piece", killed)
        with pytest.raises(KeyboardInterrupt):
            store.delete(id)
        monkeypatch.undo()
        assert counted(store, "picture_pieces") == 1
        # The same picture, attached meanwhile, is another one: it is not erased with the first.
        id = store.create().id
        kept = store.add_user_message(id, None, "look", [attach_picture(store, PHOTO).id])
    with Store(tmp_path) as store:
        assert counted(store, "pictures") == 1
        assert list(store.contents([kept]).values()) == [PHOTO]


def test_a_picture_that_was_never_sent_is_gone_a_day_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(tmp_path) as store:
        attach_picture(store, PHOTO)
    monkeypatch.setattr("hearth.store.store.UNSENT_KEPT", -UNSENT_KEPT)
    with Store(tmp_path) as store:
        assert counted(store, "pictures") == counted(store, "picture_pieces") == 0


def test_a_picture_of_which_something_lacks_is_called_damage(store: Store) -> None:
    file = attach_picture(store, PHOTO)
    with sqlite3.connect(store.path) as connection:
        connection.execute("DELETE FROM picture_pieces WHERE position > 0")
    with pytest.raises(CorruptFile, match="picture"):
        store.attachment(file.id)
