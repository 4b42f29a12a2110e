"""Full-text search: how texts are cut into words for the index, what a query means, and where its words stand.

Chinese, Japanese, Thai and others write without spaces, so each of their characters is a word of its own here, and
what is searched of them is a phrase: any piece of such a text is found, however short. All other words are found by
their beginnings: "comp" finds "compiler". Case and accents do not matter.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence

from hearth.store.text import plain

_CUT = "\x1f"  # separates words for the tokenizer, and is taken out again
_OPEN, _CLOSE = "\x02", "\x03"
_NO_WORD = {ord('"'): " ", 0: " "}  # of a query: they would end its expression; no stored text holds NUL
_CONTROLS = dict.fromkeys(map(ord, _CUT + _OPEN + _CLOSE), " ")
# Han, kana, Thai, Lao, Burmese, Khmer, Hangul.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
_WORDLIKE = re.compile(r"[^\W_]")
_MAX_QUERY = 200
_MAX_WORDS = 16
_SNIPPET = 160
_BEFORE_HIT = 40
_HIGHLIGHTED = 200_000  # characters of a text that are looked through for where the words stand


def words_of(text: str) -> str:
    """The text with cuts around each character of a script without spaces: what the index is given.

    A change here makes earlier entries impossible to delete, so it needs a migration that indexes everything again.
    """
    text = text.translate(_CONTROLS)
    return text if text.isascii() else _UNSPACED.sub(rf"{_CUT}\g<0>{_CUT}", text)


def match_of(query: str) -> str | None:
    """What a user typed as an expression of FTS5: all words must be there. None where nothing can be searched."""
    parts = []
    for word in query[:_MAX_QUERY].translate(_NO_WORD).split()[:_MAX_WORDS]:
        if _WORDLIKE.search(word):
            prefix = "" if _UNSPACED.match(word[-1]) else "*"
            parts.append(f'"{words_of(word)}"{prefix}')
    return " AND ".join(parts) or None


def add_message(connection: sqlite3.Connection, number: int, content: str) -> None:
    """Makes a message findable. Its content must not change afterwards."""
    connection.execute("INSERT INTO message_index (rowid, text) VALUES (?, ?)", (number, words_of(content)))


def add_title(connection: sqlite3.Connection, number: int, title: str) -> None:
    connection.execute("INSERT INTO title_index (rowid, text) VALUES (?, ?)", (number, words_of(title)))


def remove_messages(connection: sqlite3.Connection, messages: Iterable[tuple[int, str]]) -> None:
    """Takes messages out of the index, given with the contents they were added with."""
    connection.executemany(
        "INSERT INTO message_index (message_index, rowid, text) VALUES ('delete', ?, ?)",
        ((number, words_of(content)) for number, content in messages),
    )


def remove_title(connection: sqlite3.Connection, number: int, title: str) -> None:
    connection.execute(
        "INSERT INTO title_index (title_index, rowid, text) VALUES ('delete', ?, ?)", (number, words_of(title))
    )


def forget_removed(connection: sqlite3.Connection) -> None:
    """Writes the index anew without the words of what was removed, which are only marked until then."""
    connection.execute("INSERT INTO message_index (message_index) VALUES ('optimize')")
    connection.execute("INSERT INTO title_index (title_index) VALUES ('optimize')")


def index_everything(connection: sqlite3.Connection) -> None:
    """Fills the empty index with all that is in the store."""
    for number, title in connection.execute("SELECT number, title FROM conversations").fetchall():
        add_title(connection, number, title)
    for number, content in connection.execute("SELECT number, content FROM messages WHERE state <> 'running'"):
        add_message(connection, number, content)


class Highlighter:
    """Tells where the words of a query stand in texts, by asking the same tokenizer that made the index."""

    def __init__(self, match: str | None) -> None:
        self._match = match
        self._scratch = sqlite3.connect(":memory:")
        self._scratch.execute("CREATE VIRTUAL TABLE t USING fts5 (text, tokenize='unicode61 remove_diacritics 2')")

    def hits(self, text: str, *, any_word: bool = False) -> list[tuple[int, int]]:
        """[start, end] in characters; none where not all words are there, or with `any_word` not one of them."""
        if self._match is None or not text:
            return []
        self._scratch.execute("DELETE FROM t")
        self._scratch.execute("INSERT INTO t VALUES (?)", (words_of(text[:_HIGHLIGHTED]),))
        match = self._match.replace(" AND ", " OR ") if any_word else self._match
        row = self._scratch.execute(
            "SELECT highlight(t, 0, ?, ?) FROM t WHERE t MATCH ?", (_OPEN, _CLOSE, match)
        ).fetchone()
        return _spans(row[0]) if row else []

    def snippet(self, text: str) -> tuple[str, list[tuple[int, int]]]:
        """A piece of the text around the first hit on one line, without Markdown, and the hits in it, in UTF-16 code
        units."""
        hits = self.hits(text)
        start = _snippet_start(text, hits[0][0] if hits else 0)
        piece = " ".join(plain(text[start : start + 2 * _SNIPPET]).split())[:_SNIPPET]
        return piece, utf16(piece, self.hits(piece, any_word=True))

    def close(self) -> None:
        self._scratch.close()


def _snippet_start(text: str, hit: int) -> int:
    """Somewhat before the hit, at the beginning of a word."""
    start = max(0, hit - _BEFORE_HIT)
    if not start:
        return len(text) - len(text.lstrip()) if not hit else 0
    space = re.compile(r"\s").search(text, start, hit)
    return space.end() if space else start


def _spans(marked: str) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    position = start = 0
    for part in re.split(f"([{_OPEN}{_CLOSE}{_CUT}])", marked):
        if part == _OPEN:
            start = position
        elif part == _CLOSE:
            if spans and spans[-1][1] == start:
                start = spans.pop()[0]
            spans.append((start, position))
        elif part != _CUT:
            position += len(part)
    return spans


def utf16(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Positions in characters as positions in UTF-16 code units."""
    if text.isascii():
        return list(spans)
    units = [0]
    for character in text:
        units.append(units[-1] + (2 if ord(character) > 0xFFFF else 1))
    return [(units[a], units[b]) for a, b in spans]
