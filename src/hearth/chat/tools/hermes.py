"""Hermes' format, which Qwen 2.5 and 3, Granite 4, SmolLM 3 and many more share.

    <tool_call>
    {"name": "get_weather", "arguments": {"city": "Paris"}}
    </tool_call>

Several calls are several such blocks, a line end between them; results come back as `<tool_response>` blocks in a
user's turn. Sources: NousResearch's Hermes-Function-Calling (github.com/NousResearch/Hermes-Function-Calling), Qwen's
documentation (qwen.readthedocs.io, "Function Calling"), and the chat templates of Qwen 2.5, Qwen 3 and Granite 4.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hearth.chat.tools.history import Message, call_text, in_turns, normalized
from hearth.chat.tools.jsoncalls import JsonSyntax
from hearth.chat.tools.jsonformat import JsonFormat
from hearth.chat.tools.lark import MORE_CALLS
from hearth.chat.tools.types import Tool


class Hermes(JsonFormat):
    """For templates that write tools in this form."""

    name = "hermes"
    syntax = JsonSyntax(markers=("<tool_call>",), closers=("</tool_call>",))

    def calls(self, *, parallel: bool) -> str:
        """Rule `calls`: a block, or several."""
        begin, end = self._mark("<tool_call>"), self._mark("</tool_call>")
        more = f"(blank? {begin} block){MORE_CALLS}" if parallel else ""
        return f"calls: block {more} blank?\nblock: blank? call blank? {end}"

    def write(self, calls: Sequence[Message]) -> str:
        """Calls as a model writes them."""
        return "\n".join(f"<tool_call>\n{call_text(call)}\n</tool_call>" for call in calls)


class DescribedHermes(Hermes):
    """For templates that know no tools: all of it becomes text of the system prompt and of the turns."""

    def describe(self, tools: Sequence[Tool]) -> str:
        """The tools, and how to call them."""
        lines = [json.dumps(tool.for_template()["function"], ensure_ascii=False) for tool in tools]
        return "\n".join(
            [
                "You can call tools; `parameters` is the JSON schema of the arguments.",
                "<tools>",
                *lines,
                "</tools>",
                "To call a tool, write one such block, or several:",
                "<tool_call>",
                '{"name": "<name>", "arguments": {<arguments>}}',
                "</tool_call>",
                "What it returns comes back as a <tool_response> block.",
            ]
        )

    def prepare(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Tool] = ()) -> list[Message]:
        """Calls become text of the assistant, results in a row text of one user's turn."""
        return in_turns(normalized(messages), self.write, "<tool_response>\n{}\n</tool_response>".format)
