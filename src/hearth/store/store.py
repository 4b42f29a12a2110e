"""`Store`: the conversations of one person, on disk. Synchronous; safe to use from several threads.

Every method is one transaction: when it returns, its work survives a kill of the process; when it raises, nothing has
changed. Text goes in and out as it is; nothing here knows of models or of HTTP.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import platformdirs

from hearth.errors import StorageError, UsageError
from hearth.store import pictures, rows, search
from hearth.store.clock import Clock, stamp
from hearth.store.database import Database
from hearth.store.documents import Documents
from hearth.store.listing import list_conversations
from hearth.store.migrations import APPLICATION_ID, MIGRATIONS, migrate
from hearth.store.records import (
    Attachment,
    Content,
    Conversation,
    Found,
    Message,
    NotFound,
    Picture,
    State,
    TextKind,
    Timings,
    Usage,
)
from hearth.store.text import MAX_NAME, MAX_TITLE, clean, title_of

FILE_NAME = "chats.db"
UNSENT_KEPT = timedelta(days=1)
"""How long a file that was attached and never sent is kept."""


def default_folder() -> Path:
    """Where conversations are kept unless the user says otherwise: the user's data folder of this system."""
    return Path(platformdirs.user_data_dir("hearth", appauthor=False))


class Store:
    """Opens the store in a folder, making it where there is none.

    Answers that were running when the process before this one was killed become "interrupted".

    Attributes:
        documents: what can be searched, beside the conversations.

    Raises: as `Database`.
    """

    def __init__(self, folder: Path) -> None:
        self._database = Database(folder / FILE_NAME, migrate, newest=len(MIGRATIONS), application_id=APPLICATION_ID)
        # Of the answers that this process is writing: id -> number, and the position of the next piece.
        self._running: dict[str, tuple[int, int]] = {}
        try:
            with self._database.read() as connection:
                last = connection.execute("SELECT max(updated) FROM conversations").fetchone()[0]
            self._clock = Clock(last)
            self.documents = Documents(self._database, self._clock)
            # On a full disk this waits until there is room again; what is there can be read all the same.
            with contextlib.suppress(StorageError):
                with self._database.write() as connection:
                    self._fold_abandoned(connection)
                    rows.remove_unused_attachments(connection, stamp(datetime.now(UTC) - UNSENT_KEPT))
                    pictures.give_up_unused(connection)
                self._erase_pictures()
        except BaseException:
            self._database.close()
            raise

    @property
    def path(self) -> Path:
        return self._database.path

    # -- conversations -------------------------------------------------------------------------------------------

    def conversations(self, query: str = "", *, limit: int = 50, before: str | None = None) -> tuple[list[Found], bool]:
        """The newest first, as lines of a list; with a query those in whose title or messages all its words stand.

        Args:
            before: only those updated before this one's `updated`: the next page.

        Returns:
            At most `limit` of them, and whether there are more.
        """
        with self._database.read() as connection:
            return list_conversations(connection, query, limit, before)

    def create(
        self, *, title: str = "", model: str = "", system: str = "", settings: Mapping[str, Any] | None = None
    ) -> Conversation:
        """Begins a conversation. Without a title its first message gives it one."""
        now = self._clock.now()
        conversation = Conversation(
            id=rows.new_id(),
            title=_title(title),
            model=clean(model, "model"),
            system=clean(system, "system"),
            settings=dict(settings or {}),
            created=now,
            updated=now,
            leaf=None,
        )
        with self._database.write() as connection:
            rows.insert_conversation(connection, conversation)
        return conversation

    def conversation(self, id: str) -> Conversation:
        """With all its messages. Raises NotFound."""
        with self._database.read() as connection:
            return rows.read_conversation(connection, id, self._running_numbers())

    def change(
        self,
        id: str,
        *,
        title: str | None = None,
        model: str | None = None,
        system: str | None = None,
        settings: Mapping[str, Any] | None = None,
        leaf: str | None = None,
    ) -> Conversation:
        """Changes what is given. `leaf`: the message at the end of the branch that is to be shown. Raises NotFound."""
        with self._database.write() as connection:
            number = rows.conversation_number(connection, id)
            columns: dict[str, Any] = {}
            if title is not None:
                columns["title"] = self._retitle(connection, number, _title(title))
            if model is not None:
                columns["model"] = clean(model, "model")
            if system is not None:
                columns["system"] = clean(system, "system")
            if settings is not None:
                columns["settings"] = _settings(settings)
            if leaf is not None:
                columns["leaf"] = rows.message_number(connection, number, leaf)
            if columns:
                assignments = ", ".join(f"{name} = ?" for name in columns)
                connection.execute(
                    f"UPDATE conversations SET {assignments} WHERE number = ?", (*columns.values(), number)
                )
            return rows.read_conversation(connection, id, self._running_numbers())

    def delete(self, id: str) -> None:
        """Deletes a conversation for good: its text is in no file of the store any more. Raises NotFound."""
        with self._database.write(deleting=True) as connection:
            rows.delete_conversation(connection, id)
            left = {row[0] for row in connection.execute("SELECT number FROM messages WHERE state = 'running'")}
            self._running = {name: entry for name, entry in self._running.items() if entry[0] in left}
        self._database.forget()
        self._erase_pictures()

    # -- messages ------------------------------------------------------------------------------------------------

    def add_user_message(
        self, conversation: str, parent: str | None, content: str, attachments: Sequence[str] = ()
    ) -> Message:
        """Appends what the user says after `parent`; another message there is left as another branch.

        Raises:
            NotFound: the conversation, the parent or an attachment.
        """
        content = clean(content, "The message")
        with self._database.write() as connection:
            number = rows.conversation_number(connection, conversation)
            message = Message(rows.new_id(), parent, "user", content, created=self._clock.now())
            row = rows.insert_message(connection, number, rows.message_number(connection, number, parent), message)
            rows.attach(connection, row, attachments)
            search.add_message(connection, row, content)
            self._touch(connection, number, row)
            stored = rows.read_message(connection, row, ())
            title = connection.execute("SELECT title FROM conversations WHERE number = ?", (number,)).fetchone()[0]
            made = title_of(content) or (stored.attachments[0].name if stored.attachments else "")
            if not title and made:
                self._retitle(connection, number, _title(made))
                connection.execute("UPDATE conversations SET title = ? WHERE number = ?", (_title(made), number))
            return stored

    def begin_answer(self, conversation: str, parent: str, model: str) -> Message:
        """Begins an answer to a message of the user: empty, and running until `end_answer`.

        Raises:
            NotFound: the conversation or the parent.
            UsageError: the parent is no message of the user.
        """
        with self._database.write() as connection:
            self._fold_abandoned(connection)
            number = rows.conversation_number(connection, conversation)
            asked = rows.message_number(connection, number, parent)
            role = connection.execute("SELECT role FROM messages WHERE number = ?", (asked,)).fetchone()[0]
            if role != "user":
                raise UsageError("Only a message of the user can be answered.")
            message = Message(
                rows.new_id(),
                parent,
                "assistant",
                "",
                model=clean(model, "model"),
                state="running",
                created=self._clock.now(),
            )
            row = rows.insert_message(connection, number, asked, message)
            self._touch(connection, number, row)
        self._running[message.id] = (row, 0)
        return message

    def append(self, message: str, pieces: Sequence[tuple[str, str]]) -> None:
        """Writes the next pieces of a running answer: (kind, text), kind "answer" or "thinking". Cheap.

        Raises:
            NotFound: it is not running, or was deleted meanwhile.
        """
        with self._database.write() as connection:
            number, position = self._running_answer(message)
            connection.executemany(
                "INSERT INTO pieces VALUES (?, ?, ?, ?)",
                [(number, position + i, kind, clean(text, "The answer")) for i, (kind, text) in enumerate(pieces)],
            )
        if message in self._running:
            self._running[message] = (number, position + len(pieces))

    def end_answer(
        self,
        message: str,
        state: State = "done",
        *,
        usage: Usage | None = None,
        timings: Timings | None = None,
        finish_reason: str = "",
        error: str = "",
        hint: str = "",
        error_kind: str = "",
    ) -> Message:
        """Ends a running answer: what has been appended is its content from now on. Raises NotFound."""
        usage, timings = usage or Usage(), timings or Timings()
        with self._database.write() as connection:
            number, _ = self._running_answer(message)
            self._fold(connection, number, state)
            connection.execute(
                """UPDATE messages SET error = ?, hint = ?, error_kind = ?, finish_reason = ?, prompt_tokens = ?,
                cached_tokens = ?, completion_tokens = ?, first_token_s = ?, total_s = ?, tok_s = ?, thinking_s = ?
                WHERE number = ?""",
                (
                    clean(error, "error"),
                    clean(hint, "hint"),
                    error_kind,
                    finish_reason,
                    usage.prompt_tokens,
                    usage.cached_tokens,
                    usage.completion_tokens,
                    timings.first_token_s,
                    timings.total_s,
                    timings.tok_s,
                    timings.thinking_s,
                    number,
                ),
            )
            ended = rows.read_message(connection, number, ())
        self._running.pop(message, None)
        return ended

    def abandon_answer(self, message: str) -> None:
        """Gives an answer up that cannot be ended because the disk is full: what has come is kept, as "interrupted"."""
        self._running.pop(message, None)

    # -- attachments ---------------------------------------------------------------------------------------------

    def add_attachment(self, name: str, kind: TextKind, text: str, *, tokens: int = 0, pages: int = 0) -> Attachment:
        """Keeps the text of a file until it is sent with a message."""
        text = clean(text, "The attached file")
        return self._attach(Attachment(rows.new_id(), _name(name), kind, tokens, len(text), pages), text)

    def add_picture(self, name: str, data: bytes, picture: Picture, *, tokens: int = 0) -> Attachment:
        """Keeps a picture, as its file is, until it is sent with a message. The same file is kept once."""
        return self._attach(Attachment(rows.new_id(), _name(name), "picture", tokens, 0, 0, picture), data)

    def _attach(self, attachment: Attachment, content: Content) -> Attachment:
        with self._database.write() as connection:
            rows.insert_attachment(connection, attachment, content, self._clock.now())
        return attachment

    def attachment(self, id: str) -> tuple[Attachment, Content]:
        """With its text, or the file of a picture. Raises NotFound."""
        with self._database.read() as connection:
            return rows.read_attachment(connection, id)

    def delete_attachment(self, id: str) -> None:
        """Deletes a file that has not been sent. Raises NotFound; UsageError for one that a message carries."""
        with self._database.write(deleting=True) as connection:
            row = connection.execute("SELECT number FROM attachments WHERE id = ?", (id,)).fetchone()
            if row is None:
                raise NotFound(f"There is no attachment {id!r}.")
            if connection.execute("SELECT 1 FROM message_attachments WHERE attachment = ?", row).fetchone():
                raise UsageError("This file belongs to a message.", hint="It goes when the conversation is deleted.")
            connection.execute("DELETE FROM attachments WHERE number = ?", row)
            pictures.give_up_unused(connection)
        self._database.forget()
        self._erase_pictures()

    # -- whole conversations -------------------------------------------------------------------------------------

    def insert(self, conversation: Conversation, contents: Mapping[str, Content]) -> Conversation:
        """Writes a whole conversation that comes from elsewhere, all under new ids.

        Args:
            conversation: parents stand before their children.
            contents: of its attachments, by their ids.
        """
        now = self._clock.now()
        renamed = replace(conversation, id=rows.new_id(), created=conversation.created or now, updated=now)
        with self._database.write() as connection:
            rows.insert_messages(connection, rows.insert_conversation(connection, renamed), conversation, contents, now)
            return rows.read_conversation(connection, renamed.id, ())

    def contents(self, messages: Iterable[Message]) -> dict[str, Content]:
        """What stands in the attachments of messages, by their ids."""
        ids = {file.id for message in messages for file in message.attachments}
        with self._database.read() as connection:
            return {id: rows.read_attachment(connection, id)[1] for id in ids}

    def close(self) -> None:
        """Puts everything into the one file. Answers that still run are "interrupted" at the next start."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- inside --------------------------------------------------------------------------------------------------

    def _running_numbers(self) -> set[int]:
        return {number for number, _ in list(self._running.values())}

    def _running_answer(self, message: str) -> tuple[int, int]:
        try:
            return self._running[message]
        except KeyError:
            raise NotFound(f"The answer {message!r} is not running any more.") from None

    def _erase_pictures(self) -> None:
        """Erases the pictures that nothing carries any more, each piece in a transaction of its own."""
        while self._given_up():
            with self._database.write(deleting=True) as connection:
                pictures.erase_piece(connection)
            self._database.forget()

    def _given_up(self) -> bool:
        with self._database.read() as connection:
            return pictures.some_given_up(connection)

    def _touch(self, connection: sqlite3.Connection, conversation: int, leaf: int) -> None:
        connection.execute(
            "UPDATE conversations SET leaf = ?, updated = ? WHERE number = ?", (leaf, self._clock.now(), conversation)
        )

    def _retitle(self, connection: sqlite3.Connection, conversation: int, title: str) -> str:
        """Makes the new title findable instead of the old one."""
        old = connection.execute("SELECT title FROM conversations WHERE number = ?", (conversation,)).fetchone()[0]
        search.remove_title(connection, conversation, old)
        search.add_title(connection, conversation, title)
        return title

    def _fold(self, connection: sqlite3.Connection, message: int, state: State) -> None:
        """Makes the pieces of an answer its content."""
        content, thinking = rows.pieces_of(connection, message)
        connection.execute(
            "UPDATE messages SET content = ?, thinking = ?, state = ? WHERE number = ?",
            (content, thinking, state, message),
        )
        connection.execute("DELETE FROM pieces WHERE message = ?", (message,))
        search.add_message(connection, message, content)

    def _fold_abandoned(self, connection: sqlite3.Connection) -> None:
        """Ends the answers that nobody writes any more."""
        mine = self._running_numbers()
        for (number,) in connection.execute("SELECT number FROM messages WHERE state = 'running'").fetchall():
            if number not in mine:
                self._fold(connection, number, "interrupted")


def _name(name: str) -> str:
    return clean(name, "name")[:MAX_NAME]


def _title(title: str) -> str:
    return clean(" ".join(title.split())[:MAX_TITLE], "title")


def _settings(settings: Mapping[str, Any]) -> str:
    return json.dumps(dict(settings), allow_nan=False, ensure_ascii=False, sort_keys=True)
