"""Calls written as JSON objects with a name and arguments: read here for all families that write them so."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from hearth.chat.tools.pycalls import PythonCallReader
from hearth.chat.tools.reader import Chars, NotACall, decoded_object, raw_name
from hearth.chat.tools.types import Tool

ARGUMENTS = ("arguments", "parameters")  # models mix them up
FENCE = "```"
FENCE_WORDS = ("", "json", "tool_call", "tool_code")


@dataclass(frozen=True)
class CallKeys:
    """What the members of a call are called besides its arguments.

    Attributes:
        id_first: an id stands before the name, else after the arguments.
    """

    name: str = "name"
    id: str = "id"
    id_first: bool = False


KEYS = CallKeys()


@dataclass(frozen=True)
class JsonSyntax:
    """What stands around the objects, and in them.

    Attributes:
        markers: texts that begin calls anywhere in an answer.
        bare: an object that begins a line is a call, too. Nothing but its name then tells it from other JSON, so no
            other key but `type` may come before that.
        fenced: the same within a fenced block, where a call may also be written as Python does.
        closers: texts that may end calls.
        separators: characters that may stand between calls outside a list.
        keys: of the objects.
    """

    markers: tuple[str, ...] = ()
    bare: bool = False
    fenced: bool = False
    closers: tuple[str, ...] = ()
    separators: str = ""
    keys: CallKeys = KEYS

    @property
    def starts(self) -> tuple[str, ...]:
        """Texts that may begin calls at the beginning of a line."""
        return ("{",) * self.bare + (FENCE,) * self.fenced


@dataclass
class _Call:
    """What has been read of a call.

    Attributes:
        bare: no marker told it from other JSON.
        arguments: their text where it came before the name, or as a whole.
        passed: they have been passed on.
    """

    bare: bool
    name: str = ""
    arguments: str = ""
    passed: bool = False


class JsonCallReader(PythonCallReader):
    """Reads `marker [{"name": ..., "arguments": {...}}, ...] closer` and the like."""

    def __init__(self, tools: Sequence[Tool], syntax: JsonSyntax) -> None:
        super().__init__(tools, syntax.markers, syntax.starts)
        self._syntax = syntax

    def read_calls(self, marker: str) -> Generator[None, str, None]:
        """One object, several, or a list of them."""
        if marker == FENCE:
            char = yield from self._after_fence()
            read = self.json_calls if char in ("{", "[") else self.python_call
            yield from self.closing((FENCE,), (yield from read(char, bare=True)))
        elif marker == "{":
            char = yield from self.json_calls("{", bare=True)
            yield from self.closing((FENCE,) * self._syntax.fenced, char)
        else:
            char = yield from self.json_calls((yield from self.space()), bare=False)
            yield from self.closing(self._syntax.closers, char)

    def json_calls(self, char: str, *, bare: bool) -> Chars:
        """Objects from `char` on; returns the first character that belongs to none."""
        in_list = char == "["
        if in_list:
            char = yield from self.space()
        while True:
            yield from self._call(char, _Call(bare))
            self.settle()
            char = yield from self.space()
            if in_list and char == "]":
                self.drop()
                return (yield from self.space())
            if char and char in ("," if in_list else self._syntax.separators):
                char = yield from self.space()
            elif in_list or char != "{":
                return char

    def _after_fence(self) -> Chars:
        """Skips the word after a fence, and white space; returns what comes then."""
        word = ""
        char = yield from self.next()
        while char.isalpha() or char == "_":
            word += char
            char = yield from self.next()
        if word not in FENCE_WORDS:
            raise NotACall
        return (yield from self.space(char))

    def _call(self, char: str, call: _Call) -> Generator[None, str, None]:
        """One object. It is announced as soon as it is certain, which is where the arguments of a known name begin."""
        yield from self._object(char, call)
        if not call.name:
            raise NotACall
        if not call.passed:
            self.announce(call.name)
            self.pass_on("{}")

    def _object(self, char: str, call: _Call) -> Generator[None, str, None]:
        if char != "{":
            raise NotACall
        char = yield from self.space()
        while True:
            if char != '"':
                raise NotACall
            key, char = yield from self.value(char)
            if (yield from self.space(char)) != ":":
                raise NotACall
            char = yield from self._member(key[1:-1], (yield from self.space()), call)
            char = yield from self.space(char)
            if char == "}":
                return
            if char != ",":
                raise NotACall
            char = yield from self.space()

    def _member(self, key: str, char: str, call: _Call) -> Chars:
        """The value of one key; returns the character after it."""
        if key == "type":
            text, char = yield from self.value(char)
            if text != '"function"':
                raise NotACall
        elif key == "function" and char == "{" and not (call.bare or call.name or call.arguments):
            # OpenAI's form: {"type": "function", "function": {"name": ..., "arguments": ...}}
            yield from self._object(char, call)
            char = yield from self.next()
        elif key == self._syntax.keys.name and not call.name:
            text, char = yield from self.value(char)
            call.name = raw_name(text)
            if call.name not in self.tools:
                raise NotACall
            if call.arguments:
                self._pass_whole(call)
        elif call.bare and not call.name:
            raise NotACall
        elif key in ARGUMENTS and not call.arguments and not call.passed:
            char = yield from self._arguments(char, call)
        elif key == self._syntax.keys.id:
            _, char = yield from self.value(char)
        else:
            raise NotACall
        return char

    def _arguments(self, char: str, call: _Call) -> Chars:
        """Passes arguments on as they come if the name is known, else keeps them; returns the character after them."""
        if call.name and char == "{":
            self.announce(call.name)
            call.passed = True
            return (yield from self.arguments(char))
        text, char = yield from self.value(char)
        found = decoded_object(text)
        if found is None:
            raise NotACall
        call.arguments = found
        if call.name:
            self._pass_whole(call)
        return char

    def _pass_whole(self, call: _Call) -> None:
        self.announce(call.name)
        self.pass_on(call.arguments)
        call.passed = True
