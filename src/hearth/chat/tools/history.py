"""Earlier calls and their results, from OpenAI's messages into the forms that templates want."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hearth.errors import UsageError

Message = dict[str, Any]


def normalized(messages: Sequence[Mapping[str, Any]]) -> list[Message]:
    """A copy in which no content is None, calls have their arguments as objects, and no empty list of calls is left.

    Templates ask whether `tool_calls` is there, and concatenate `content`.

    Raises:
        UsageError: a call is malformed; says which.
    """
    result = []
    for i, message in enumerate(messages):
        copy = dict(message)
        if copy.get("content") is None:
            copy["content"] = ""
        calls = copy.pop("tool_calls", None)
        if calls:
            copy["tool_calls"] = _checked_calls(calls, f"messages[{i}].tool_calls")
        result.append(copy)
    return result


def call_text(call: Mapping[str, Any], key: str = "arguments") -> str:
    """A call as JSON."""
    function = call["function"]
    return json.dumps({"name": function["name"], key: function["arguments"]}, ensure_ascii=False)


def result_text(message: Mapping[str, Any]) -> str:
    """A result as text."""
    content = message["content"]
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def said(message: Mapping[str, Any]) -> str:
    """What a turn says beside its calls; the parts of a list are lines."""
    content = message["content"]
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if isinstance(part, Mapping) and "text" in part)


def with_names(messages: Sequence[Message]) -> list[Message]:
    """The same with the name of its tool in each result."""
    names: dict[object, str] = {}
    result = []
    for message in messages:
        names |= {call.get("id"): call["function"]["name"] for call in message.get("tool_calls", ())}
        name = names.get(message.get("tool_call_id"))
        result.append({**message, "name": name} if message["role"] == "tool" and name else message)
    return result


def one_call_each(messages: Sequence[Message]) -> list[Message]:
    """The same with one call in a message, each followed by its own result, for templates that take no more."""
    result: list[Message] = []
    used: set[int] = set()
    for i, message in enumerate(messages):
        if i in used:
            continue
        calls = message.get("tool_calls", [])
        if len(calls) < 2:
            result.append(message)
            continue
        for number, call in enumerate(calls):
            result.append({**message, "content": "" if number else message["content"], "tool_calls": [call]})
            for j in range(i + 1, len(messages)):
                if messages[j].get("role") != "tool":
                    break
                if j not in used and messages[j].get("tool_call_id") == call.get("id"):
                    used.add(j)
                    result.append(messages[j])
                    break
    return result


def _checked_calls(calls: object, where: str) -> list[Message]:
    if not isinstance(calls, Sequence) or isinstance(calls, str):
        raise UsageError(f"{where} must be a list.")
    return [_checked_call(call, f"{where}[{i}]") for i, call in enumerate(calls)]


def _checked_call(call: object, where: str) -> Message:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(call, Mapping) or not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise UsageError(
            f"{where} is no call.",
            hint='A call is {"id": ..., "type": "function", "function": {"name": ..., "arguments": "{...}"}}.',
        )
    arguments = function.get("arguments") or {}
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{where}.function.arguments is not JSON:", why=f"{error}.") from error
    if not isinstance(arguments, Mapping):
        raise UsageError(f"{where}.function.arguments must be the JSON text of an object.")
    kept = {"id": call["id"]} if isinstance(call.get("id"), str) else {}
    return {**kept, "type": "function", "function": {"name": function["name"], "arguments": dict(arguments)}}
