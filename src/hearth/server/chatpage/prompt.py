"""From a branch of a conversation to the messages that a model is given; attached files stand before what is said."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hearth.store import Attachment, Message

_FENCE = re.compile(r"`{3,}")
_NAME = re.compile(r"[\s`\"]+")


def chat_messages(system: str, branch: Sequence[Message], texts: Mapping[str, str]) -> list[dict[str, Any]]:
    """Messages as `LLM.prepare_chat` takes them.

    An answer of which nothing came is left out, and what the user said before and after it becomes one message:
    templates want turns in turn.

    Args:
        texts: of the branch's attachments, by their ids.
    """
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system.strip() else []
    for message in branch:
        content = message.content
        if message.role == "user":
            content = with_files(content, [(file, texts[file.id]) for file in message.attachments])
        elif not content.strip():
            continue
        if messages and messages[-1]["role"] == message.role:
            messages[-1]["content"] += "\n\n" + content
            continue
        messages.append({"role": message.role, "content": content})
        if message.role == "assistant" and message.thinking:
            # Templates that show earlier thoughts to their model ask for it by this name; others leave it out.
            messages[-1]["reasoning_content"] = message.thinking
    return messages


def with_files(content: str, files: Sequence[tuple[Attachment, str]]) -> str:
    """What the user says, with the texts of files before it: each named, and in a fence that it cannot close itself."""
    parts = []
    for file, text in files:
        fence = "`" * max([3, *(len(run) + 1 for run in _FENCE.findall(text))])
        name = _NAME.sub(" ", file.name).strip() or "file"
        parts.append(f'The user has attached the file "{name}":\n{fence}\n{text.strip()}\n{fence}')
    return "\n\n".join(part for part in (*parts, content) if part.strip())
