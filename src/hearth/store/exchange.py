"""Conversations as files: out as JSON (all branches) or Markdown (one branch), in from JSON, trusting nothing of it.

What comes in may have been written by anybody: sizes, types, roles and the tree are checked before anything is stored.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, get_args

from hearth.chat.conversation import FORMAT as CLI_FORMAT
from hearth.chat.conversation import ROLES
from hearth.chat.conversation import VERSION as CLI_VERSION
from hearth.errors import CorruptFile, Unsupported, UsageError
from hearth.image import identify
from hearth.store.clock import stamp
from hearth.store.records import (
    Attachment,
    AttachmentKind,
    Content,
    Conversation,
    Message,
    Picture,
    Role,
    State,
    Timings,
    Usage,
)
from hearth.store.text import MAX_NAME, MAX_TITLE, clean, title_of

FORMAT = "hearth-chat"
VERSION = 1
MAX_FILE_BYTES = 256 << 20
"""Of a conversation that comes in: some fifty photographs."""
MAX_MESSAGES = 100_000
MAX_ATTACHMENTS = 1000
_MOST_PIXELS = 1 << 32  # of all pictures: hundreds of photographs, or some dozen bombs that each are just allowed
_FINISH_REASONS = ("", "stop", "length", "context", "repetition", "cancelled")
_SETTINGS = {
    "temperature": float,
    "top_p": float,
    "top_k": int,
    "min_p": float,
    "repetition_penalty": float,
    "max_tokens": int,
    "seed": int,
    "thinking": bool,
}
"""Sampling settings that a conversation keeps, and their types."""
_LARGEST = 2**53  # what JavaScript counts exactly


def to_json(conversation: Conversation, contents: Mapping[str, Content]) -> str:
    """All branches with their files' texts, and pictures in base64; `from_json` reads it back."""
    files = {file.id: file for message in conversation.messages for file in message.attachments}
    data = asdict(conversation)
    data.pop("id")
    for message in data["messages"]:
        message["attachments"] = [file["id"] for file in message["attachments"]]
    head = {"format": FORMAT, "version": VERSION}
    attachments = [asdict(file) | _written(contents.get(id, "")) for id, file in files.items()]
    return json.dumps(head | data | {"attachments": attachments}, ensure_ascii=False, indent=1) + "\n"


def _written(content: Content) -> dict[str, str]:
    return {"text": content} if isinstance(content, str) else {"data": base64.b64encode(content).decode()}


def to_markdown(conversation: Conversation) -> str:
    """The branch that is shown, for reading."""
    parts = [f"# {conversation.title or 'Conversation'}"]
    if conversation.system:
        parts.append("\n".join(f"> {line}".rstrip() for line in conversation.system.splitlines()))
    for message in conversation.branch(conversation.leaf):
        who = "You" if message.role == "user" else message.model or "Answer"
        parts.append(f"## {who}")
        parts += [f"*Attached: {file.name}*" for file in message.attachments]
        if message.thinking:
            parts.append(f"<details><summary>Thinking</summary>\n\n{message.thinking.strip()}\n\n</details>")
        parts.append(message.content.strip())
        if message.state not in ("done", "running"):
            parts.append(f"*({message.error or message.state})*")
    return "\n\n".join(part for part in parts if part) + "\n"


