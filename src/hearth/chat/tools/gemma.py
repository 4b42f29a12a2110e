"""Gemma 2 and 3: a JSON object, as the prompt asks for; their templates know no tools.

    {"name": "get_weather", "parameters": {"city": "Paris"}}

"Gemma does not output a tool specific token": what a call looks like is agreed on in the prompt. This is the second of
the two forms that Google documents (ai.google.dev/gemma/docs/capabilities/function-calling); models like to put it in a
fenced block, which is read as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hearth.chat.tools.history import Message, call_text, in_turns, normalized
from hearth.chat.tools.jsoncalls import JsonSyntax
from hearth.chat.tools.jsonformat import JsonFormat
from hearth.chat.tools.types import Tool


class Gemma3(JsonFormat):
    """For templates with Gemma's turns and no word about tools."""

    name = "gemma3"
    syntax = JsonSyntax(bare=True, fenced=True, separators=";")
    key = "parameters"

    def calls(self, *, parallel: bool) -> str:
        """None: no marker begins them."""
        return ""

    def write(self, calls: Sequence[Message]) -> str:
        """Calls as a model writes them."""
        return "\n".join(call_text(call, self.key) for call in calls)

    def describe(self, tools: Sequence[Tool]) -> str:
        """The tools, and how to call them."""
        functions = [tool.for_template()["function"] for tool in tools]
        return "\n".join(
            [
                "You have access to the functions below. If you decide to call a function, answer with nothing but"
                ' {"name": function name, "parameters": dictionary of argument name and its value}. To call several,'
                " write one such object a line.",
                json.dumps(functions, ensure_ascii=False),
            ]
        )

    def prepare(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Tool] = ()) -> list[Message]:
        """Calls become text of the model, results in a row text of one user's turn: turns must alternate."""
        return in_turns(normalized(messages), self.write, "Result of the call: {}".format)
