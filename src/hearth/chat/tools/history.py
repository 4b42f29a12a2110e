"""Earlier calls and their results, from OpenAI's messages into the forms that templates want."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hearth.chat.tools.repair import completed_object, loaded
from hearth.errors import UsageError

Message = dict[str, Any]


def normalized(messages: Sequence[Mapping[str, Any]]) -> list[Message]:
    """A copy in which no content is None, calls have their arguments as objects, and no empty list of calls is left.

    Templates ask whether `tool_calls` is there, and concatenate `content`. Arguments that are no object, since a limit
    cut the call or the model wrote something else, stay the text that they are.

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


def has_cut_calls(messages: Sequence[Message]) -> bool:
    """Whether a call has arguments that are no object."""
    return any(
        isinstance(call["function"]["arguments"], str) for message in messages for call in message.get("tool_calls", ())
    )


def with_objects(messages: Sequence[Message]) -> list[Message]:
    """The same where arguments that are no object have become what can be kept of them as one."""
    result = []
    for message in messages:
        calls = [_with_object(call) for call in message.get("tool_calls", ())]
        result.append({**message, "tool_calls": calls} if calls else message)
    return result


def with_texts(messages: Sequence[Message]) -> list[Message]:
    """The same with all arguments as JSON text, for templates that join it to other texts."""
    result = []
    for message in messages:
        calls = [_with_text(call) for call in message.get("tool_calls", ())]
        result.append({**message, "tool_calls": calls} if calls else message)
    return result


def in_turns(
    messages: Sequence[Message],
    write_calls: Callable[[Sequence[Message]], str],
    write_result: Callable[[str], str],
) -> list[Message]:
    """The same for templates that know no tools: calls become text of the assistant, results text of the user.

    Results in a row, and what the user says next, are one turn: such templates often want turns to alternate.
    """
    result: list[Message] = []
    after_results = False
    for message in messages:
        calls = message.get("tool_calls")
        if message["role"] == "tool":
            text = write_result(result_text(message))
            if after_results:
                result[-1]["content"] += "\n" + text
            else:
                result.append({"role": "user", "content": text})
            after_results = True
            continue
        if after_results and message["role"] == "user":
            result[-1]["content"] += "\n\n" + said(message)
        elif calls:
            kept = {key: value for key, value in message.items() if key != "tool_calls"}
            result.append({**kept, "content": "\n".join(filter(None, [said(message), write_calls(calls)]))})
        else:
            result.append(dict(message))
        after_results = False
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


def _with_object(call: Message) -> Message:
    function = call["function"]
    arguments = function["arguments"]
    kept = completed_object(arguments) if isinstance(arguments, str) else arguments
    return {**call, "function": {**function, "arguments": kept}}


def _with_text(call: Message) -> Message:
    function = call["function"]
    arguments = function["arguments"]
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {**call, "function": {**function, "arguments": text}}


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
    arguments = _parsed(function.get("arguments"), f"{where}.function.arguments")
    kept = {"id": call["id"]} if isinstance(call.get("id"), str) else {}
    return {**kept, "type": "function", "function": {"name": function["name"], "arguments": arguments}}


def _parsed(arguments: object, where: str) -> Message | str:
    """An object, or the text where it is none; none at all are an empty object."""
    if isinstance(arguments, Mapping):
        return dict(arguments)
    if arguments is None:
        return {}
    if not isinstance(arguments, str):
        raise UsageError(f"{where} is of type {type(arguments).__name__}, but must be the JSON text of an object.")
    try:
        value = loaded(arguments or "{}")
    except (ValueError, RecursionError):
        return arguments
    if value is None:
        return {}
    return value if isinstance(value, dict) else arguments
