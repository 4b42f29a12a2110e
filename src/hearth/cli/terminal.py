"""What the user's terminal takes: its width, colours; and text for the user, wrapped between words.

Standard output belongs to answers and tables; everything here goes to standard error unless told otherwise.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from typing import Any, TextIO

import click

_NARROWEST = 20
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def is_terminal(stream: TextIO | None = None) -> bool:
    """Whether somebody looks at the stream (standard error unless given)."""
    stream = stream or sys.stderr
    return stream is not None and stream.isatty()


def has_color(stream: TextIO | None = None) -> bool:
    """Whether the stream takes colours: a terminal that is not dumb, and nobody set NO_COLOR (https://no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def columns(stream: TextIO | None = None) -> int | None:
    """The width of a terminal; None for a pipe or file, whose lines are left as they are."""
    return max(shutil.get_terminal_size().columns, _NARROWEST) if is_terminal(stream) else None


def styled(text: str, stream: TextIO | None = None, **style: Any) -> str:
    """Text in a style of `click.style`, where the stream takes colours."""
    return click.style(text, **style) if has_color(stream) else text


def cells(text: str) -> int:
    """Columns that a text takes: Chinese characters take two, accents that combine none."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def without_controls(text: str) -> str:
    """Text without what a terminal could take for a command: a model, a file's name, a template may bring it."""
    return _CONTROLS.sub("", text)


def wrapped(text: str, width: int | None, *, indent: int = 0) -> str:
    """Text with lines broken between words; a word (a name, a command, a path) is never cut.

    Args:
        width: None leaves the text as it is.
        indent: columns that are taken before the first line, and blank before the others.
    """
    if width is None:
        return text
    lines = []
    for line in text.split("\n"):
        used, words = indent, line.split(" ")
        parts = [words[0]]
        used += cells(words[0])
        for word in words[1:]:
            if used + 1 + cells(word) > width and used > indent:
                parts.append("\n" + " " * indent + word)
                used = indent + cells(word)
            else:
                parts.append(" " + word)
                used += 1 + cells(word)
        lines.append("".join(parts))
    return ("\n" + " " * indent).join(lines)


def tell(text: str, *, label: str = "", **style: Any) -> None:
    """One message for the user. `style` is the label's, or the text's where there is no label."""
    head = f"{label}: " if label else ""
    body = wrapped(without_controls(text), columns(), indent=len(head))
    click.echo(styled(head, **style) + body if label else styled(body, **style), err=True)


def note(text: str) -> None:
    """Something that the user should know and need not act on."""
    tell(text, label="Note")


def tell_error(what: str, why: str, hint: str) -> None:
    """The one form in which errors are told: what happened, why, what to do."""
    if what.endswith(":"):  # in one line with its cause elsewhere; here each has a line and is a sentence of its own
        what, why = what[:-1] + ".", why[:1].upper() + why[1:] if why.partition(" ")[0].isalpha() else why
    for label, text, color in (("Error", what, "red"), ("Why", why, None), ("Try", hint, "green")):
        if text:
            tell(text, label=label, fg=color, bold=True)
