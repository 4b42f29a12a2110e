"""Llama 3.1, 3.2 and 3.3: the answer is a JSON object, on its own or after `<|python_tag|>`.

    {"name": "get_weather", "parameters": {"city": "Paris"}}

Several calls are separated by "; ". No marker tells the bare form from an answer that happens to be JSON, so only an
answer that begins with the name of a tool is a call. Sources: Meta's model cards and prompt formats for Llama 3.1
("JSON based tool calling", llama.com/docs/model-cards-and-prompt-formats/llama3_1) and the chat templates of Llama 3.1
and 3.2; the separator is what vLLM's `llama3_json` parser documents (docs.vllm.ai, "Tool Calling").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hearth.chat.tools.history import Message, call_text, normalized, one_call_each
from hearth.chat.tools.jsoncalls import JsonSyntax
from hearth.chat.tools.jsonformat import JsonFormat
from hearth.chat.tools.types import Tool


class Llama3(JsonFormat):
    """For templates that ask for `{"name": ..., "parameters": ...}`."""

    name = "llama3"
    syntax = JsonSyntax(markers=("<|python_tag|>", "<|python_end|>"), bare=True, separators=";")
    key = "parameters"

    def calls(self, *, parallel: bool) -> str:
        """Rule `calls`: objects."""
        return "calls: call more blank?"

    def write(self, calls: Sequence[Message]) -> str:
        """Calls as a model writes them."""
        return "; ".join(call_text(call, self.key) for call in calls)

    def prepare(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Tool] = ()) -> list[Message]:
        """The templates take one call in a message, and refuse more."""
        return one_call_each(normalized(messages))
