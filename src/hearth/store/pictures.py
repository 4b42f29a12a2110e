"""Pictures in the store: the bytes of each file once, whatever carries it, and erased piece by piece.

What is deleted is overwritten with zeros, and these go through the write-ahead log as other changes do. Piece by piece
they need no more room than is kept for deleting.
"""

from __future__ import annotations

import sqlite3
from hashlib import sha256

from hearth.errors import CorruptFile
from hearth.store.records import Picture

PIECE_BYTES = 1 << 20
_UNUSED = "NOT EXISTS (SELECT 1 FROM attachments a WHERE a.picture = pictures.number)"


def keep(connection: sqlite3.Connection, picture: Picture, data: bytes) -> int:
    """Writes a picture that is not there yet. Returns its number."""
    digest = sha256(data).digest()
    row = connection.execute("SELECT number FROM pictures WHERE hash = ?", (digest,)).fetchone()
    if row is not None:
        return int(row[0])
    number = connection.execute(
        "INSERT INTO pictures (hash, media_type, height, width, size_bytes) VALUES (?, ?, ?, ?, ?)",
        (digest, picture.media_type, picture.height, picture.width, len(data)),
    ).lastrowid
    assert number is not None
    connection.executemany(
        "INSERT INTO picture_pieces VALUES (?, ?, ?)",
        ((number, at, data[at : at + PIECE_BYTES]) for at in range(0, len(data), PIECE_BYTES)),
    )
    return number


def read(connection: sqlite3.Connection, number: int) -> bytes:
    """The file of a picture. Raises CorruptFile: some of it is not there."""
    row = connection.execute("SELECT size_bytes FROM pictures WHERE number = ?", (number,)).fetchone()
    pieces = connection.execute("SELECT data FROM picture_pieces WHERE picture = ? ORDER BY position", (number,))
    data = b"".join(piece for (piece,) in pieces)
    if row is None or len(data) != row[0]:
        raise CorruptFile("A picture of this conversation is damaged.", why="Some of its bytes are not in the store.")
    return data


def give_up_unused(connection: sqlite3.Connection) -> None:
    """Says of the pictures that nothing carries any more that they are to be erased: they are found no more."""
    connection.execute(f"UPDATE pictures SET hash = NULL WHERE hash IS NOT NULL AND {_UNUSED}")


def some_given_up(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM pictures WHERE hash IS NULL").fetchone() is not None


def erase_piece(connection: sqlite3.Connection) -> None:
    """Erases a piece of a picture that was given up, or what is left of it behind its last."""
    row = connection.execute(
        """SELECT p.number, e.position FROM pictures p LEFT JOIN picture_pieces e ON e.picture = p.number
        WHERE p.hash IS NULL LIMIT 1"""
    ).fetchone()
    if row is None:
        return
    number, position = row
    if position is None:
        connection.execute("DELETE FROM pictures WHERE number = ?", (number,))
    else:
        connection.execute("DELETE FROM picture_pieces WHERE picture = ? AND position = ?", row)
