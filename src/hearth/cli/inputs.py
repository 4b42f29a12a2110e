"""What a user gives as text: arguments, pipes, lines, files. All of it may hold bytes that are no UTF-8.

Text to be asked about is used as far as it can be read, and what could not be is told; a file that is a program's input
(a schema, a grammar, a text to measure with) must be right as a whole.
"""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from hearth.cli.terminal import note
from hearth.errors import StorageError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_CHARS = 64 << 20
_PATIENCE_S = 2.0


def prepare_streams() -> None:
    """Makes standard streams take any text: once, before anything is read or written."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character shows another one; an answer must not end in an exception.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    if sys.stdin is not None and hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="surrogateescape")  # `readable` finds and tells them


def readable(text: str, what: str) -> str:
    """The text with U+FFFD for whatever is no UTF-8 in it, and a word to the user about that.

    Args:
        what: where the text comes from, for the message.
    """
    from hearth.chat.utf8 import clean_text

    clean, replaced = clean_text(text)
    if replaced:
        are = "byte is" if replaced == 1 else "bytes are"
        note(f"{what}: {replaced} {are} no UTF-8 and became \N{REPLACEMENT CHARACTER}. Try: iconv -f latin1 -t utf-8")
    return clean


def read_file(path: str | Path, *, limit: int | None = None) -> str:
    """A file of UTF-8 text, with or without a byte-order mark.

    Args:
        limit: read at most so many characters.

    Raises:
        UsageError: it is no UTF-8. StorageError: it cannot be read.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            return file.read(-1 if limit is None else limit)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no UTF-8 text.", why=f"Byte {error.start} does not belong there.") from error
    except OSError as error:
        raise StorageError(f"{path} cannot be read.", why=f"{error.strerror or error}.") from error


def read_pictures(paths: Sequence[str]) -> list[NDArray[np.uint8]]:
    """The pixels of pictures, before time goes into opening a model.

    Raises:
        StorageError, CorruptFile, Unsupported: a file is no sound picture.
    """
    if not paths:
        return []
    from hearth.image import read_image

    return [read_image(path) for path in paths]


def has_piped_text() -> bool:
    """Whether standard input is something that text may come from: neither a terminal nor /dev/null."""
    if sys.stdin is None or sys.stdin.isatty():
        return False
    try:
        kind = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):  # no real file: a test's
        return True
    return stat.S_ISFIFO(kind) or stat.S_ISREG(kind) or stat.S_ISSOCK(kind)


def piped_text(*, wait: bool) -> str:
    """What comes through standard input; "" where nothing can.

    Args:
        wait: whether it is all there is to ask, so that waiting for it needs no word.
    """
    if not has_piped_text():
        return ""
    if not wait and _is_silent(sys.stdin):
        # A program that started us may have left a pipe open that nobody will ever write to.
        note("Waiting for standard input to end ... (add < /dev/null if there is nothing to read)")
    return readable(sys.stdin.read(MAX_CHARS), "Standard input")


def _is_silent(stream: TextIO) -> bool:
    """Whether nothing comes for a while."""
    try:
        if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            return False
        return not select.select([stream], [], [], _PATIENCE_S)[0]
    except (OSError, ValueError):
        return False
