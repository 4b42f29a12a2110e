"""What the families share whose calls are JSON objects between markers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from hearth.chat.structured_rules import Gap
from hearth.chat.tools.history import Message, normalized
from hearth.chat.tools.jsoncalls import JsonCallReader, JsonSyntax
from hearth.chat.tools.jsongrammar import BareCalls, call_rules
from hearth.chat.tools.lark import Markers, callable_tools, whole_answer
from hearth.chat.tools.types import Choice, Tool, ToolParser


class JsonFormat(ABC):
    """A `ToolFormat`; a family says its syntax, how calls follow each other, and what its template wants.

    Args:
        control: text -> id of the model's control tokens.

    Attributes:
        name: of the format.
        syntax: what stands around the calls. The first marker is the one that the family writes.
        key: of the arguments.
    """

    name: ClassVar[str]
    syntax: ClassVar[JsonSyntax]
    key: ClassVar[str] = "arguments"
    opens: ClassVar[tuple[str, ...]] = ("{", "[")

    def __init__(self, control: Mapping[str, int] | None = None) -> None:
        self._mark = Markers(control or {})

    @property
    def markers(self) -> tuple[str, ...]:
        """Control tokens that the parser must see as text."""
        return self.syntax.markers + self.syntax.closers

    @property
    def begins(self) -> tuple[str, ...]:
        """Texts that begin calls."""
        return self.syntax.markers

    @abstractmethod
    def calls(self, *, parallel: bool) -> str:
        """Rule `calls`, after a marker: one or more of `call`."""

    def grammar(self, tools: Sequence[Tool], choice: Choice, *, parallel: bool = True) -> str:
        """llguidance grammar (Lark) of a whole answer, thinking excluded. Arguments follow the tools' schemas."""
        chosen, markers = callable_tools(tools, choice), self.syntax.markers
        if not self.syntax.starts:
            rules = [self.calls(parallel=parallel), *call_rules(chosen, keys=self.syntax.keys)]
            if choice.free:
                rules.append(self._mark.after_text(markers))
            return whole_answer(choice, self._mark(markers[0]), rules)
        bare = BareCalls(chosen, self.syntax, parallel=parallel)
        rules = call_rules(chosen, wrapped=False)
        if not choice.free:
            return "\n".join(["start: begin", *bare.required(), *rules])
        if markers:
            rules.append(self.calls(parallel=parallel))
        return "\n".join(["start: begin", *bare.free(self._mark), *rules])

    def gaps(self, tool: Tool, place: str) -> tuple[Gap, ...]:
        """None: JSON holds whatever a schema says."""
        return ()

    def parser(self, tools: Sequence[Tool], *, marked: bool = False) -> ToolParser:
        """For one answer."""
        return JsonCallReader(tools, replace(self.syntax, bare=False, fenced=False) if marked else self.syntax)

    def prepare(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Tool] = ()) -> list[Message]:
        """A conversation in OpenAI's form, calls and results included, as the model's template wants it."""
        return normalized(messages)

    def describe(self, tools: Sequence[Tool]) -> str:
        """Text for the system prompt that tells of the tools; "" where the template itself does."""
        return ""
