"""Phi-4-mini: calls between two control tokens, as a JSON list or one object.

    <|tool_call|>[{"name": "get_weather", "arguments": {"city": "Paris"}}]<|/tool_call|>

Tools go into the system message, `<|tool|>[...]<|/tool|>`, as its field `tools`. Sources: the model card of
Phi-4-mini-instruct (huggingface.co/microsoft/Phi-4-mini-instruct, "Tool-enabled function-calling format"), llguidance's
docs/toolcalls.md, which shows an answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hearth.chat.literal import Composed, ControlToken
from hearth.chat.tools.history import Message, call_text, normalized, result_text, said
from hearth.chat.tools.jsoncalls import JsonSyntax
from hearth.chat.tools.jsonformat import JsonFormat
from hearth.chat.tools.jsongrammar import call_list
from hearth.chat.tools.types import Tool


class Phi4Mini(JsonFormat):
    """For Phi-4-mini's template, which knows tools only as a field of the system message."""

    name = "phi4-mini"
    syntax = JsonSyntax(markers=("<|tool_call|>",), closers=("<|/tool_call|>",))

    def calls(self, *, parallel: bool) -> str:
        """Rule `calls`: a list."""
        return f"calls: {call_list(parallel=parallel)} {self._mark('<|/tool_call|>')} blank?"

    def prepare(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Tool] = ()) -> list[Message]:
        """Tools go into the system message; calls and results become text."""
        result: list[Message] = []
        for message in normalized(messages):
            calls = message.pop("tool_calls", None)
            if calls:
                text = "[" + ", ".join(map(call_text, calls)) + "]"
                begin, end = ControlToken(self.syntax.markers[0]), ControlToken(self.syntax.closers[0])
                message["content"] = Composed(said(message), begin, text, end)
            if message["role"] == "tool":
                message = {"role": "tool", "content": result_text(message)}
            result.append(message)
        if tools:
            if not result or result[0]["role"] != "system":
                result.insert(0, {"role": "system", "content": "You are a helpful assistant with some tools."})
            functions = [tool.for_template()["function"] for tool in tools]
            result[0] = {**result[0], "tools": json.dumps(functions, ensure_ascii=False)}
        return result
