"""What happens to conversations when the process is killed, the disk is full, or the file is not what it should be."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hearth.errors import CorruptFile, StorageError, Unsupported
from hearth.store import Attachment, NotFound, Store
from hearth.store.migrations import APPLICATION_ID, MIGRATIONS
from store.samples import attach_picture, png, talk

_WRITER = """
import sys
from pathlib import Path
from hearth.store import Store
store = Store(Path(sys.argv[1]))
made = store.create()
running = store.begin_answer(made.id, store.add_user_message(made.id, None, "Count for me").id, "starter")
for i in range(10**9):
    store.append(running.id, [("answer", f"{i} ")])
    print(i, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_a_kill_in_the_middle_of_an_answer_loses_nothing_that_was_shown(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 1500:  # past a checkpoint of the log
                break
        process.send_signal(signal.SIGKILL)
        shown = int((process.stdout.read().split() or [line])[-1])
    with Store(tmp_path) as store:
        (line,), _ = store.conversations()
        answer = store.conversation(line.id).messages[-1]
        assert answer.state == "interrupted"
        numbers = [int(number) for number in answer.content.split()]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) in (shown + 1, shown + 2)
        assert store.conversations("count 1234")[0] == []
        assert [found.id for found in store.conversations("1234")[0]] == [line.id]


def test_an_answer_that_nobody_ends_is_interrupted(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        id = store.create().id
        asked = store.add_user_message(id, None, "hello")
        running = store.begin_answer(id, asked.id, "starter")
        store.append(running.id, [("answer", "Hel")])
        assert store.conversation(id).messages[-1].state == "running"
        assert store.conversation(id).messages[-1].content == "Hel"
        assert store.conversations()[0][0].snippet == "Hel"
        store.abandon_answer(running.id)
        assert store.conversation(id).messages[-1].state == "interrupted"
        store.begin_answer(id, asked.id, "starter")
    with Store(tmp_path) as store:
        assert [message.state for message in store.conversation(id).messages[1:]] == ["interrupted"] * 2


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with Store(tmp_path), pytest.raises(StorageError, match="open in another Hearth"):
        Store(tmp_path)
    Store(tmp_path).close()
    other = threading.Thread(target=Store(tmp_path).close)  # closed in another thread than it was opened in
    other.start()
    other.join()
    Store(tmp_path).close()


def _fill(store: Store, answer: str) -> None:
    for _ in range(2000):
        store.append(answer, [("answer", "word " * 1000)])


def test_a_full_disk_is_an_error_and_what_was_there_stays(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        id = talk(store, "before", "It was there before.")
        pages = store._database._writer.execute("PRAGMA page_count").fetchone()[0]
        # SQLite says the same as on a full disk: SQLITE_FULL.
        store._database._writer.execute(f"PRAGMA max_page_count = {pages + 12}")
        running = store.begin_answer(id, store.conversation(id).messages[0].id, "starter")
        store.append(running.id, [("answer", "It came.")])
        with pytest.raises(StorageError, match="disk is full"):
            _fill(store, running.id)
        with pytest.raises(StorageError, match="disk is full"):
            store.end_answer(running.id)
        store.abandon_answer(running.id)
        assert store.conversation(id).messages[1].content == "It was there before."
        assert store.conversation(id).messages[2].content.startswith("It came.")
        assert store.conversations("before")[0]
        store._database._writer.execute("PRAGMA max_page_count = 1000000")
        store.begin_answer(id, store.conversation(id).messages[0].id, "starter")
        states = [message.state for message in store.conversation(id).messages]
        assert states == ["done", "done", "interrupted", "running"]


@pytest.mark.skipif(not Path("/dev/full").exists() or os.geteuid() != 0, reason="needs root to mount a small disk")
def test_a_really_full_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8M", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("may not mount")
    try:
        with Store(disk) as store:
            id = talk(store, "before", "It was there before.")
            asked = store.conversation(id).messages[0].id
            running = store.begin_answer(id, asked, "starter")
            with pytest.raises(StorageError, match="full"):
                _fill(store, running.id)
            assert store.conversation(id).messages[1].content == "It was there before."
        with Store(disk) as store:
            assert store.conversation(id).messages[1].content == "It was there before."
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root to mount a small disk")
def test_on_a_full_disk_a_conversation_can_be_deleted(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12M", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("may not mount")
    try:
        with Store(disk) as store:
            ids = [talk(store, f"question {i}", "answer " * 1000) for i in range(20)]
            photo = attach_picture(store, png(900, 900))  # more than is kept for deleting
            store.add_user_message(ids[0], None, "look", [photo.id])
            (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free))
            with pytest.raises(StorageError, match="full"):
                _fill(store, store.begin_answer(ids[0], store.conversation(ids[0]).messages[0].id, "starter").id)
            for id in ids:
                store.delete(id)
            assert not store.conversations("question")[0]
            with pytest.raises(NotFound):
                store.attachment(photo.id)
            talk(store, "again", "there is room")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("version", range(len(MIGRATIONS)))
def test_a_store_of_every_earlier_version_is_brought_up_to_date(tmp_path: Path, version: int) -> None:
    connection = sqlite3.connect(tmp_path / "chats.db", isolation_level=None)
    later = []
    for steps in MIGRATIONS[:version]:
        for step in steps:
            if isinstance(step, str):
                connection.execute(step)
            else:
                later.append(step)  # works on what is there
    if version:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("INSERT INTO conversations VALUES (1, 'c', 'Old title', '', '', '{}', '2024', '2024', NULL)")
        for number, state in enumerate(("done", "running"), start=1):
            connection.execute(
                "INSERT INTO messages (number, id, conversation, role, content, thinking, model, state, error, hint,"
                " finish_reason, created) VALUES (?, ?, 1, 'assistant', ?, '', '', ?, '', '', '', '2024')",
                (number, f"m{number}", "Old words" * (state == "done"), state),
            )
        connection.execute("INSERT INTO pieces VALUES (2, 0, 'answer', 'Half an answer')")
    if version > 1:
        connection.execute(
            "INSERT INTO attachments (number, id, name, kind, text, tokens, pages, created)"
            " VALUES (5, 'a', 'notes.pdf', 'pdf', 'The notes', 2, 1, '2024')"
        )
        connection.execute("INSERT INTO message_attachments VALUES (1, 0, 5)")
    for step in later:
        step(connection)
    connection.close()
    with Store(tmp_path) as store:
        if version:
            assert [line.id for line in store.conversations("words")[0]] == ["c"]
            assert [line.id for line in store.conversations("half")[0]] == ["c"]
            assert [line.id for line in store.conversations("title")[0]] == ["c"]
            assert [m.content for m in store.conversation("c").messages] == ["Old words", "Half an answer"]
        if version > 1:
            file = Attachment("a", "notes.pdf", "pdf", 2, 9, 1)
            assert store.conversation("c").messages[0].attachments == (file,)
            assert store.attachment("a") == (file, "The notes")
        talk(store, "new", "new")
        if version:
            store.delete("c")
        assert [line.title for line in store.conversations()[0]] == ["new"]


def test_a_migration_that_is_cut_off_leaves_the_version_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(tmp_path) as store:
        talk(store, "kept", "kept")

    def power_cut(connection: sqlite3.Connection) -> None:
        raise KeyboardInterrupt

    steps = ("CREATE TABLE more (x) STRICT".replace("(x)", "(x TEXT)"), power_cut)
    monkeypatch.setattr("hearth.store.migrations.MIGRATIONS", (*MIGRATIONS, steps))
    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path)
    monkeypatch.undo()
    with Store(tmp_path) as store:
        assert store.conversations("kept")[0]


def _damage(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 20000)


@pytest.mark.parametrize(
    ("harm", "error", "says"),
    [
        (lambda path: path.write_bytes(b"not a database at all" * 1000), CorruptFile, "damaged"),
        (_damage, CorruptFile, "damaged"),
        (lambda path: os.truncate(path, path.stat().st_size // 2), CorruptFile, "damaged"),
        (lambda path: _execute(path, f"PRAGMA user_version = {len(MIGRATIONS) + 1}"), Unsupported, "newer Hearth"),
        (lambda path: _execute(path, "PRAGMA application_id = 5"), CorruptFile, "another program"),
        (lambda path: _execute(path, "PRAGMA user_version = 0"), CorruptFile, "damaged"),
        (lambda path: _execute(path, "PRAGMA user_version = -1"), CorruptFile, "damaged"),
        (lambda path: _execute(path, "PRAGMA user_version = 1"), CorruptFile, "damaged"),
    ],
)
def test_a_file_that_is_not_ours_or_damaged_is_left_as_it_is(
    tmp_path: Path, harm: object, error: type[Exception], says: str
) -> None:
    with Store(tmp_path) as store:
        for i in range(50):
            talk(store, f"question {i}", "answer " * 100)
    path = tmp_path / "chats.db"
    assert callable(harm)
    harm(path)
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(error, match=says):
            Store(tmp_path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE messages SET content = CAST(x'ff61' AS TEXT)",
        "UPDATE conversations SET title = CAST(x'ff61' AS TEXT)",
        "UPDATE conversations SET settings = '{'",
        "ALTER TABLE messages DROP COLUMN hint",
        "DROP TABLE message_attachments",
    ],
)
def test_what_cannot_have_been_written_is_called_damage(tmp_path: Path, harm: str) -> None:
    with Store(tmp_path) as store:
        id = talk(store, "question", "answer")
    _execute(tmp_path / "chats.db", harm)

    def read() -> None:
        with Store(tmp_path) as store:
            store.conversations()
            store.conversation(id)

    with pytest.raises(CorruptFile, match="damaged"):
        read()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted on Linux")
def test_a_store_that_cannot_be_opened_holds_none_of_its_files(tmp_path: Path) -> None:
    Store(tmp_path).close()
    path = tmp_path / "chats.db"
    _execute(path, "PRAGMA user_version = 1")
    refused = []
    for _ in range(3):
        with pytest.raises(CorruptFile) as error:
            Store(tmp_path)
        refused.append(error)  # and with it all that its frames hold
    opened = (fd.readlink() for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink())
    assert not [file for file in opened if file.is_relative_to(tmp_path)]


def test_a_reference_that_leads_nowhere_is_called_damage_where_something_is_deleted(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        id = talk(store, "question", "answer")
    _execute(tmp_path / "chats.db", "UPDATE messages SET conversation = 99 WHERE parent IS NOT NULL")
    with Store(tmp_path) as store, pytest.raises(CorruptFile, match="damaged"):
        store.delete(id)


@pytest.mark.parametrize("time", ["'9999-12-31T23:59:59.999999Z'", "'yesterday'", "x'00ff'"])
def test_times_that_no_clock_has_said_stop_nobody_from_talking(tmp_path: Path, time: str) -> None:
    with Store(tmp_path) as store:
        talk(store, "question", "answer")
    connection = sqlite3.connect(tmp_path / "chats.db", isolation_level=None)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_master SET sql = replace(sql, 'STRICT', '')")
    connection.close()
    _execute(tmp_path / "chats.db", f"UPDATE conversations SET updated = {time}")
    with Store(tmp_path) as store:
        talk(store, "another", "answer")


def _execute(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement)
    connection.close()


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be opened"):
        Store(tmp_path / "file" / "data")


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.close()
    store.close()
    with pytest.raises(StorageError, match="closed"):
        store.conversations()
