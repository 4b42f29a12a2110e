"""Whether a prompt tells the model of its tools, of earlier calls and of their results.

A template may know tools and yet leave out a call beside words, or results in a row. What it leaves out the model
cannot know, and nothing would say so; therefore each prompt is looked through. Templates lay out what they are given in
ways of their own, but none takes a run of letters and digits apart: the longest one stands for a text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hearth.chat.utf8 import texts_in

_RUN = re.compile(r"[A-Za-z0-9]{1,64}")


def untold(prompt: str, messages: Sequence[Mapping[str, Any]], tool_names: Iterable[str]) -> str | None:
    """The first thing that the prompt does not hold; None where it holds all.

    Args:
        messages: in OpenAI's form, calls and results included.
    """
    for name in tool_names:
        if name not in prompt:
            return f"the tool {name!r}"
    at = 0
    for position, message in enumerate(messages):
        for text in _to_tell(message):
            run = max(_RUN.findall(text), key=len, default="")
            found = prompt.find(run, at)
            if found < 0:
                found, at = prompt.find(run), 0
            if found < 0:
                return f"{run!r} of message {position + 1}"
            at = max(at, found)
    return None


def _to_tell(message: Mapping[str, Any]) -> Iterator[str]:
    for call in message.get("tool_calls") or ():
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            yield str(function.get("name"))
            yield from texts_in(_read(function.get("arguments")))
    if message.get("role") == "tool":
        content = message.get("content")
        parts = content if isinstance(content, list) else []
        if parts and all(isinstance(part, Mapping) and part.get("type") == "text" for part in parts):
            yield from (str(part.get("text")) for part in parts)
        else:
            yield from texts_in(_read(content))


def _read(value: Any) -> Any:
    """JSON as what it says: templates may write it anew."""
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return found if isinstance(found, (dict, list, str)) else value
