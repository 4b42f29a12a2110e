"""A conversation: who said what, in order; saved as JSON and read back."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hearth.chat.utf8 import check_text
from hearth.errors import CorruptFile, StorageError, UsageError

FORMAT = "hearth-conversation"
VERSION = 1
ROLES = ("system", "developer", "user", "assistant", "tool")
SYSTEM_ROLES = frozenset({"system", "developer"})
REASONING = ("reasoning_content", "thinking", "reasoning")
"""Names under which programs and templates know what a model thought before an answer."""
MAX_FILE_BYTES = 64 << 20
_LIST_HINT = "Give a list such as [{'role': 'user', 'content': 'Hello'}], or what the user says as a text."


@dataclass(frozen=True)
class Message:
    """One turn.

    Attributes:
        role: one of `ROLES`.
        content: its text.
        thinking: what the model thought before an answer; "" where there was nothing. Not sent back to the model,
            unless its template asks for `reasoning_content`.
        images: files of pictures, which stand before the text.
    """

    role: str
    content: str
    thinking: str = ""
    images: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise UsageError(f"A message's role is {self.role!r}.", hint=f"Roles: {', '.join(ROLES)}.")
        if not isinstance(self.content, str) or not isinstance(self.thinking, str):
            raise UsageError(f"The content of a message is {type(self.content).__name__}, but must be text.")
        if not all(isinstance(image, str) for image in self.images):
            raise UsageError("The pictures of a message must be names of files.")

    def for_template(self) -> dict[str, Any]:
        """As chat templates know it."""
        content: Any = self.content
        if self.images:
            pictures = [{"type": "image", "image": image} for image in self.images]
            content = [*pictures, {"type": "text", "text": self.content}]
        fields = {"role": self.role, "content": content}
        return fields | {"reasoning_content": self.thinking} if self.thinking else fields


@dataclass
class Conversation:
    """Messages, and the system prompt that stands before them.

    Attributes:
        system: instructions for the whole conversation; "" for none.
        messages: the turns, without the system prompt.
    """

    system: str = ""
    messages: list[Message] = field(default_factory=list)

    def add(self, role: str, content: str, *, thinking: str = "", images: Sequence[str] = ()) -> None:
        """Appends a turn."""
        self.messages.append(Message(role, content, thinking, tuple(images)))

    def reset(self) -> None:
        """Forgets the turns, keeps the system prompt."""
        self.messages.clear()

    def drop_last_turn(self) -> None:
        """Takes back the last user message and what followed it (an answer that failed)."""
        while self.messages and self.messages.pop().role != "user":
            pass

    def for_template(self) -> list[dict[str, Any]]:
        """All messages as chat templates know them."""
        head = [Message("system", self.system)] if self.system else []
        return [message.for_template() for message in [*head, *self.messages]]

    def save(self, path: Path, *, model: str = "") -> None:
        """Writes the conversation as JSON. A file is replaced whole or not at all.

        Raises:
            StorageError: the file cannot be written.
        """
        data = {
            "format": FORMAT,
            "version": VERSION,
            "model": model,
            "system": self.system,
            "messages": [
                {"role": m.role, "content": m.content}
                | ({"thinking": m.thinking} if m.thinking else {})
                | ({"images": list(m.images)} if m.images else {})
                for m in self.messages
            ],
        }
        text = json.dumps(data, ensure_ascii=False, indent=1) + "\n"
        partial: Path | None = None
        try:
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            partial = Path(name)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            partial.replace(path)
        except OSError as error:
            raise StorageError(f"{path} cannot be written:", why=f"{error.strerror or error}.") from error
        finally:
            if partial is not None:
                with suppress(OSError):
                    partial.unlink()

    @classmethod
    def load(cls, path: Path) -> Conversation:
        """Reads a conversation that `save` wrote.

        Raises:
            StorageError: the file cannot be read.
            CorruptFile: it is no conversation, or of a newer version.
        """
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise CorruptFile(f"{path} is too large for a conversation.")
            data = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise StorageError(f"{path} cannot be read:", why=f"{error.strerror or error}.") from error
        except (ValueError, RecursionError) as error:
            raise CorruptFile(f"{path} is no saved conversation:", why=f"it is not JSON ({error}).") from error
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise CorruptFile(f"{path} is no saved conversation:", why=f"it is JSON, but not of format {FORMAT!r}.")
        if data.get("version") != VERSION:
            raise CorruptFile(
                f"{path} is of version {data.get('version')!r}:", why=f"this Hearth reads version {VERSION}."
            )
        system, turns = data.get("system", ""), data.get("messages")
        if not isinstance(system, str) or not isinstance(turns, list):
            raise CorruptFile(f"{path} is damaged:", why="'system' or 'messages' is not of its type.")
        return cls(system, [_message(turn, f"{path}: message {i + 1}") for i, turn in enumerate(turns)])


def _message(turn: Any, where: str) -> Message:
    if not isinstance(turn, dict):
        raise CorruptFile(f"{where} is no object.")
    try:
        images = turn.get("images", [])
        if not isinstance(images, list):
            raise UsageError("Its pictures are no list.")
        return Message(turn.get("role", ""), turn.get("content", ""), turn.get("thinking", ""), tuple(images))
    except UsageError as error:
        raise CorruptFile(f"{where} is damaged:", why=error.what) from error


def joined_contents(first: Any, second: Any) -> Any:
    """Two contents of messages as one, with a blank line between them: texts, or lists of parts."""
    if not first or not second:
        return first or second
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    one, two = ([{"type": "text", "text": c}] if isinstance(c, str) else list(c) for c in (first, second))
    last, begin = one[-1], two[0]
    if "text" in last and "text" in begin:  # in one part: templates trim each
        return [*one[:-1], {**begin, "text": f"{last['text']}\n\n{begin['text']}"}, *two[1:]]
    return [*one, {"type": "text", "text": "\n\n"}, *two]


def checked_messages(messages: str | Sequence[Mapping[str, Any] | Message]) -> list[dict[str, Any]]:
    """Messages from a program, as a template takes them; a text alone is what the user says. Fields that are None, as
    programs like to write what is not there, are left out.

    Raises:
        UsageError: there are none, or one has no role or no content that JSON and UTF-8 could hold.
    """
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    if not isinstance(messages, Sequence):
        raise UsageError(f"The messages are of type {type(messages).__name__}, but must be a list.", hint=_LIST_HINT)
    if not messages:
        raise UsageError("There are no messages.", hint=_LIST_HINT)
    result: list[dict[str, Any]] = []
    for position, message in enumerate(messages):
        where = f"Message {position + 1}"
        if isinstance(message, Message):
            checked: dict[str, Any] = dict(message.for_template())
        elif isinstance(message, Mapping) and "role" in message:
            checked = {key: value for key, value in message.items() if value is not None}
        else:
            raise UsageError(f"{where} has no role.", hint="Each is {'role': ..., 'content': ...}.")
        content = checked.get("content")
        if not isinstance(content, (str, list)) and not checked.get("tool_calls"):
            raise UsageError(f"{where} has no content: {type(content).__name__} is not text.")
        if not isinstance(checked.get("role"), str):
            raise UsageError(f"{where} has a role of type {type(checked.get('role')).__name__}; it must be a word.")
        if checked["role"] not in ROLES:
            raise UsageError(f"{where} has the role {checked['role'][:100]!r}.", hint=f"Roles: {', '.join(ROLES)}.")
        if isinstance(content, list) and checked["role"] != "tool":
            _check_parts(content, where)
        check_text(checked, where)
        result.append(checked)
    return result


def _check_parts(parts: Sequence[Any], where: str) -> None:
    for part in parts:
        if not isinstance(part, Mapping) or not isinstance(part.get("type"), str):
            raise UsageError(f"{where} has a part without a type.", hint="A part is {'type': 'text', 'text': ...}.")
        if part["type"] == "text" and not isinstance(part.get("text"), str):
            raise UsageError(f"{where} has a part of type 'text' without one.")
