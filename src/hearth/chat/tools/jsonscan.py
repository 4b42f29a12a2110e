"""Where a JSON value ends, told while it streams in; the value itself is never built.

A pushdown automaton over characters (RFC 8259): it knows at every moment whether what has come can still become JSON.
"""

from __future__ import annotations

import re

SPACE = " \t\n\r"
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_ATOM_CHARS = frozenset("+-.0123456789abcdefghijklmnopqrstuvwxyzE")
_ESCAPED = frozenset('"\\/bfnrtu')
_HEX = frozenset("0123456789abcdefABCDEF")
MAX_DEPTH = 200


class JsonScanner:
    """Reads one JSON value, character by character.

    Attributes:
        done: the value is complete.
        broken: it cannot become JSON any more.
    """

    def __init__(self) -> None:
        self.done = False
        self.broken = False
        self._open: list[str] = []  # brackets
        self._state = "value"
        self._atom = ""  # of a number, true, false or null
        self._hex_left = 0
        self._is_key = False

    def push(self, char: str) -> bool:
        """Takes a character; False where it is no part of the value.

        That is so after the end of a number (which only its successor shows), and where the value is broken.
        """
        if self.done or self.broken:
            return False
        if self._state == "atom":
            if char in _ATOM_CHARS:
                self._atom += char
                return True
            if not is_atom(self._atom):
                return self._fail()
            if not self._value_ends():
                return False
        return self._step(char)

    def finish(self) -> None:
        """There is no more text: a number that stands alone is complete now."""
        if self._state == "atom" and not self._open and is_atom(self._atom):
            self.done = True

    def _step(self, char: str) -> bool:
        state = self._state
        if state == "string":
            return self._string(char)
        if state == "escape":
            return self._escape(char)
        if char in SPACE:
            return True
        if state in ("value", "value or end"):
            return self._value(char)
        if state in ("key", "key or end"):
            if char == '"':
                self._state, self._is_key = "string", True
                return True
            return self._close(char) if state == "key or end" else self._fail()
        if state == "colon":
            self._state = "value"
            return char == ":" or self._fail()
        if char == ",":
            self._state = "key" if self._open[-1] == "{" else "value"
            return True
        return self._close(char)

    def _value(self, char: str) -> bool:
        if char == "]" and self._state == "value or end":
            return self._close(char)
        if char in "{[":
            if len(self._open) == MAX_DEPTH:
                return self._fail()
            self._open.append(char)
            self._state = "key or end" if char == "{" else "value or end"
        elif char == '"':
            self._state, self._is_key = "string", False
        elif char in _ATOM_CHARS:
            self._state, self._atom = "atom", char
        else:
            return self._fail()
        return True

    def _string(self, char: str) -> bool:
        if char == "\\":
            self._state = "escape"
        elif char == '"':
            if self._is_key:
                self._state = "colon"
            else:
                self._value_ends()
        elif char < " ":
            return self._fail()
        return True

    def _escape(self, char: str) -> bool:
        if self._hex_left:
            if char not in _HEX:
                return self._fail()
            self._hex_left -= 1
        elif char not in _ESCAPED:
            return self._fail()
        elif char == "u":
            self._hex_left = 4
        if not self._hex_left:
            self._state = "string"
        return True

    def _close(self, char: str) -> bool:
        if not self._open or char != {"{": "}", "[": "]"}[self._open[-1]]:
            return self._fail()
        self._open.pop()
        self._value_ends()
        return True

    def _value_ends(self) -> bool:
        """Whether it was a part of the whole value."""
        self._state = "comma or end"
        self.done = not self._open
        return not self.done

    def _fail(self) -> bool:
        self.broken = True
        return False


def is_atom(text: str) -> bool:
    """Whether the text is a number, true, false or null."""
    return text in ("true", "false", "null") or _NUMBER.fullmatch(text) is not None
