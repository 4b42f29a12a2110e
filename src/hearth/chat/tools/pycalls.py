"""Calls written as Python does, which some models fall into: `get_weather(city="Paris", days=3)`."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from typing import Any

from hearth.chat.tools.reader import END, CallReader, Chars, NotACall
from hearth.chat.tools.types import Tool

_MAX_CHARS = 1 << 16
_JSON_WORDS = {"true": True, "false": False, "null": None}  # as a model that knows JSON writes them


class PythonCallReader(CallReader):
    """A reader with `python_call`."""

    def python_call(self, char: str, *, bare: bool) -> Chars:
        """A call whose name begins with `char`, also as what `print` is given; returns the character after it."""
        name, char = yield from self._name(char)
        if name == "print" and char == "(" and name not in self.tools:
            name, char = yield from self._name((yield from self.space()))
        if char != "(" or name not in self.tools:
            raise NotACall
        text = yield from self._until_closed()
        arguments = _arguments(text, self.tools[name])
        self.announce(name)
        self.pass_on(json.dumps(arguments, ensure_ascii=False))
        self.settle()
        char = yield from self.space()
        if char == ")":  # of `print`
            self.drop()
            char = yield from self.space()
        return char

    def _name(self, char: str) -> Any:
        name = ""
        while char != END and (char.isalnum() or char in "_.-") and len(name) <= 128:
            name += char
            char = yield from self.next()
        return name, (yield from self.space(char))

    def _until_closed(self) -> Chars:
        """The text between a parenthesis that has been read and the one that closes it."""
        text, depth, quote = "", 1, ""
        while True:
            char = yield from self.next()
            if char == END or len(text) > _MAX_CHARS:
                raise NotACall
            if quote:
                if char == "\\":
                    text += char
                    char = yield from self.next()
                elif char == quote:
                    quote = ""
            elif char in "\"'":
                quote = char
            elif char in "([{":
                depth += 1
            elif char in ")]}":
                depth -= 1
                if not depth:
                    return text
            text += char


def _arguments(text: str, tool: Tool) -> dict[str, Any]:
    """What stands between the parentheses, by name; those without one are named in the order of the tool's schema.

    Raises:
        NotACall: it is no literals, or there are more than names.
    """
    names: Sequence[str] = list(tool.parameters.get("properties", ()))
    try:
        call = ast.parse(f"f({text}\n)", mode="eval").body
        if not isinstance(call, ast.Call) or len(call.args) > len(names):
            raise NotACall
        values = {name: _value(node) for name, node in zip(names, call.args, strict=False)}
        for keyword in call.keywords:
            if keyword.arg is None or keyword.arg in values:
                raise NotACall
            values[keyword.arg] = _value(keyword.value)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NotACall from error
    return values


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Name(id=word) if word in _JSON_WORDS:
            return _JSON_WORDS[word]
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item) for item in items]
        case ast.Dict(keys=keys, values=values):
            texts = [ast.literal_eval(key) if key is not None else None for key in keys]
            if not all(isinstance(key, str) for key in texts):
                raise NotACall
            return dict(zip(texts, map(_value, values), strict=True))
    value = ast.literal_eval(node)
    if not isinstance(value, str | int | float | bool | None):
        raise NotACall
    return value
