"""From a protocol's messages to what `LLM.prepare_chat` takes, as far as that depends on the model's chat template.

What a client asks for and the template cannot do is refused here by the name of the field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hearth.chat.template import ChatTemplate
from hearth.server.errors import ApiError
from hearth.server.warning import warn

_SWITCHES: Final = ("enable_thinking", "thinking")
# Not for a request to set: what the template is given anyway, or what other fields of the request say.
_TAKEN: Final = {
    "messages": "use messages",
    "tools": "use tools",
    "add_generation_prompt": "it is a field of the request itself",
    "continue_final_message": "it is a field of the request itself",
    "bos_token": "it belongs to the model",
    "eos_token": "it belongs to the model",
    "documents": "put them into a message",
}


def for_template(messages: Sequence[dict[str, Any]], template: ChatTemplate) -> list[dict[str, Any]]:
    """Messages as this template takes them: without names where it has no place for any, and calls and results with the
    ids by which they find each other."""
    result: list[dict[str, Any]] = []
    for message in messages:
        message = {**message, "role": "tool" if message["role"] == "function" else message["role"]}
        if "name" in message and message["role"] != "tool" and not template.probe.shows_name(message["role"]):
            warn("ignored", "messages[].name")
            del message["name"]
        result.append(message)
    return _with_call_ids(result)


def _with_call_ids(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A call without an id gets one. A result without is that of the next call of its name that has none yet."""
    waiting: list[tuple[str, str]] = []  # ids and names of calls without a result
    result: list[dict[str, Any]] = []
    for message in messages:
        if message.get("tool_calls"):
            calls = [
                {**call, "id": call.get("id") or f"call{index:05d}"}  # nine letters and digits: some templates insist
                for index, call in enumerate(message["tool_calls"], len(result))
            ]
            waiting = [(call["id"], call["function"]["name"]) for call in calls]
            message = {**message, "tool_calls": calls}
        elif message["role"] == "tool":
            found = message.get("tool_call_id") or next(
                (one for one, name in waiting if message.get("name") in (None, name)), f"call{len(result):05d}"
            )
            waiting = [call for call in waiting if call[0] != found]
            message = {**message, "tool_call_id": found}
        result.append(message)
    return result


def checked_variables(given: Mapping[str, Any] | None, template: ChatTemplate) -> dict[str, Any]:
    """Variables for the template that a request brings.

    Raises:
        ApiError: the template does not know one, or it is not the request's to set.
    """
    for name, value in (given or {}).items():
        if name in _SWITCHES and not template.uses(name) and value is thinks(template):
            continue  # it does so by itself
        reason = _TAKEN.get(name) or (None if template.uses(name) else "this model's chat template does not know it")
        if reason is not None:
            field = f"chat_template_kwargs.{name}"
            raise ApiError(400, f"{field} is not supported: {reason}.", code="unsupported_parameter", param=field)
    return dict(given or {})


def variables_of_thinking(
    wish: str | bool | None, template: ChatTemplate, *, field: str
) -> tuple[dict[str, Any], bool | None]:
    """What a wish is for this template: variables for it, and whether the model is to think.

    Args:
        wish: an effort, or on and off.

    Raises:
        ApiError: the template knows no effort and no switch, and does otherwise by itself.
    """
    if wish is None:
        return {}, None
    if isinstance(wish, str):
        variables = template.thinking.effort(wish)
        if variables is None:
            raise no_switch(field)
        return variables, None
    if can_switch_thinking(template):
        return {}, wish
    if thinks(template) != wish:
        raise no_switch(field)
    return {}, None  # it does so by itself


def can_switch_thinking(template: ChatTemplate) -> bool:
    """Whether the template lets a request say if the model thinks first."""
    return template.thinking.can_switch


def no_switch(field: str) -> ApiError:
    """For a request that wants to switch thinking where that is not possible."""
    return ApiError(
        400,
        f"{field} is not supported: this model's chat template cannot switch thinking on or off.",
        code="unsupported_parameter",
        param=field,
    )


def thinks(template: ChatTemplate) -> bool:
    """Whether the model thinks where nothing is said, as far as its template tells."""
    return template.thinking.thinks
