"""Families whose calls are JSON objects in a list, or on lines, between two tags that are their own.

    <TOOLCALL>[{"name": "get_weather", "arguments": {"city": "Paris"}}]</TOOLCALL>
    <tool_calls>[{"name": "get_weather", "arguments": {"city": "Paris"}}]</tool_calls>
    <|START_ACTION|>[{"tool_call_id": "0", "tool_name": "get_weather", "parameters": {"city": "Paris"}}]<|END_ACTION|>

Sources: the chat templates of Nemotron Nano v2, Llama Nemotron, Apriel 1.5, Hunyuan A13B and MiniMax M1, and of Command
R7B and A (docs.cohere.com, "Prompting Command R7B", where the calls of a conversation are counted).
"""

from __future__ import annotations

from hearth.chat.tools.jsoncalls import CallKeys, JsonSyntax
from hearth.chat.tools.jsonformat import JsonFormat
from hearth.chat.tools.jsongrammar import call_list
from hearth.chat.tools.lark import MORE_CALLS


class Listed(JsonFormat):
    """A list between the first marker and the closer."""

    def calls(self, *, parallel: bool) -> str:
        """Rule `calls`: a list."""
        return f"calls: blank? {call_list(parallel=parallel)} blank? {self._mark(self.syntax.closers[0])} blank?"


class Nemotron(Listed):
    """For templates that write `<TOOLCALL>[...]</TOOLCALL>`."""

    name = "nemotron"
    syntax = JsonSyntax(markers=("<TOOLCALL>",), closers=("</TOOLCALL>",))


class ToolCalls(Listed):
    """For templates that write `<tool_calls>[...]</tool_calls>`."""

    name = "tool-calls"
    syntax = JsonSyntax(markers=("<tool_calls>",), closers=("</tool_calls>",))


class ToolCallLines(JsonFormat):
    """For templates that write an object a line between the same tags (MiniMax M1)."""

    name = "tool-call-lines"
    syntax = JsonSyntax(markers=("<tool_calls>",), closers=("</tool_calls>",))

    def calls(self, *, parallel: bool) -> str:
        """Rule `calls`: objects."""
        more = f"(blank? call){MORE_CALLS}" if parallel else ""
        return f"calls: blank? call {more} blank? {self._mark(self.syntax.closers[0])} blank?"


class Command(Listed):
    """For templates that write `<|START_ACTION|>[{"tool_call_id": ..., "tool_name": ..., "parameters": ...}]`."""

    name = "command"
    syntax = JsonSyntax(
        markers=("<|START_ACTION|>",), closers=("<|END_ACTION|>",), keys=CallKeys("tool_name", "tool_call_id", True)
    )
    key = "parameters"
