"""A conversation fitted to a template: what the template would drop or print as Python's notation is put so that it
reaches the model.

What a template takes is told by its probe, never by words in its source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hearth.chat.conversation import REASONING, SYSTEM_ROLES, joined_contents
from hearth.chat.probe import Probe
from hearth.chat.template import ChatTemplate
from hearth.errors import UsageError

Message = dict[str, Any]


def with_text(messages: Sequence[Mapping[str, Any]], probe: Probe) -> list[Message]:
    """The messages with parts of text joined, a line each, where the template takes text only.

    Raises:
        UsageError: a part is no text, and the template takes nothing else.
    """
    result = []
    for position, message in enumerate(messages):
        message, content = dict(message), message.get("content")
        if isinstance(content, list) and probe.takes(message["role"]) == "text":
            kinds = [part.get("type") if isinstance(part, Mapping) else None for part in content]
            if all(kind == "text" for kind in kinds):
                message["content"] = "\n".join(part["text"] for part in content)
            elif message["role"] != "tool":  # a result may be any JSON
                other = next(kind for kind in kinds if kind != "text")
                raise UsageError(
                    f"Message {position + 1} has a part of type {other!r}.",
                    why="This model's chat template takes text only.",
                    hint="A part of text is {'type': 'text', 'text': ...}.",
                )
        result.append(message)
    return result


def fitted(messages: Sequence[Mapping[str, Any]], template: ChatTemplate) -> list[Message]:
    """The messages as the template shows all of them: roles that it knows, system messages where it has a place for
    them, parts where it takes nothing else, thoughts under the names that it reads."""
    probe = template.probe
    result = [_thoughts_named(message, template) for message in messages]
    if not template.uses("developer"):
        result = [{**m, "role": "system"} if m["role"] == "developer" else m for m in result]
    result = _systems_placed(result, probe)
    for message in result:
        content = message.get("content")
        if isinstance(content, str) and content and probe.takes(message["role"]) == "parts":
            message["content"] = [{"type": "text", "text": content}]
    return result


def _thoughts_named(message: Mapping[str, Any], template: ChatTemplate) -> Message:
    thoughts = next((message[name] for name in REASONING if message.get(name)), None)
    if thoughts is None:
        return dict(message)
    return {**dict.fromkeys((n for n in REASONING if template.uses(n)), thoughts), **message}


def _systems_placed(messages: list[Message], probe: Probe) -> list[Message]:
    """Several system messages at the beginning as one, and those without a place before what the user says next, as
    far as the template needs that."""
    first = next((i for i, m in enumerate(messages) if m["role"] not in SYSTEM_ROLES), len(messages))
    head, rest = messages[:first], messages[first:]
    if len(head) > 1 and not (probe.takes_system and probe.takes_two_systems):
        contents = head[0].get("content")
        for message in head[1:]:
            contents = joined_contents(contents, message.get("content"))
        head = [{**head[0], "content": contents}]
    if head and rest and not probe.takes_system:
        head, rest = [], [*head, *rest]
    elif not any(m["role"] in SYSTEM_ROLES for m in rest) or probe.takes_late_system:
        return [*head, *rest]
    return [*head, *_before_the_user(rest)]


def _before_the_user(messages: Sequence[Message]) -> list[Message]:
    """The messages with each system message at the beginning of what the user says next, a blank line between; where
    nobody says more, at the end of what was said last, or as a turn of its own."""
    result: list[Message] = []
    waiting: Any = None
    for message in messages:
        if message["role"] in SYSTEM_ROLES:
            waiting = joined_contents(waiting, message.get("content"))
        elif message["role"] == "user" and waiting:
            result.append({**message, "content": joined_contents(waiting, message.get("content"))})
            waiting = None
        else:
            result.append(message)
    if waiting and result and result[-1]["role"] == "user":
        result[-1] = {**result[-1], "content": joined_contents(result[-1].get("content"), waiting)}
    elif waiting:
        result.append({"role": "user", "content": waiting})
    return result
