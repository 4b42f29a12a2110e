"""The schema of the store, as the numbered steps that made it. A step that has been published is never changed.

`PRAGMA user_version` counts the steps that a file has been through. Each runs in a transaction of its own, together
with that count, so a kill in between leaves the file at one step or the next.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from hearth.store.search import index_everything

Step = str | Callable[[sqlite3.Connection], None]

APPLICATION_ID = 0x48525448  # "HRTH": tells Hearth's files from other programs'

_TALKS: Sequence[Step] = (
    """CREATE TABLE conversations (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        title TEXT NOT NULL,
        model TEXT NOT NULL,
        system TEXT NOT NULL,
        settings TEXT NOT NULL,                 -- JSON
        created TEXT NOT NULL,
        updated TEXT NOT NULL,
        leaf INTEGER REFERENCES messages ON DELETE SET NULL
    ) STRICT""",
    "CREATE INDEX conversations_updated ON conversations (updated)",
    """CREATE TABLE messages (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        conversation INTEGER NOT NULL REFERENCES conversations ON DELETE CASCADE,
        parent INTEGER REFERENCES messages,
        role TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
        content TEXT NOT NULL,
        thinking TEXT NOT NULL,
        model TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('done', 'running', 'stopped', 'interrupted', 'error')),
        error TEXT NOT NULL,
        hint TEXT NOT NULL,
        finish_reason TEXT NOT NULL,
        created TEXT NOT NULL,
        prompt_tokens INTEGER NOT NULL DEFAULT 0,
        cached_tokens INTEGER NOT NULL DEFAULT 0,
        completion_tokens INTEGER NOT NULL DEFAULT 0,
        first_token_s REAL NOT NULL DEFAULT 0,
        total_s REAL NOT NULL DEFAULT 0,
        tok_s REAL NOT NULL DEFAULT 0,
        thinking_s REAL NOT NULL DEFAULT 0
    ) STRICT""",
    "CREATE INDEX messages_conversation ON messages (conversation)",
    "CREATE INDEX messages_parent ON messages (parent)",
    "CREATE INDEX messages_running ON messages (number) WHERE state = 'running'",
    # A running answer grows here, a row for each piece, so that a token costs one small page whatever came before it;
    # it is folded into the message when it ends.
    """CREATE TABLE pieces (
        message INTEGER NOT NULL REFERENCES messages ON DELETE CASCADE,
        position INTEGER NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('answer', 'thinking')),
        text TEXT NOT NULL,
        PRIMARY KEY (message, position)
    ) STRICT, WITHOUT ROWID""",
)

_ATTACHMENTS: Sequence[Step] = (
    """CREATE TABLE attachments (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('text', 'pdf')),
        text TEXT NOT NULL,
        tokens INTEGER NOT NULL,
        pages INTEGER NOT NULL,
        created TEXT NOT NULL
    ) STRICT""",
    # Many to many: an edited message carries the same files as the one it replaces.
    """CREATE TABLE message_attachments (
        message INTEGER NOT NULL REFERENCES messages ON DELETE CASCADE,
        position INTEGER NOT NULL,
        attachment INTEGER NOT NULL REFERENCES attachments,
        PRIMARY KEY (message, position)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX message_attachments_attachment ON message_attachments (attachment)",
)

# Without contents: the texts stand in the tables above, and only there. Rows have the numbers of those tables.
_SEARCH: Sequence[Step] = (
    "CREATE VIRTUAL TABLE message_index USING fts5 (text, content='', tokenize='unicode61 remove_diacritics 2')",
    "CREATE VIRTUAL TABLE title_index USING fts5 (text, content='', tokenize='unicode61 remove_diacritics 2')",
    index_everything,
)

_ERROR_KINDS: Sequence[Step] = ("ALTER TABLE messages ADD COLUMN error_kind TEXT NOT NULL DEFAULT ''",)

_DOCUMENTS: Sequence[Step] = (
    """CREATE TABLE documents (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('text', 'pdf')),
        text TEXT NOT NULL,
        pages INTEGER NOT NULL,
        created TEXT NOT NULL,
        model TEXT NOT NULL                     -- whose vectors its passages have
    ) STRICT""",
    """CREATE TABLE passages (
        document INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
        position INTEGER NOT NULL,
        begin INTEGER NOT NULL,
        end INTEGER NOT NULL,
        vector BLOB NOT NULL,
        PRIMARY KEY (document, position)
    ) STRICT, WITHOUT ROWID""",
)

# A constraint cannot be changed, so both tables are written anew; the one that refers to the other is dropped first.
_PICTURES: Sequence[Step] = (
    """CREATE TABLE pictures (
        number INTEGER PRIMARY KEY,
        hash BLOB UNIQUE,                       -- SHA-256 of the file; NULL: it is being erased
        media_type TEXT NOT NULL,
        height INTEGER NOT NULL,
        width INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL
    ) STRICT""",
    # In pieces, so that one after the other can be overwritten where the disk has little room.
    """CREATE TABLE picture_pieces (
        picture INTEGER NOT NULL REFERENCES pictures ON DELETE CASCADE,
        position INTEGER NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY (picture, position)
    ) STRICT""",
    """CREATE TABLE new_attachments (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('text', 'pdf', 'picture')),
        text TEXT NOT NULL,
        tokens INTEGER NOT NULL,
        pages INTEGER NOT NULL,
        created TEXT NOT NULL,
        picture INTEGER REFERENCES pictures,
        CHECK ((kind = 'picture') = (picture IS NOT NULL))
    ) STRICT""",
    "INSERT INTO new_attachments SELECT number, id, name, kind, text, tokens, pages, created, NULL FROM attachments",
    """CREATE TABLE new_message_attachments (
        message INTEGER NOT NULL REFERENCES messages ON DELETE CASCADE,
        position INTEGER NOT NULL,
        attachment INTEGER NOT NULL REFERENCES new_attachments,
        PRIMARY KEY (message, position)
    ) STRICT, WITHOUT ROWID""",
    "INSERT INTO new_message_attachments SELECT message, position, attachment FROM message_attachments",
    "DROP TABLE message_attachments",
    "DROP TABLE attachments",
    "ALTER TABLE new_attachments RENAME TO attachments",
    "ALTER TABLE new_message_attachments RENAME TO message_attachments",
    "CREATE INDEX message_attachments_attachment ON message_attachments (attachment)",
    "CREATE INDEX attachments_picture ON attachments (picture)",
)

MIGRATIONS: tuple[Sequence[Step], ...] = (_TALKS, _ATTACHMENTS, _SEARCH, _ERROR_KINDS, _DOCUMENTS, _PICTURES)


def migrate(connection: sqlite3.Connection) -> None:
    """Brings a file, or an empty one, to the newest step."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    for number, steps in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for step in steps:
                if isinstance(step, str):
                    connection.execute(step)
                else:
                    step(connection)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
