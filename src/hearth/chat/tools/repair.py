"""Arguments as they come back in conversations: JSON that may be cut off, or hold halves of characters."""

from __future__ import annotations

import json
import re
from typing import Any

from hearth.chat.utf8 import clean_text

MAX_DEPTH = 200
# How a string may end that was cut: within an escape, or between the two that make one character.
_ESCAPE_BEGUN = r"\\(?:u[0-9a-fA-F]{0,3})?"
_CUT_ESCAPE = re.compile(rf"(?<!\\)((?:\\\\)*)(?:\\u[dD][89abAB][0-9a-fA-F]{{2}}(?:{_ESCAPE_BEGUN})?|{_ESCAPE_BEGUN})$")


def loaded(text: str) -> Any:
    """The value of a JSON text. Halves of surrogate pairs, which no tokenizer takes, become U+FFFD.

    Raises:
        ValueError, RecursionError: it is none.
    """
    value = json.loads(text)
    if "\\ud" in text.lower():
        return json.loads(clean_text(json.dumps(value, ensure_ascii=False))[0])
    return value


def completed_object(text: str) -> dict[str, Any]:
    """The object that the text begins, as far as it came; empty where it begins none.

    A string that was cut keeps what is there of it; a key without its value, and a word that breaks off, are left out.
    """
    closers: list[str] = []
    whole = (0, "")  # the last place where only brackets are missing, and these
    begun = -1  # where the string that is open now begins
    at = 0
    while at < len(text):
        char = text[at]
        if begun >= 0:
            if char == "\\":
                at += 1
            elif char == '"':
                begun = -1
        elif char == '"':
            begun = at
        elif char in "{[":
            closers.append("}" if char == "{" else "]")
            if len(closers) > MAX_DEPTH:
                return {}
            whole = at + 1, "".join(reversed(closers))
        elif char in "}]":
            if not closers or closers.pop() != char:
                break
            whole = at + 1, "".join(reversed(closers))
        elif char == ",":
            whole = at, "".join(reversed(closers))
        at += 1
    end = _CUT_ESCAPE.sub(r"\1", text) + '"' if begun >= 0 else text
    for attempt in (end + "".join(reversed(closers)), text[: whole[0]] + whole[1]):
        try:
            value = loaded(attempt)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return {}
