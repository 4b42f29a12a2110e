"""Calls written as JSON objects with a name and arguments: read here for all families that write them so."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from hearth.chat.tools.reader import CallReader, NotACall, decoded_object, raw_name
from hearth.chat.tools.types import Tool

_ARGUMENTS = ("arguments", "parameters")  # models mix them up
_OTHERS = ("id", "type")


@dataclass(frozen=True)
class JsonSyntax:
    """What stands around the objects.

    Attributes:
        markers: texts that begin calls anywhere in an answer.
        starts: texts that begin calls at the beginning of an answer. One that ends with "{" has begun the object.
        closers: texts that may end them.
        separator: between calls outside a list; "" where each has its own marker.
        name_first: an object that begins with another key is no call. For calls that no marker tells from other JSON.
    """

    markers: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    closers: tuple[str, ...] = ()
    separator: str = ""
    name_first: bool = False


class JsonCallReader(CallReader):
    """Reads `marker [{"name": ..., "arguments": {...}}, ...] closer` and the like."""

    def __init__(self, tools: Sequence[Tool], syntax: JsonSyntax) -> None:
        super().__init__(tools, syntax.markers, syntax.starts)
        self._syntax = syntax

    def read_calls(self, marker: str) -> Generator[None, str, None]:
        """One object, several, or a list of them."""
        char = "{" if marker.endswith("{") else (yield from self.space())
        in_list = char == "["
        if in_list:
            char = yield from self.space(" ")
        while True:
            yield from self._object(char)
            self.settle()
            char = yield from self.space()
            if in_list and char == "]":
                self.drop()
                char = yield from self.space()
                break
            if char == ("," if in_list else self._syntax.separator):
                char = yield from self.space()
            elif in_list or char != "{" or not self._syntax.closers:
                break
        yield from self.closing(self._syntax.closers, char)

    def _object(self, char: str) -> Generator[None, str, None]:
        """One call. It is announced as soon as it is certain, which is where the arguments of a known name begin."""
        if char != "{":
            raise NotACall
        name, arguments, passed = "", "", False
        char = yield from self.space()
        while True:
            if char != '"':
                raise NotACall
            key, char = yield from self.value(char)
            if (yield from self.space(char)) != ":":
                raise NotACall
            char = yield from self.space()
            if key == '"name"' and not name:
                text, char = yield from self.value(char)
                name = raw_name(text)
                if name not in self.tools:
                    raise NotACall
                if arguments:
                    self.announce(name)
                    self.pass_on(arguments)
                    passed = True
            elif self._syntax.name_first and not name:
                raise NotACall
            elif key[1:-1] in _ARGUMENTS and not arguments and not passed:
                arguments, char = yield from self._arguments(name, char)
                passed = bool(name)
            elif key[1:-1] in _OTHERS:
                _, char = yield from self.value(char)
            else:
                raise NotACall
            char = yield from self.space(char)
            if char == "}":
                break
            if char != ",":
                raise NotACall
            char = yield from self.space()
        if not name:
            raise NotACall
        if not passed:
            self.announce(name)
            self.pass_on("{}")

    def _arguments(self, name: str, char: str) -> Generator[None, str, tuple[str, str]]:
        """The arguments' text where the name is not known yet, and the character after them."""
        if name and char == "{":
            self.announce(name)
            return "", (yield from self.arguments(char))
        text, char = yield from self.value(char)
        found = decoded_object(text)
        if found is None:
            raise NotACall
        if name:
            self.announce(name)
            self.pass_on(found)
        return found, char
