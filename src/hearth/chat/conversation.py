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

from hearth.errors import CorruptFile, StorageError, UsageError

FORMAT = "hearth-conversation"
VERSION = 1
ROLES = ("system", "developer", "user", "assistant", "tool")
MAX_FILE_BYTES = 64 << 20


@dataclass(frozen=True)
class Message:
    """One turn.

    Attributes:
        role: one of `ROLES`.
        content: its text.
        thinking: what the model thought before an answer; "" where there was nothing. Not sent back to the model,
            unless its template asks for `reasoning_content`.
    """

    role: str
    content: str
    thinking: str = ""

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise UsageError(f"A message's role is {self.role!r}.", hint=f"Roles: {', '.join(ROLES)}.")
        if not isinstance(self.content, str) or not isinstance(self.thinking, str):
            raise UsageError(f"The content of a message is {type(self.content).__name__}, but must be text.")

    def for_template(self) -> dict[str, str]:
        """As chat templates know it."""
        fields = {"role": self.role, "content": self.content}
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

    def add(self, role: str, content: str, *, thinking: str = "") -> None:
        """Appends a turn."""
        self.messages.append(Message(role, content, thinking))

    def reset(self) -> None:
        """Forgets the turns, keeps the system prompt."""
        self.messages.clear()

    def drop_last_turn(self) -> None:
        """Takes back the last user message and what followed it (an answer that failed)."""
        while self.messages and self.messages.pop().role != "user":
            pass

    def for_template(self) -> list[dict[str, str]]:
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
                {"role": m.role, "content": m.content} | ({"thinking": m.thinking} if m.thinking else {})
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
        return Message(turn.get("role", ""), turn.get("content", ""), turn.get("thinking", ""))
    except UsageError as error:
        raise CorruptFile(f"{where} is damaged:", why=error.what) from error


def joined_contents(first: Any, second: Any) -> Any:
    """Two contents of messages as one, with a blank line between them: texts, or lists of parts."""
    if not first or not second:
        return first or second
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    lists = [[{"type": "text", "text": one}] if isinstance(one, str) else list(one) for one in (first, second)]
    return [*lists[0], {"type": "text", "text": "\n\n"}, *lists[1]]


def without_system(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The messages with the system prompt before what the user says first, as Gemma 3's own template does it.

    Unchanged where that is not what follows on the system prompt.
    """
    if len(messages) < 2 or messages[0]["role"] != "system" or messages[1]["role"] != "user":
        return [dict(message) for message in messages]
    content = joined_contents(messages[0].get("content"), messages[1].get("content"))
    return [{**messages[1], "content": content}, *(dict(message) for message in messages[2:])]


def checked_messages(messages: Sequence[Mapping[str, Any] | Message]) -> list[dict[str, Any]]:
    """Messages from a program, as a template takes them.

    Raises:
        UsageError: there are none, or one has no role or no content that JSON could hold.
    """
    if isinstance(messages, (str, Mapping)) or not messages:
        raise UsageError("There are no messages.", hint="Give a list such as [{'role': 'user', 'content': 'Hello'}].")
    result: list[dict[str, Any]] = []
    for position, message in enumerate(messages):
        if isinstance(message, Message):
            result.append(dict(message.for_template()))
            continue
        if not isinstance(message, Mapping) or "role" not in message:
            raise UsageError(f"Message {position + 1} has no role.", hint="Each is {'role': ..., 'content': ...}.")
        content = message.get("content")
        if not isinstance(content, (str, list)) and not message.get("tool_calls"):
            raise UsageError(f"Message {position + 1} has no content: {type(content).__name__} is not text.")
        result.append(dict(message))
    return result
