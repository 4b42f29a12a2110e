"""The user's documents, to be searched: their texts, and vectors of their passages. What these mean is not known here.

A document stays until it is deleted, and then is in no file of the store any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hearth.store import rows
from hearth.store.clock import Clock
from hearth.store.database import Database
from hearth.store.records import NotFound, TextKind
from hearth.store.text import MAX_NAME, clean

_COLUMNS = "id, name, kind, length(text), pages, created, model"


@dataclass(frozen=True)
class Document:
    """A file whose text can be searched.

    Attributes:
        pages: of a PDF file, else 0.
        created: ISO 8601, UTC.
        model: whose vectors its passages have; "" where they have none yet.
    """

    id: str
    name: str
    kind: TextKind
    chars: int
    pages: int
    created: str
    model: str = ""


@dataclass(frozen=True)
class Passage:
    """A piece of a document.

    Attributes:
        document: its id; `name` its file's.
        begin, end: where the piece stands in the text, in characters.
        vector: as it was written.
    """

    document: str
    name: str
    begin: int
    end: int
    vector: bytes


class Documents:
    """The documents of a store. Every method is one transaction, as in `Store`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def add(self, name: str, kind: TextKind, text: str, *, pages: int = 0) -> Document:
        """Keeps the text of a file."""
        text = clean(text, "The document")
        made = Document(rows.new_id(), clean(name, "name")[:MAX_NAME], kind, len(text), pages, self._clock.now())
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO documents (id, name, kind, text, pages, created, model) VALUES (?, ?, ?, ?, ?, ?, '')",
                (made.id, made.name, made.kind, text, made.pages, made.created),
            )
        return made

    def all(self) -> list[Document]:
        """The newest first."""
        with self._database.read() as connection:
            found = connection.execute(f"SELECT {_COLUMNS} FROM documents ORDER BY number DESC").fetchall()
        return [Document(*row) for row in found]

    def text(self, id: str) -> str:
        """Raises NotFound."""
        with self._database.read() as connection:
            row = connection.execute("SELECT text FROM documents WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise NotFound(f"There is no document {id!r}.", hint="It may have been removed.")
        return str(row[0])

    def set_passages(self, id: str, model: str, passages: Sequence[tuple[int, int, bytes]]) -> None:
        """Writes the passages of a document, in place of those that it had: (begin, end, vector) each.

        Raises:
            NotFound: it was deleted meanwhile.
        """
        with self._database.write() as connection:
            row = connection.execute("SELECT number FROM documents WHERE id = ?", (id,)).fetchone()
            if row is None:
                raise NotFound(f"There is no document {id!r}.")
            connection.execute("DELETE FROM passages WHERE document = ?", row)
            connection.executemany(
                "INSERT INTO passages VALUES (?, ?, ?, ?, ?)",
                [(row[0], position, *passage) for position, passage in enumerate(passages)],
            )
            connection.execute("UPDATE documents SET model = ? WHERE number = ?", (clean(model, "model"), row[0]))

    def passages(self, model: str) -> list[Passage]:
        """All passages that have vectors of a model, document after document."""
        with self._database.read() as connection:
            found = connection.execute(
                """SELECT d.id, d.name, p.begin, p.end, p.vector
                FROM passages p JOIN documents d ON d.number = p.document
                WHERE d.model = ? ORDER BY d.number, p.position""",
                (model,),
            ).fetchall()
        return [Passage(*row) for row in found]

    def delete(self, id: str) -> None:
        """Deletes a document for good. Raises NotFound."""
        with self._database.write(deleting=True) as connection:
            if not connection.execute("DELETE FROM documents WHERE id = ?", (id,)).rowcount:
                raise NotFound(f"There is no document {id!r}.")
        self._database.forget()
