"""Earlier calls as text of the assistant's turn, for templates that teach a form but leave the calls out (SmolLM 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from hearth.chat.literal import behind
from hearth.chat.structured_rules import Gap
from hearth.chat.tools.history import Message, normalized, said
from hearth.chat.tools.types import Choice, Tool, ToolFormat, ToolParser


class WritingFormat(ToolFormat, Protocol):
    """A format that can write calls itself."""

    def write(self, calls: Sequence[Message]) -> str:
        """Calls as a model writes them."""


class CallsInText:
    """Another format in all but this: the template never sees `tool_calls`; a `ToolFormat`.

    Args:
        native: the format.
    """

    def __init__(self, native: WritingFormat) -> None:
        self._native = native
        self.name = native.name
        self.markers, self.begins, self.opens = native.markers, native.begins, native.opens

    def grammar(self, tools: Sequence[Tool], choice: Choice, *, parallel: bool = True) -> str:
        """As the format's own."""
        return self._native.grammar(tools, choice, parallel=parallel)

    def gaps(self, tool: Tool, place: str) -> tuple[Gap, ...]:
        """As the format's own."""
        return self._native.gaps(tool, place)

    def parser(self, tools: Sequence[Tool], *, marked: bool = False) -> ToolParser:
        """As the format's own."""
        return self._native.parser(tools, marked=marked)

    def describe(self, tools: Sequence[Tool]) -> str:
        """As the format's own."""
        return self._native.describe(tools)

    def prepare(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Tool] = ()) -> list[Message]:
        """Calls stand after what the turn says."""
        result = normalized(messages)
        for message in result:
            calls = message.pop("tool_calls", None)
            if calls:
                message["content"] = behind(said(message), self._native.write(calls), "\n")
        return result
