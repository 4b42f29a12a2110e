"""What the families share whose calls are JSON objects between markers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from hearth.chat.tools.history import Message, normalized
from hearth.chat.tools.jsoncalls import JsonCallReader, JsonSyntax
from hearth.chat.tools.lark import Markers, call_rules, callable_tools, named_object, no_call_at_start, whole_answer
from hearth.chat.tools.types import Choice, Tool, ToolParser


class JsonFormat(ABC):
    """A `ToolFormat`; a family says its syntax, how calls follow each other, and what its template wants.

    Args:
        control: text -> id of the model's control tokens.

    Attributes:
        name: of the format.
        syntax: what stands around the calls. The first marker is the one that the family writes; with `starts`, a call
            needs none.
        key: of the arguments.
    """

    name: ClassVar[str]
    syntax: ClassVar[JsonSyntax]
    key: ClassVar[str] = "arguments"

    def __init__(self, control: Mapping[str, int] | None = None) -> None:
        self._mark = Markers(control or {})

    @property
    def markers(self) -> tuple[str, ...]:
        """Control tokens that the parser must see as text."""
        return self.syntax.markers + self.syntax.closers

    @abstractmethod
    def calls(self, *, parallel: bool) -> str:
        """Rule `calls`, after the marker: one or more of `call`."""

    def grammar(self, tools: Sequence[Tool], choice: Choice, *, parallel: bool = True) -> str:
        """llguidance grammar (Lark) of a whole answer, thinking excluded. Arguments follow the tools' schemas."""
        chosen = callable_tools(tools, choice)
        markers, starts = self.syntax.markers, self.syntax.starts
        rules = [self.calls(parallel=parallel), call_rules(chosen, named_object(self.key))]
        # The greedy lexer of llguidance would never end a call that is also the beginning of some free text.
        but = no_call_at_start(chosen, starts) if starts else ""
        if choice.mode in ("auto", "none") and markers:
            rules.append(self._mark.after_text(markers, but=but))
        return whole_answer(
            choice,
            must="" if starts else self._mark(markers[0]),
            may=[""] * bool(starts) + ["opening"] * bool(markers),
            rules=rules,
            but=but,
        )

    def parser(self, tools: Sequence[Tool]) -> ToolParser:
        """For one answer."""
        return JsonCallReader(tools, self.syntax)

    def prepare(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Tool] = ()) -> list[Message]:
        """A conversation in OpenAI's form, calls and results included, as the model's template wants it."""
        return normalized(messages)

    def describe(self, tools: Sequence[Tool]) -> str:
        """Text for the system prompt that tells of the tools; "" where the template itself does."""
        return ""
