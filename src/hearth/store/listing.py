"""The list of conversations: the newest first, all of them or those in which some words stand."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from hearth.store import rows, search
from hearth.store.records import Found

_SNIPPET_FROM = 2000  # characters of the last message that a line is made of
_MATCHED_FROM = 1_000_000

# Conversations with a message or a title that matches, and the newest message that does.
_FOUND = """WITH found (conversation, message) AS (
    SELECT conversation, max(message) FROM (
        SELECT m.conversation AS conversation, m.number AS message
        FROM message_index i JOIN messages m ON m.number = i.rowid WHERE message_index MATCH ?
        UNION ALL SELECT rowid, NULL FROM title_index WHERE title_index MATCH ?
    ) GROUP BY conversation
)"""
_LINES = """SELECT c.id, c.title, c.model, c.created, c.updated, {found}, substr(m.content, 1, ?), m.number
    FROM conversations c"""
_HIT = "CASE WHEN f.message IS NULL THEN NULL ELSE m.id END"
_NEWEST = "WHERE c.updated < ? ORDER BY c.updated DESC LIMIT ?"


def list_conversations(
    connection: sqlite3.Connection, query: str, limit: int, before: str | None
) -> tuple[list[Found], bool]:
    """As `Store.conversations`."""
    match = search.match_of(query)
    if match is not None:
        lines = connection.execute(
            f"""{_FOUND} {_LINES.format(found=_HIT)} JOIN found f ON f.conversation = c.number
            LEFT JOIN messages m ON m.number = coalesce(f.message, c.leaf) {_NEWEST}""",
            (match, match, _MATCHED_FROM, before or "9", limit + 1),
        ).fetchall()
    elif query.strip():
        return [], False  # nothing but punctuation
    else:
        lines = connection.execute(
            f"{_LINES.format(found='NULL')} LEFT JOIN messages m ON m.number = c.leaf {_NEWEST}",
            (_SNIPPET_FROM, before or "9", limit + 1),
        ).fetchall()
    return _with_hits(connection, lines[:limit], match), len(lines) > limit


def _with_hits(connection: sqlite3.Connection, lines: Sequence[Sequence[Any]], match: str | None) -> list[Found]:
    highlighter = search.Highlighter(match)
    try:
        result = []
        for id, title, model, created, updated, found, text, number in lines:
            snippet, hits = highlighter.snippet(_text(connection, text, number))
            title_hits = search.utf16(title, highlighter.hits(title))
            result.append(Found(id, title, model, created, updated, found, snippet, hits, title_hits))
        return result
    finally:
        highlighter.close()


def _text(connection: sqlite3.Connection, content: str | None, message: int | None) -> str:
    """The text that a line shows a piece of; of an answer that is being written, what has come."""
    if content or message is None:
        return content or ""
    return rows.pieces_of(connection, message)[0][:_SNIPPET_FROM]
