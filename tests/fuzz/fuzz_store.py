"""chats.db, the database of conversations, damaged as a disk or another program would."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.store.samples import attach_picture, png, talk

from hearth.store import Store
from hearth.store.exchange import to_json

from .harness import Target, main
from .mutation import Mutator

_COLUMNS = {
    "conversations": ("id", "title", "settings", "created", "leaf", "system"),
    "messages": ("content", "state", "created", "parent", "role", "conversation", "total_s", "hint"),
    "pieces": ("text", "kind", "position"),
    "attachments": ("name", "kind", "text", "picture", "tokens"),
    "pictures": ("hash", "media_type", "height", "size_bytes"),
    "picture_pieces": ("data", "position", "picture"),
}
_VALUES = ("NULL", "'x'", "CAST(x'ff61' AS TEXT)", "x'00ff'", "'[1]'", '\'{"temperature": "x"}\'', "-1", "99", "1e999")


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[Mutator], None]]:
    with Store(folder) as store:
        for number in range(20):
            id = talk(store, f"question {number}", "answer " * 50)
            talk(store, "more", "words " * 20, id, store.conversation(id).messages[-1].id)
        store.add_user_message(id, None, "What is it?", [attach_picture(store, png(40, 50)).id])
    file = folder / "chats.db"
    sound = file.read_bytes()

    def run(mutator: Mutator) -> None:
        for beside in folder.iterdir():
            beside.unlink()
        file.write_bytes(sound if mutator.one_in(2) else _torn(mutator, sound))
        if file.read_bytes() == sound:
            _rewrite(mutator, file)
        with Store(folder) as store:
            found, _ = store.conversations()
            for line in found[:5]:
                whole = store.conversation(line.id)
                to_json(whole, store.contents(whole.messages))
            store.conversations("answer")
            store.create()
            if found:
                store.delete(found[0].id)

    yield run


def _torn(mutator: Mutator, sound: bytes) -> bytes:
    """As a disk does it: bytes anywhere, or a page that is another."""
    if mutator.one_in(3):
        pages = [sound[at : at + 4096] for at in range(0, len(sound), 4096)]
        pages[mutator.random.randrange(len(pages))] = mutator.choice([*pages, bytes(4096)])
        return b"".join(pages)
    data = bytearray(sound)
    for _ in range(1 + mutator.random.randrange(8)):
        at = mutator.random.randrange(len(data))
        data[at : at + 1] = mutator.random.randbytes(1)
    return mutator.bytes(bytes(data[:200])) + bytes(data[200:]) if mutator.one_in(3) else bytes(data)


def _rewrite(mutator: Mutator, file: Path) -> None:
    """As another program does it: sound for SQLite, but not what Hearth has written."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.execute("PRAGMA writable_schema = ON")
    try:
        table = mutator.choice(list(_COLUMNS))
        column, value = mutator.choice(_COLUMNS[table]), mutator.choice(_VALUES)
        statement = mutator.choice(
            (
                f"UPDATE {table} SET {column} = {value}",
                f"UPDATE {table} SET {column} = {value} WHERE rowid % 3 = 0",
                f"ALTER TABLE {table} DROP COLUMN {column}",
                f"DROP TABLE {mutator.choice((*_COLUMNS, 'message_index', 'title_index'))}",
                f"PRAGMA user_version = {mutator.random.randrange(-2, 8)}",
                f"PRAGMA application_id = {mutator.choice((0, 1, -1))}",
            )
        )
        connection.execute(statement)
    except sqlite3.Error:
        pass  # a table that holds what it is declared for
    finally:
        connection.close()


TARGET = Target("chats.db", lambda mutator: mutator, opened)

if __name__ == "__main__":
    main(TARGET)
