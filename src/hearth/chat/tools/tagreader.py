"""Reads calls that are tags (`tags.py`) out of an answer, values as they come."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence

from hearth.chat.tools.jsonscan import SPACE
from hearth.chat.tools.reader import END, CallReader, NotACall, in_string
from hearth.chat.tools.schema import arguments_schema
from hearth.chat.tools.tags import TagSyntax
from hearth.chat.tools.types import Tool
from hearth.chat.tools.values import Values, values_of

_LONGEST_NAME = 200


class TagReader(CallReader):
    """Tells calls of one syntax from text in one answer; a `ToolParser`.

    Args:
        starts: what begins a call at the beginning of a line, without the first tag.
    """

    def __init__(self, tools: Sequence[Tool], syntax: TagSyntax, starts: Sequence[str] = ()) -> None:
        super().__init__(tools, (syntax.begin or syntax.function,), starts)
        self._syntax = syntax

    def read_calls(self, marker: str) -> Generator[None, str, None]:
        """One call, or those of a block; others have their own markers."""
        syntax = self._syntax
        if marker != syntax.function and syntax.function:
            yield from self.literal((syntax.function,), (yield from self.space()))
        yield from self._call()
        while syntax.several:
            found = yield from self.maybe((syntax.function, syntax.end), (yield from self.space()))
            if found != syntax.function:
                if found:
                    self.drop()
                return
            yield from self._call()
        if syntax.end:
            yield from self.closing((syntax.end,), (yield from self.space()))

    def _call(self) -> Generator[None, str, None]:
        """From the name to the tag after the arguments."""
        syntax = self._syntax
        name, char = yield from self._name(syntax.name_end)
        if name not in self.tools:
            raise NotACall
        schema = arguments_schema(self.tools[name])
        properties = schema.get("properties", {})
        self.announce(name)
        self.pass_on("{")
        seen: set[str] = set()
        while True:
            found = yield from self.literal((syntax.parameter, syntax.function_end), (yield from self.space(char)))
            if found == syntax.function_end:
                break
            key, _ = yield from self._name(syntax.key_end)
            if key in seen:
                raise NotACall
            yield from self._argument(key, values_of(properties.get(key, True), schema), first=not seen)
            seen.add(key)
            char = " "
        self.pass_on("}")
        self.settle()

    def _argument(self, key: str, values: Values, *, first: bool) -> Generator[None, str, None]:
        """What follows on a key, to the tag after the value."""
        syntax = self._syntax
        is_text: bool | None = None
        if syntax.typed:
            is_text = (yield from self.literal(syntax.typed, (yield from self.next()))) == syntax.typed[0]
        if syntax.value_begin:
            yield from self.literal((syntax.value_begin,), (yield from self.space()))
        self.pass_on(("" if first else ", ") + json.dumps(key, ensure_ascii=False) + ": ")
        yield from self._value(values, is_text)

    def _name(self, end: str) -> Generator[None, str, tuple[str, str]]:
        """Up to what ends a name, which is not passed on; where nothing does, to white space or a tag, and that
        character."""
        name = ""
        while True:
            char = yield from self.next()
            if not end and (char in SPACE or char == "<"):
                return name, char
            name += char
            if end and name.endswith(end):
                return name.removesuffix(end), " "
            if char == END or char == "\n" or len(name) > _LONGEST_NAME:
                raise NotACall

    def _value(self, values: Values, is_text: bool | None) -> Generator[None, str, None]:
        """Up to the closing tag. What is certainly text is passed on as it comes, else the whole value decides.

        Args:
            is_text: what the tags say of it; None where they say nothing.
        """
        value_end = self._syntax.value_end
        char = yield from self.next()
        on_lines = char == "\n" and self._syntax.on_lines  # then the line ends beside the tags are no part of it
        end = "\n" + value_end if on_lines else value_end
        value = begun = ""  # what came of the value and is held; of the closing tag
        passing = is_text if is_text is not None else values.only_text
        if passing:
            self.pass_on('"')
        while True:
            begun += char
            while not end.startswith(begun):
                settled, begun = begun[0], begun[1:]
                if on_lines:
                    on_lines = False
                elif passing:
                    self.pass_on(in_string(settled))
                else:
                    value += settled
                    undecided = is_text is None and values.text and not values.schemas
                    if undecided and not values.begins_word(value):
                        passing = True
                        self.pass_on('"' + in_string(value))
            if begun == end:
                break
            if char == END:
                begun = begun[on_lines:]
                self.pass_on(in_string(begun) if passing else value + begun)
                raise NotACall
            char = yield from self.next()
        self.pass_on('"' if passing else values.json_of(value))
