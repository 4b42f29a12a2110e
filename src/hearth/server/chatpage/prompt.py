"""From a branch of a conversation to the messages that a model is given; attached files stand before what is said."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hearth.server.pictures import joined_contents
from hearth.store import Attachment, Content, Message

_FENCE = re.compile(r"`{3,}")
_NAME = re.compile(r"[\s`\"]+")


def chat_messages(
    system: str, branch: Sequence[Message], contents: Mapping[str, Content], *, sees: bool
) -> list[dict[str, Any]]:
    """Messages as `LLM.prepare_chat` takes them.

    An answer of which nothing came is left out, and what the user said before and after it becomes one message:
    templates want turns in turn.

    Args:
        contents: what stands in the branch's attachments, by their ids.
        sees: whether the model takes pictures; else it is told of each that it is there and cannot be seen.
    """
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system.strip() else []
    for message in branch:
        content: str | list[dict[str, Any]] = message.content
        if message.role == "user":
            files = [(file, contents[file.id]) for file in message.attachments]
            content = with_files(message.content, files, sees=sees)
        elif not message.content.strip():
            continue
        if messages and messages[-1]["role"] == message.role:
            messages[-1]["content"] = joined_contents(messages[-1]["content"], content, between="\n\n")
            continue
        messages.append({"role": message.role, "content": content})
        if message.role == "assistant" and message.thinking:
            # Templates that show earlier thoughts to their model ask for it by this name; others leave it out.
            messages[-1]["reasoning_content"] = message.thinking
    return messages


def with_files(content: str, files: Sequence[tuple[Attachment, Content]], *, sees: bool) -> str | list[dict[str, Any]]:
    """What the user says, with pictures and the texts of files before it: each text named, and in a fence that it
    cannot close itself."""
    pictures: list[dict[str, Any]] = []
    parts = []
    for file, inside in files:
        name = _NAME.sub(" ", file.name).strip() or "file"
        if isinstance(inside, bytes):
            pictures.append({"type": "image", "image": inside})
            if not sees:
                parts.append(f'The user has attached the picture "{name}", which you cannot see.')
            continue
        fence = "`" * max([3, *(len(run) + 1 for run in _FENCE.findall(inside))])
        parts.append(f'The user has attached the file "{name}":\n{fence}\n{inside.strip()}\n{fence}')
    text = "\n\n".join(part for part in (*parts, content) if part.strip())
    if not (pictures and sees):
        return text
    return [*pictures, {"type": "text", "text": text}] if text else pictures
