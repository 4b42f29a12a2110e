"""Rows of the database as records, and the few statements that several parts of the store need."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hearth.store import pictures, search
from hearth.store.records import (
    Attachment,
    Content,
    Conversation,
    Message,
    NotFound,
    Picture,
    Timings,
    Usage,
)

_MESSAGE = """SELECT m.number, m.id, p.id, m.role, m.content, m.thinking, m.model, m.state, m.error, m.hint,
    m.error_kind, m.finish_reason, m.created,
    m.prompt_tokens, m.cached_tokens, m.completion_tokens, m.first_token_s, m.total_s, m.tok_s, m.thinking_s
    FROM messages m LEFT JOIN messages p ON p.number = m.parent"""
_ATTACHMENT = (
    """a.id, a.name, a.kind, a.tokens, length(a.text), a.pages, i.media_type, i.height, i.width, i.size_bytes"""
)
_ITS_PICTURE = "LEFT JOIN pictures i ON i.number = a.picture"


def new_id() -> str:
    """A short name that stands in addresses and cannot be guessed."""
    return secrets.token_urlsafe(12)


def conversation_number(connection: sqlite3.Connection, id: str) -> int:
    row = connection.execute("SELECT number FROM conversations WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no conversation {id!r}.", hint="It may have been deleted.")
    return int(row[0])


def message_number(connection: sqlite3.Connection, conversation: int, id: str | None) -> int | None:
    if id is None:
        return None
    row = connection.execute(
        "SELECT number FROM messages WHERE id = ? AND conversation = ?", (id, conversation)
    ).fetchone()
    if row is None:
        raise NotFound(f"There is no message {id!r} in this conversation.")
    return int(row[0])


def read_conversation(connection: sqlite3.Connection, id: str, running: Collection[int]) -> Conversation:
    """With all its messages. `running`: the answers that are being written by this process."""
    row = connection.execute(
        """SELECT c.number, c.id, c.title, c.model, c.system, c.settings, c.created, c.updated, leaf.id
        FROM conversations c LEFT JOIN messages leaf ON leaf.number = c.leaf WHERE c.id = ?""",
        (id,),
    ).fetchone()
    if row is None:
        raise NotFound(f"There is no conversation {id!r}.", hint="It may have been deleted.")
    number, id, title, model, system, settings, created, updated, leaf = row
    messages = _messages(connection, "m.conversation = ?", number, running)
    return Conversation(id, title, model, system, json.loads(settings), created, updated, leaf, tuple(messages))


def read_message(connection: sqlite3.Connection, number: int, running: Collection[int]) -> Message:
    return _messages(connection, "m.number = ?", number, running)[0]


def _messages(connection: sqlite3.Connection, where: str, value: int, running: Collection[int]) -> list[Message]:
    rows = connection.execute(f"{_MESSAGE} WHERE {where} ORDER BY m.number", (value,)).fetchall()
    attached = _attachments(connection, where, value)
    messages = []
    for number, id, parent, role, content, thinking, model, state, *rest in rows:
        error, hint, error_kind, reason, created, *figures = rest
        if state == "running":
            content, thinking = pieces_of(connection, number)
            state = "running" if number in running else "interrupted"
        messages.append(
            Message(
                id=id,
                parent=parent,
                role=role,
                content=content,
                thinking=thinking,
                model=model,
                state=state,
                error=error,
                hint=hint,
                error_kind=error_kind,
                finish_reason=reason,
                created=created,
                usage=Usage(*figures[:3]),
                timings=Timings(*figures[3:]),
                attachments=tuple(attached.get(number, ())),
            )
        )
    return messages


def pieces_of(connection: sqlite3.Connection, message: int) -> tuple[str, str]:
    """What has come of a running answer: its text and its thinking."""
    texts: dict[str, list[str]] = {"answer": [], "thinking": []}
    for kind, text in connection.execute(
        "SELECT kind, text FROM pieces WHERE message = ? ORDER BY position", (message,)
    ):
        texts[kind].append(text)
    return "".join(texts["answer"]), "".join(texts["thinking"])


def _attachments(connection: sqlite3.Connection, where: str, value: int) -> dict[int, list[Attachment]]:
    result: dict[int, list[Attachment]] = defaultdict(list)
    rows = connection.execute(
        f"""SELECT m.number, {_ATTACHMENT}
        FROM messages m JOIN message_attachments l ON l.message = m.number JOIN attachments a ON a.number = l.attachment
        {_ITS_PICTURE} WHERE {where} ORDER BY m.number, l.position""",
        (value,),
    )
    for number, *fields in rows:
        result[number].append(_attachment(fields))
    return result


def _attachment(fields: Sequence[Any]) -> Attachment:
    """From the columns of `_ATTACHMENT`."""
    id, name, kind, tokens, chars, pages, *picture = fields
    return Attachment(id, name, kind, tokens, chars, pages, Picture(*picture) if kind == "picture" else None)


def read_attachment(connection: sqlite3.Connection, id: str) -> tuple[Attachment, Content]:
    """With what stands in it. Raises NotFound."""
    row = connection.execute(
        f"SELECT {_ATTACHMENT}, a.text, a.picture FROM attachments a {_ITS_PICTURE} WHERE a.id = ?", (id,)
    ).fetchone()
    if row is None:
        raise NotFound(f"There is no attachment {id!r}.", hint="Attach the file again.")
    *fields, text, picture = row
    return _attachment(fields), text if picture is None else pictures.read(connection, picture)


def insert_conversation(connection: sqlite3.Connection, conversation: Conversation) -> int:
    """Writes what stands above the messages, and makes the title findable. Returns its number."""
    number = connection.execute(
        "INSERT INTO conversations (id, title, model, system, settings, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            conversation.id,
            conversation.title,
            conversation.model,
            conversation.system,
            json.dumps(conversation.settings, allow_nan=False, ensure_ascii=False, sort_keys=True),
            conversation.created,
            conversation.updated,
        ),
    ).lastrowid
    assert number is not None
    search.add_title(connection, number, conversation.title)
    return number


def insert_messages(
    connection: sqlite3.Connection, number: int, conversation: Conversation, contents: Mapping[str, Content], now: str
) -> None:
    """Writes all messages of a conversation under new ids, parents first, with their files, and makes them findable."""
    numbers: dict[str | None, int | None] = {None: None}
    files: dict[str, str] = {}
    for message in conversation.messages:
        renamed = replace(message, id=new_id(), created=message.created or now)
        numbers[message.id] = row = insert_message(connection, number, numbers[message.parent], renamed)
        search.add_message(connection, row, message.content)
        for file in message.attachments:
            if file.id not in files:
                files[file.id] = new_id()
                insert_attachment(connection, replace(file, id=files[file.id]), contents[file.id], now)
        attach(connection, row, [files[file.id] for file in message.attachments])
    leaf = numbers[conversation.leaf]
    connection.execute("UPDATE conversations SET leaf = ? WHERE number = ?", (leaf, number))


def delete_conversation(connection: sqlite3.Connection, id: str) -> None:
    """With its messages, the files that no other one carries, and its words in the index. Raises NotFound."""
    number = conversation_number(connection, id)
    title = connection.execute("SELECT title FROM conversations WHERE number = ?", (number,)).fetchone()[0]
    texts = connection.execute(
        "SELECT number, content FROM messages WHERE conversation = ? AND state <> 'running'", (number,)
    ).fetchall()
    search.remove_messages(connection, texts)
    search.remove_title(connection, number, title)
    files = connection.execute(
        """SELECT DISTINCT l.attachment FROM message_attachments l JOIN messages m ON m.number = l.message
        WHERE m.conversation = ?""",
        (number,),
    ).fetchall()
    connection.execute("UPDATE conversations SET leaf = NULL WHERE number = ?", (number,))
    connection.execute("DELETE FROM conversations WHERE number = ?", (number,))
    connection.executemany(
        """DELETE FROM attachments WHERE number = ?
        AND NOT EXISTS (SELECT 1 FROM message_attachments l WHERE l.attachment = attachments.number)""",
        files,
    )
    pictures.give_up_unused(connection)
    search.forget_removed(connection)


def insert_attachment(connection: sqlite3.Connection, file: Attachment, content: Content, created: str) -> None:
    text, picture = content if isinstance(content, str) else "", None
    if isinstance(content, bytes):
        assert file.picture is not None
        picture = pictures.keep(connection, file.picture, content)
    connection.execute(
        """INSERT INTO attachments (id, name, kind, text, tokens, pages, created, picture)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
        (file.id, file.name, file.kind, text, file.tokens, file.pages, created, picture),
    )


