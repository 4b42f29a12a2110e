"""Text that UTF-8 cannot hold: halves of surrogate pairs.

Python makes them out of bytes that are no UTF-8 (arguments of a command, names of files) and out of JSON that cuts a
character in two. No tokenizer takes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from hearth.errors import UsageError

_SURROGATE = re.compile("[\ud800-\udfff]")


def clean_text(text: str) -> tuple[str, int]:
    """The text as UTF-8 can hold it, and how many characters were replaced.

    Two halves that belong together become their character; any other half becomes U+FFFD.
    """
    if _SURROGATE.search(text) is None:
        return text, 0
    clean = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return clean, clean.count("\ufffd") - text.count("\ufffd")


def check_text(value: Any, where: str) -> None:
    """Looks through plain data for text that UTF-8 cannot hold.

    Args:
        where: what the value is, for the message.

    Raises:
        UsageError: there is some; says where.
    """
    if isinstance(value, str):
        found = None if value.isascii() else _SURROGATE.search(value)
        if found is not None:
            raise UsageError(
                f"{where} holds half of a character at position {found.start()}:",
                why=f"U+{ord(found[0]):04X} is one half of a surrogate pair, which UTF-8 cannot hold.",
                hint="Read bytes with errors='replace', and cut texts between characters.",
            )
    elif isinstance(value, Mapping):
        for key, item in value.items():
            check_text(key, where)
            check_text(item, f"{where}, {key!r}," if isinstance(item, str) else where)
    elif isinstance(value, (list, tuple)):
        for item in value:
            check_text(item, where)


def texts_in(value: Any) -> Iterator[str]:
    """Every text in plain data, names of fields included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from texts_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from texts_in(item)
