"""One SQLite file, opened so that nothing committed is lost and nothing deleted stays; its errors as Hearth's.

Knows nothing of conversations. One connection writes and one reads, each used by one thread at a time, so that a search
does not hold up an answer that is being written. One process at a time has the file.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from hearth.errors import CorruptFile, HearthError, StorageError, Unsupported

BUSY_S = 5.0
RESERVE_BYTES = 2 << 20
MAX_CHECKED_BYTES = 64 << 20
"""Files up to this size are checked whole when they are opened; larger ones page by page as they are read."""
_FULL = {sqlite3.SQLITE_FULL}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# References are looked up before they are written, and a violation without a kind is the search index's own: of these
# constraints only a file that something else has changed falls short.
_INCONSISTENT = {sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class Database:
    """Opens the file at `path`, making it and its folder where they are not there.

    Args:
        migrate: brings the schema to `newest`; called with the writing connection.
        newest: the `user_version` that this code knows.
        application_id: of Hearth's files.

    Raises:
        StorageError: it cannot be read or written, the disk is full, or another process has it open.
        CorruptFile: it is damaged, or no database of Hearth.
        Unsupported: a newer Hearth wrote it.
    """

    def __init__(
        self, path: Path, migrate: Callable[[sqlite3.Connection], None], *, newest: int, application_id: int
    ) -> None:
        self.path = path
        self._write_lock = threading.RLock()
        self._read_lock = threading.RLock()
        self._closed = False
        self._reserve = _Reserve(path.with_name(f"{path.name}.reserve"))
        self._process_lock = FileLock(path.with_name(f"{path.name}.lock"), timeout=0, mode=0o600, thread_local=False)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._process_lock.acquire()
        except Timeout:
            raise StorageError(
                f"{path} is open in another Hearth.",
                why="One program at a time may write conversations.",
                hint="Use the page that is open already (`hearth ps` shows it), or choose another folder with --data.",
            ) from None
        except OSError as error:
            raise _os_error(path, error) from error
        with ExitStack() as if_it_fails:
            if_it_fails.callback(self._process_lock.release)
            self._check(newest, application_id)
            self._writer = self._connect(if_it_fails)
            with self._errors():
                self._writer.execute("PRAGMA journal_mode = WAL")
                migrate(self._writer)
            self._reader = self._connect(if_it_fails)
            with self._errors():
                self._reader.execute("PRAGMA query_only = ON")
            self._reserve.take()
            if_it_fails.pop_all()

    @contextmanager
    def write(self, *, deleting: bool = False) -> Iterator[sqlite3.Connection]:
        """A transaction that is committed at the end of the block, or leaves everything as it was.

        Args:
            deleting: may use the room that is kept for it: deleting needs some, too, and is what a full disk asks for.
        """
        with self._write_lock, self._errors():
            self._require_open()
            if deleting:
                self._reserve.give()
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                # A full disk may have ended the transaction already.
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """What is in the file at one moment, whatever is written meanwhile."""
        with self._read_lock, self._errors():
            self._require_open()
            self._reader.execute("BEGIN")
            try:
                yield self._reader
            finally:
                self._reader.execute("ROLLBACK")

    def forget(self) -> None:
        """Moves the write-ahead log into the file and empties it: what was deleted is in neither. Takes the room for
        the next deletion."""
        with self._write_lock, self._read_lock, self._errors():
            self._require_open()
            busy = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        self._reserve.take()
        if busy:
            raise StorageError(
                f"{self.path} is being read by another program.",
                why="What was deleted is gone from the list, but may still be found in the file chats.db-wal.",
                hint="Close the other program and delete something again, or quit Hearth.",
            )

    def close(self) -> None:
        with self._write_lock, self._read_lock:
            if self._closed:
                return
            self._closed = True
            self._reader.close()
            self._writer.close()  # the last one: moves the log into the file and removes it
            self._process_lock.release()

    def _require_open(self) -> None:
        if self._closed:
            raise StorageError(f"{self.path} is closed.", why="Hearth is shutting down.")

    def _check(self, newest: int, application_id: int) -> None:
        """Looks at the file before anything is written to it, and makes it if it is not there."""
        try:
            # Made here, since SQLite would let others read it; the log gets the same mode.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            if os.name == "posix":
                self.path.chmod(0o600)
            size_bytes = self.path.stat().st_size
        except OSError as error:
            raise _os_error(self.path, error) from error
        if not size_bytes:
            return
        with self._errors():
            connection = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)
            try:
                version: int = connection.execute("PRAGMA user_version").fetchone()[0]
                owner: int = connection.execute("PRAGMA application_id").fetchone()[0]
                if owner != application_id and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    raise CorruptFile(
                        f"{self.path} holds no conversations of Hearth.",
                        why="It is a database of another program.",
                        hint="Choose another folder with --data; this file was left as it is.",
                    )
                if owner == application_id and version < 1:
                    raise _damaged(self.path, f"format {version}, which never was")
                if version > newest:
                    raise Unsupported(
                        f"{self.path} was written by a newer Hearth (format {version}; this one knows {newest}).",
                        hint="Update Hearth. The file was left as it is.",
                    )
                if size_bytes <= MAX_CHECKED_BYTES:
                    found: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
                    if found != "ok":
                        raise _damaged(self.path, found)
            finally:
                connection.close()

    def _connect(self, if_it_fails: ExitStack) -> sqlite3.Connection:
        with self._errors():
            connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            if_it_fails.callback(connection.close)
            # NORMAL: a process that is killed loses nothing; a power cut may take the last moments, never the file.
            for pragma in (
                "synchronous = NORMAL",
                "foreign_keys = ON",
                "secure_delete = ON",
                "temp_store = MEMORY",
                "trusted_schema = OFF",
                "cell_size_check = ON",
                "journal_size_limit = 1048576",
            ):
                connection.execute(f"PRAGMA {pragma}")
        return connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            translated = _translated(self.path, error)
            if translated is None:
                raise
            raise translated from error
        except (UnicodeDecodeError, json.JSONDecodeError) as error:  # what was written was a text, and JSON
            raise _damaged(self.path, str(error)) from error


class _Reserve:
    """A file that holds nothing but room on the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def take(self) -> None:
        """Where there is no room, or none can be taken ahead, there is none for deleting either."""
        with suppress(OSError, AttributeError), os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)) as file:
            os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)

    def give(self) -> None:
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def _translated(path: Path, error: sqlite3.Error) -> HearthError | None:
    """None for what can only be a mistake of Hearth's own."""
    extended = getattr(error, "sqlite_errorcode", 0)
    code = extended & 0xFF
    if code in _DAMAGED or extended in _INCONSISTENT:
        return _damaged(path, str(error))
    if code in _FULL:
        return StorageError(
            f"The disk is full: {path} cannot grow.",
            why="Nothing of what was there is lost.",
            hint="Free some space and try again.",
        )
    if code in _BUSY:
        return StorageError(f"{path} is in use by another program.", hint="Close it and try again.")
    if not isinstance(error, (sqlite3.OperationalError, sqlite3.IntegrityError)):
        return None
    # A text that is no UTF-8; a table or column that is not there; rows that contradict each other.
    if code in (0, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT):
        return _damaged(path, str(error))
    return StorageError(f"{path} cannot be read or written:", why=f"{error}.", hint="Look at the disk's health.")


def _damaged(path: Path, found: str) -> CorruptFile:
    return CorruptFile(
        f"{path} is damaged and was left as it is.",
        why=f"Found in it: {found}.",
        hint="Put a copy in its place if you have one, or rename it to begin anew."
        " `sqlite3 chats.db .recover` saves what can be read.",
    )


def _os_error(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path} cannot be opened:", why=f"{error.strerror or error}.", hint="Choose another folder with --data."
    )
