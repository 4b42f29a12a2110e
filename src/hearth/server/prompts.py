"""From a protocol's messages to what `LLM.prepare_chat` takes, as far as that depends on the model's chat template.

What a client asks for and the template cannot do is refused here by the name of the field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from hearth.chat.template import ChatTemplate
from hearth.chat.thinking import ALL_TAGS
from hearth.server.errors import ApiError

_USES_NAME = re.compile(r"""\bm(?:essage|sg)?(?:\.name\b|\[['"]name['"]\]|\.get\(['"]name)""")
# Not for a request to set: what the template is given anyway, or what other fields of the request say.
_TAKEN: Final = {
    "messages": "use messages",
    "tools": "use tools",
    "add_generation_prompt": "the answer is always the assistant's next turn",
    "continue_final_message": "the answer is always the assistant's next turn",
    "bos_token": "it belongs to the model",
    "eos_token": "it belongs to the model",
    "documents": "put them into a message",
}


def for_template(messages: Sequence[dict[str, Any]], template: ChatTemplate) -> list[dict[str, Any]]:
    """Messages as this template knows them.

    Raises:
        ApiError: a message has a name, and the template has no place for one.
    """
    knows_developer = template.uses("developer")
    result = []
    for index, message in enumerate(messages):
        named = message.get("name") is not None and message["role"] != "tool"
        if named and not _USES_NAME.search(template.source):
            raise ApiError(
                400,
                f"messages[{index}].name: this model's chat template has no place for a name.",
                code="unsupported_parameter",
                param=f"messages[{index}].name",
            )
        if message["role"] == "developer" and not knows_developer:
            message = {**message, "role": "system"}
        result.append(message)
    return result


def checked_variables(given: Mapping[str, Any] | None, template: ChatTemplate) -> dict[str, Any]:
    """Variables for the template that a request brings.

    Raises:
        ApiError: the template does not know one, or it is not the request's to set.
    """
    for name in given or {}:
        reason = _TAKEN.get(name) or (None if template.uses(name) else "this model's chat template does not know it")
        if reason is not None:
            field = f"chat_template_kwargs.{name}"
            raise ApiError(400, f"{field} is not supported: {reason}.", code="unsupported_parameter", param=field)
    return dict(given or {})


def variables_of_effort(
    effort: str | None, template: ChatTemplate, *, field: str
) -> tuple[dict[str, Any], bool | None]:
    """What an effort is for this template: variables for it, and whether the model is to think.

    Raises:
        ApiError: the template knows no effort and no switch, and does otherwise by itself.
    """
    if effort is None:
        return {}, None
    if template.uses("reasoning_effort"):
        return {"reasoning_effort": effort}, None
    wanted = effort not in ("none", "minimal")
    if can_switch_thinking(template):
        return {}, wanted
    if thinks(template) != wanted:
        raise no_switch(field)
    return {}, None  # it does so by itself


def can_switch_thinking(template: ChatTemplate) -> bool:
    """Whether the template lets a request say if the model thinks first."""
    return template.uses("enable_thinking")


def no_switch(field: str) -> ApiError:
    """For a request that wants to switch thinking where that is not possible."""
    return ApiError(
        400,
        f"{field} is not supported: this model's chat template cannot switch thinking on or off.",
        code="unsupported_parameter",
        param=field,
    )


def thinks(template: ChatTemplate) -> bool:
    """Whether the template knows of thinking at all: it writes or looks for one of the families' tags."""
    return any(tag in template.source for tag in ALL_TAGS)