def insert_message(connection: sqlite3.Connection, conversation: int, parent: int | None, message: Message) -> int:
    """Writes one message under its id, without its attachments and not yet findable. Returns its number."""
    cursor = connection.execute(
        """INSERT INTO messages (id, conversation, parent, role, content, thinking, model, state, error, hint,
            error_kind, finish_reason, created, prompt_tokens, cached_tokens, completion_tokens, first_token_s, total_s,
            tok_s, thinking_s)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            message.id,
            conversation,
            parent,
            message.role,
            message.content,
            message.thinking,
            message.model,
            message.state,
            message.error,
            message.hint,
            message.error_kind,
            message.finish_reason,
            message.created,
            message.usage.prompt_tokens,
            message.usage.cached_tokens,
            message.usage.completion_tokens,
            message.timings.first_token_s,
            message.timings.total_s,
            message.timings.tok_s,
            message.timings.thinking_s,
        ),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def attach(connection: sqlite3.Connection, message: int, attachments: Sequence[str]) -> None:
    """Sends files along with a message, by their ids."""
    for position, id in enumerate(attachments):
        row = connection.execute("SELECT number FROM attachments WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise NotFound(f"There is no attachment {id!r}.", hint="Attach the file again.")
        connection.execute("INSERT INTO message_attachments VALUES (?, ?, ?)", (message, position, row[0]))


def remove_unused_attachments(connection: sqlite3.Connection, before: str) -> int:
    """Removes the files that no message carries and that were attached before a time. Returns how many."""
    return connection.execute(
        """DELETE FROM attachments WHERE created < ?
        AND NOT EXISTS (SELECT 1 FROM message_attachments l WHERE l.attachment = attachments.number)""",
        (before,),
    ).rowcount