def from_json(data: bytes) -> tuple[Conversation, dict[str, Content]]:
    """Reads what `to_json` wrote, or a conversation that `hearth chat` saved.

    Returns:
        The conversation, under ids that count only within it, and what stands in its attachments by their ids.

    Raises:
        CorruptFile: it is damaged or hostile; says where.
    """
    if len(data) > MAX_FILE_BYTES:
        raise CorruptFile("The file is too large for a conversation.", why=f"At most {MAX_FILE_BYTES >> 20} MiB.")
    try:
        parsed = json.loads(data.decode("utf-8-sig"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise CorruptFile("The file is no conversation:", why=f"it is not JSON ({error}).") from None
    if not isinstance(parsed, dict) or parsed.get("format") not in (FORMAT, CLI_FORMAT):
        raise CorruptFile(
            "The file is no conversation:",
            why=f"it is JSON, but its format is neither {FORMAT!r} nor {CLI_FORMAT!r}.",
            hint="Import what this page has exported, or what `hearth chat` has saved with /save.",
        )
    own = parsed["format"] == FORMAT
    if parsed.get("version") != (VERSION if own else CLI_VERSION):
        raise CorruptFile(f"The file is of version {parsed.get('version')!r}.", why="This Hearth reads version 1.")
    try:
        return _ours(parsed) if own else (_from_cli(parsed), {})
    except UsageError as error:
        raise CorruptFile("The file is damaged:", why=error.what) from error


def checked_settings(settings: Any) -> dict[str, Any]:
    """Sampling settings of a conversation: known names, numbers of the right kind. Ranges are the engine's matter.

    Raises:
        UsageError: names the setting that is wrong.
    """
    if not isinstance(settings, Mapping):
        raise UsageError("The settings are no object.")
    result: dict[str, Any] = {}
    for name, value in settings.items():
        kind = _SETTINGS.get(name)
        if kind is None:
            raise UsageError(f"There is no setting {str(name)[:40]!r}.", hint=f"Known: {', '.join(_SETTINGS)}.")
        if value is None:
            continue
        # Written so that NaN, infinity and numbers of a thousand digits fail it.
        number = isinstance(value, int | float) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST
        if kind is bool:
            fine = isinstance(value, bool)
        else:
            fine = number and (kind is float or value == int(value))
        if not fine:
            raise UsageError(f"The setting {name} is {str(value)[:40]}, but must be {_KIND_NAMES[kind]}.")
        result[name] = kind(value)
    return result


_KIND_NAMES: Mapping[type, str] = {float: "a number", int: "a whole number", bool: "true or false"}


def _ours(data: dict[str, Any]) -> tuple[Conversation, dict[str, Content]]:
    files: dict[str, Attachment] = {}
    contents: dict[str, Content] = {}
    pixels = 0
    for place, item in _objects(data, "attachments", MAX_ATTACHMENTS):
        file, content = _attachment(item, place)
        pixels += file.picture.height * file.picture.width if file.picture else 0
        if pixels > _MOST_PIXELS:
            raise UsageError(f"the pictures have more than {_MOST_PIXELS:,} pixels together.")
        if file.id in files:
            raise UsageError(f"{place} has the id of another one.")
        files[file.id], contents[file.id] = file, content
    messages: dict[str, Message] = {}
    for place, item in _objects(data, "messages", MAX_MESSAGES):
        message = _message(item, place, files)
        if message.id in messages:
            raise UsageError(f"{place} has the id of another one.")
        # A parent stands before its children, so there can be no circle.
        if message.parent is not None and message.parent not in messages:
            raise UsageError(f"{place} follows a message that does not stand before it.")
        messages[message.id] = message
    leaf = data.get("leaf")
    if leaf is not None and (not isinstance(leaf, str) or leaf not in messages):
        raise UsageError("'leaf' is none of the messages.")
    conversation = Conversation(
        id="",
        title=_text(data, "title", "The file", limit=MAX_TITLE * 4),
        model=_text(data, "model", "The file", limit=1000),
        system=_text(data, "system", "The file"),
        settings=checked_settings(data.get("settings", {})),
        created=_time(data),
        updated="",
        leaf=leaf if leaf is not None else next(reversed(messages), None),
        messages=tuple(messages.values()),
    )
    return conversation, contents


def _from_cli(data: dict[str, Any]) -> Conversation:
    """A line of turns. Later instructions of the system have no place here, nor have results of tools."""
    system = [_text(data, "system", "The file")]
    messages: list[Message] = []
    for place, item in _objects(data, "messages", MAX_MESSAGES):
        role = item.get("role")
        if role not in ROLES:
            raise UsageError(f"{place} has the role {str(role)[:40]!r}.")
        content = _text(item, "content", place)
        if role in ("system", "developer") and not messages:
            system.append(content)
            continue
        if role not in get_args(Role):
            raise UsageError(f"{place} is of the role {role!r}, which the chat page does not show.")
        parent = messages[-1].id if messages else None
        model = _text(data, "model", "The file", limit=1000) if role == "assistant" else ""
        messages.append(Message(str(len(messages)), parent, role, content, _text(item, "thinking", place), model=model))
    return Conversation(
        id="",
        title=title_of(next((m.content for m in messages if m.role == "user"), "")),
        model=_text(data, "model", "The file", limit=1000),
        system="\n\n".join(filter(None, system)),
        settings={},
        created="",
        updated="",
        leaf=messages[-1].id if messages else None,
        messages=tuple(messages),
    )


def _message(item: dict[str, Any], place: str, files: Mapping[str, Attachment]) -> Message:
    state = _choice(item, "state", place, get_args(State), "done")
    parent = item.get("parent")
    attached = item.get("attachments", [])
    if not isinstance(attached, list) or not all(isinstance(id, str) and id in files for id in attached):
        raise UsageError(f"{place} names an attachment that is not in the file.")
    if len(attached) > MAX_ATTACHMENTS or not (parent is None or isinstance(parent, str)):
        raise UsageError(f"{place} is damaged.")
    return Message(
        id=_id(item, place),
        parent=parent,
        role=_choice(item, "role", place, get_args(Role)),
        content=_text(item, "content", place),
        thinking=_text(item, "thinking", place),
        model=_text(item, "model", place, limit=1000),
        state="interrupted" if state == "running" else state,
        error=_text(item, "error", place, limit=10_000),
        hint=_text(item, "hint", place, limit=10_000),
        error_kind=_text(item, "error_kind", place, limit=100),
        finish_reason=_choice(item, "finish_reason", place, _FINISH_REASONS, ""),
        created=_time(item),
        usage=Usage(**{name: int(_number(item, "usage", name, place)) for name in Usage.__dataclass_fields__}),
        timings=Timings(**{name: _number(item, "timings", name, place) for name in Timings.__dataclass_fields__}),
        attachments=tuple(files[id] for id in attached),
    )


def _attachment(item: dict[str, Any], place: str) -> tuple[Attachment, Content]:
    kind: AttachmentKind = _choice(item, "kind", place, get_args(AttachmentKind))
    content = _file(item, place) if kind == "picture" else _text(item, "text", place)
    file = Attachment(
        id=_id(item, place),
        name=_text(item, "name", place, limit=MAX_NAME),
        kind=kind,
        tokens=int(_number({"": item}, "", "tokens", place)),
        chars=len(content) if isinstance(content, str) else 0,
        pages=int(_number({"": item}, "", "pages", place)),
        picture=_picture(content, place) if isinstance(content, bytes) else None,
    )
    return file, content


def _file(item: Mapping[str, Any], place: str) -> bytes:
    data = item.get("data")
    try:
        return base64.b64decode(data if isinstance(data, str) else "", validate=True)
    except (binascii.Error, ValueError):
        raise UsageError(f"{place}: 'data' is no base64.") from None


def _picture(data: bytes, place: str) -> Picture:
    """What a picture says of itself, whatever the file says of it."""
    try:
        found = identify(data, place)
    except (CorruptFile, Unsupported) as error:
        raise UsageError(error.what) from error
    return Picture(found.media_type, found.height, found.width, len(data))


def _objects(data: Mapping[str, Any], name: str, most: int) -> list[tuple[str, dict[str, Any]]]:
    items = data.get(name, [])
    if not isinstance(items, list) or len(items) > most:
        raise UsageError(f"{name!r} is no list of at most {most}.")
    if not all(isinstance(item, dict) for item in items):
        raise UsageError(f"{name!r} holds something that is no object.")
    return [(f"{name.capitalize()[:-1]} {position}", item) for position, item in enumerate(items, start=1)]


def _text(item: Mapping[str, Any], name: str, place: str, *, limit: int | None = None) -> str:
    value = item.get(name, "")
    if not isinstance(value, str):
        raise UsageError(f"{place}: {name!r} is no text.")
    return clean(value, f"{place}: {name!r}", limit=limit) if limit else clean(value, f"{place}: {name!r}")


def _id(item: Mapping[str, Any], place: str) -> str:
    id = item.get("id")
    if not isinstance(id, str) or not 0 < len(id) <= 100:
        raise UsageError(f"{place} has no id.")
    return id


def _choice(item: Mapping[str, Any], name: str, place: str, known: tuple[str, ...], default: str | None = None) -> Any:
    value = item.get(name, default)
    if not isinstance(value, str) or value not in known:
        raise UsageError(f"{place}: {name!r} is {str(value)[:40]!r}.")
    return value


def _number(item: Mapping[str, Any], group: str, name: str, place: str) -> float:
    numbers = item.get(group, {})
    value = numbers.get(name, 0) if isinstance(numbers, dict) else None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= _LARGEST:
        raise UsageError(f"{place}: {name!r} is no number that it could be.")
    return value


def _time(item: Mapping[str, Any]) -> str:
    """When something was written: as it stands if it looks like a time, else nothing."""
    value = item.get("created")
    if isinstance(value, str) and len(value) <= 32:
        try:
            time = datetime.fromisoformat(value)
            return stamp(time.astimezone(UTC)) if time.tzinfo is not None else ""
        except (ValueError, OverflowError):
            pass
    return ""


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")
