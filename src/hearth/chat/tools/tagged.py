"""Calls as tags, with values as they are: Qwen 3 Coder's, GLM's, Seed's, MiniMax', DeepSeek's from V3.2 on, and others.

    <tool_call>
    <function=get_weather>
    <parameter=city>
    Paris
    </parameter>
    </function>
    </tool_call>

A string stands there without quotes and escapes, anything else as JSON. What the tags are is in `tags.py`. Models also
leave the first tag of Qwen's form out, or write a parameter in one line (llama.cpp, tests/test-chat.cpp, has cases of
both).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hearth.chat.structured_rules import Gap
from hearth.chat.tools.history import Message, normalized
from hearth.chat.tools.lark import BLANK, MORE_CALLS, End, Markers, callable_tools, either, free_text, pattern
from hearth.chat.tools.repair import completed_object
from hearth.chat.tools.schema import apart
from hearth.chat.tools.tagreader import TagReader
from hearth.chat.tools.tagrules import TagRules
from hearth.chat.tools.tags import TagSyntax
from hearth.chat.tools.types import Choice, Tool, ToolParser


class TaggedCalls:
    """For templates that write calls so; a `ToolFormat`.

    Args:
        syntax: the tags.
        control: text -> id of the model's control tokens.
    """

    def __init__(self, syntax: TagSyntax, control: Mapping[str, int] | None = None) -> None:
        self.name = syntax.name
        self.markers = syntax.texts
        self.begins = (syntax.begin or syntax.function,)
        self.opens = (syntax.function,) if syntax.begin and syntax.function else ()
        self._syntax = syntax
        self._mark = Markers(control or {})

    def grammar(self, tools: Sequence[Tool], choice: Choice, *, parallel: bool = True) -> str:
        """llguidance grammar (Lark) of a whole answer, thinking excluded. Arguments follow the tools' schemas."""
        syntax, chosen = self._syntax, callable_tools(tools, choice)
        rules = [BLANK, self._calls(parallel=parallel), either("function", chosen)]
        for i, tool in enumerate(chosen):
            rules += TagRules(syntax, self._mark).function(tool, i)
        first = self.begins[0]
        begin = self._mark(first)
        if not choice.free:
            return "\n".join([f"start: {begin} calls", *rules])
        ends = [End(pattern(first), "calls")]
        tokens = [(begin, "calls")] if self._mark.is_token(first) else []
        if syntax.bare:
            ends.append(End(pattern(syntax.function), "in_function", at_line=True))
            names = "|".join(pattern(tool.name) for tool in chosen)
            rules.append("in_function: function more blank? | after_function")
            rules += free_text("after_function", ends, tokens=tokens, but=f"({names}){pattern(syntax.name_end)}")
        rules += free_text("begin", ends, tokens=tokens)
        return "\n".join(["start: begin", *rules])

    def _calls(self, *, parallel: bool) -> str:
        """Rule `calls`: all that follows on the first tag."""
        syntax, mark = self._syntax, self._mark
        begin, end = mark(self.begins[0]), mark(syntax.end) if syntax.end else ""
        named = f"blank? {mark(syntax.function)} function" if syntax.begin and syntax.function else "function"
        if syntax.bare:  # what comes without its first tag may also lack the last
            more = f"(blank? {begin} {named} blank? {end}){MORE_CALLS}" if parallel else ""
            return f"calls: {named} more blank?\nmore: (blank? {end} {more})?"
        if syntax.several:
            more = f"({named}){MORE_CALLS}" if parallel else ""
            return f"calls: {named} {more} blank? {end} blank?"
        more = f"(blank? {begin} {named} blank? {end}){MORE_CALLS}" if parallel else ""
        return f"calls: {named} blank? {end} {more} blank?"

    def gaps(self, tool: Tool, place: str) -> tuple[Gap, ...]:
        """What a schema says of several arguments together: each is written by itself."""
        return apart(tool, place)

    def parser(self, tools: Sequence[Tool], *, marked: bool = False) -> ToolParser:
        """For one answer."""
        bare = self._syntax.bare and not marked
        return TagReader(tools, self._syntax, (self._syntax.function,) if bare else ())

    def prepare(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Tool] = ()) -> list[Message]:
        """The template takes OpenAI's form, with arguments as objects, and writes values in its own way."""
        return normalized(messages)

    def write(self, calls: Sequence[Message]) -> str:
        """Calls as a model writes them."""
        return "\n".join(_written(self._syntax, call) for call in calls)

    def describe(self, tools: Sequence[Tool]) -> str:
        """Nothing: the template tells of the tools."""
        return ""


def _written(syntax: TagSyntax, call: Message) -> str:
    """A call in its own block, on lines, for a syntax whose values are not typed."""
    function = call["function"]
    arguments = function["arguments"]
    values = arguments if isinstance(arguments, Mapping) else completed_object(arguments)
    lines = [syntax.begin, f"{syntax.function}{function['name']}{syntax.name_end}"]
    for key, value in values.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        text = f"\n{text}\n" if syntax.on_lines else text
        lines.append(f"{syntax.parameter}{key}{syntax.key_end}{syntax.value_begin}{text}{syntax.value_end}")
    return "\n".join(filter(None, [*lines, syntax.function_end, syntax.end]))
