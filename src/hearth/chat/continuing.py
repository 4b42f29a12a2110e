"""Carrying on a message that the assistant has begun, instead of beginning a new turn.

The conversation is rendered with a mark at the end of that message; the prompt ends where the mark stands, so before
whatever a template writes behind a message. (transformers calls it `continue_final_message`.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hearth.chat.prompt import Prompt
from hearth.chat.thinking import TAGS
from hearth.errors import TemplateError, UsageError

# Characters for private use, which no template trims, changes or writes itself.
_MARK = "\ue0c0\ue0c1\ue0c2"


def marked(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The conversation with the mark behind what the assistant has begun.

    Raises:
        UsageError: the last message is not the assistant's, says nothing, or calls a tool.
    """
    last = messages[-1] if messages else {}
    content = last.get("content")
    if last.get("role") != "assistant" or not isinstance(content, str) or not content or last.get("tool_calls"):
        raise UsageError(
            "There is no message to continue:",
            why="the last one must be the assistant's, with text and without calls of tools.",
        )
    return [*map(dict, messages[:-1]), {**last, "content": content + _MARK}]


def cut(prompt: Prompt) -> Prompt:
    """The prompt up to the mark.

    Raises:
        TemplateError: the template has left the message out.
    """
    end = prompt.text.rfind(_MARK)
    if end < 0:
        raise TemplateError("The last message cannot be continued:", why="the model's chat template leaves it out.")
    literal = tuple((begin, min(stop, end)) for begin, stop in prompt.literal if begin < end)
    return Prompt(prompt.text[:end], literal)


def state_of(content: str) -> str:
    """The tag that says where the text of a message stands: within its thinking, or behind it."""
    for tags in TAGS:
        if content.rfind(tags.open) > content.rfind(tags.close):
            return tags.open
    return TAGS[0].close
