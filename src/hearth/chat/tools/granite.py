"""Granite 3: a marker, then a JSON list of calls.

    <|tool_call|>[{"name": "get_weather", "arguments": {"city": "Paris"}}]

Granite 3.0, 3.2 and 3.3 write the control token `<|tool_call|>`, 3.1 the text `<tool_call>`. Granite 4 writes Hermes'
format. Sources: the system prompt in the chat templates of Granite 3.x ("respond only with <|tool_call|> followed by a
JSON list of tools used"), and vLLM's description of the two markers (docs.vllm.ai, granite_tool_parser).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hearth.chat.literal import Composed, ControlToken
from hearth.chat.tools.history import Message, call_text, normalized, result_text
from hearth.chat.tools.jsoncalls import JsonSyntax
from hearth.chat.tools.jsonformat import JsonFormat
from hearth.chat.tools.jsongrammar import call_list
from hearth.chat.tools.types import Tool


class Granite(JsonFormat):
    """For Granite 3's templates.

    Args:
        own_roles: the template knows the roles `assistant_tool_call` and `tool_response` (Granite 3.0).
    """

    name = "granite"
    syntax = JsonSyntax(markers=("<|tool_call|>", "<tool_call>"))

    def __init__(self, control: Mapping[str, int] | None = None, *, own_roles: bool = False) -> None:
        super().__init__(control)
        self._own_roles = own_roles

    def calls(self, *, parallel: bool) -> str:
        """Rule `calls`: a list."""
        return f"calls: {call_list(parallel=parallel)} blank?"

    def prepare(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Tool] = ()) -> list[Message]:
        """The templates know calls and results only as text, and results under a role of their own."""
        result: list[Message] = []
        for message in normalized(messages):
            calls = message.pop("tool_calls", None)
            if message["role"] == "tool":
                result.append({"role": "tool_response", "content": result_text(message)})
                continue
            if not calls or message["content"]:
                result.append(message)
            if calls:
                text = "[" + ", ".join(map(call_text, calls)) + "]"
                if self._own_roles:
                    result.append({"role": "assistant_tool_call", "content": text})
                else:
                    content = Composed(ControlToken(self.syntax.markers[0]), text)
                    result.append({"role": "assistant", "content": content})
        return result
