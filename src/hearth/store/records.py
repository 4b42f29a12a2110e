"""What the store hands out: conversations, messages, attachments; field by field as the chat page gets them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from hearth.errors import UsageError

Role = Literal["user", "assistant"]
State = Literal["done", "running", "stopped", "interrupted", "error"]
TextKind = Literal["text", "pdf"]
AttachmentKind = Literal["text", "pdf", "picture"]


class NotFound(UsageError):
    """There is no conversation, message or attachment of that id, or not any more."""


@dataclass(frozen=True)
class Usage:
    """What an answer cost, in tokens; zeros where it is not known."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True)
class Timings:
    """How long an answer took, in seconds from the request.

    Attributes:
        tok_s: tokens a second after the first; 0 where they are too few to tell.
        thinking_s: from the first token of its thinking to the first of what it says; 0 where it did not think.
    """

    first_token_s: float = 0.0
    total_s: float = 0.0
    tok_s: float = 0.0
    thinking_s: float = 0.0


@dataclass(frozen=True)
class Picture:
    """What is known of a picture beside its file.

    Attributes:
        media_type: as HTTP names its format: `image/jpeg`.
        height, width: in pixels, as it is meant to be seen.
        size_bytes: of its file.
    """

    media_type: str
    height: int
    width: int
    size_bytes: int


@dataclass(frozen=True)
class Attachment:
    """A file that goes along with a message: its text, where the file itself is not kept; or a picture.

    Attributes:
        tokens: of its text, or that it takes as a picture, as the model counted that was there when it was attached; 0
            where none counted.
        chars: of its text, else 0.
        pages: of a PDF file, else 0.
        picture: None: it is no picture.
    """

    id: str
    name: str
    kind: AttachmentKind
    tokens: int
    chars: int
    pages: int
    picture: Picture | None = None


Content = str | bytes
"""What stands in an attachment: a text, or the file of a picture."""


@dataclass(frozen=True)
class Message:
    """One turn; messages form a tree.

    Attributes:
        parent: id of the message before it; None for a first one.
        model: who answered; "" for the user.
        state: "running" while the answer comes; "stopped" by the user; "interrupted" when Hearth was killed meanwhile.
        error, hint: what went wrong in state "error", and what to do.
        error_kind: a name of `hearth.errors`, for a page that has words of its own for such errors; or "".
        finish_reason: why the answer ended: "stop", "length", "context", "repetition", "cancelled"; "" where it is not
            known.
    """

    id: str
    parent: str | None
    role: Role
    content: str
    thinking: str = ""
    model: str = ""
    state: State = "done"
    error: str = ""
    hint: str = ""
    error_kind: str = ""
    finish_reason: str = ""
    created: str = ""
    usage: Usage = Usage()
    timings: Timings = Timings()
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True)
class Conversation:
    """A conversation with all its branches.

    Attributes:
        system: instructions for the whole conversation; "" for none.
        settings: sampling settings that were chosen for it, by name.
        created, updated: ISO 8601, UTC.
        leaf: id of the last message of the branch that is shown.
        messages: all branches, in the order in which they were written: a parent stands before its children.
    """

    id: str
    title: str
    model: str
    system: str
    settings: dict[str, Any]
    created: str
    updated: str
    leaf: str | None
    messages: tuple[Message, ...] = ()

    def branch(self, leaf: str | None) -> list[Message]:
        """The messages from the first one to `leaf`. Raises NotFound."""
        by_id = {message.id: message for message in self.messages}
        path: list[Message] = []
        while leaf is not None:
            if leaf not in by_id:
                raise NotFound(f"There is no message {leaf!r} in this conversation.")
            path.append(by_id[leaf])
            leaf = path[-1].parent
        return path[::-1]


@dataclass(frozen=True)
class Found:
    """One line of the list of conversations.

    Attributes:
        message: id of the newest message in which words of the search stand; None where they stand in the title only,
            or nothing was searched.
        snippet: a piece of text that shows what was found, or the beginning of the last message; without Markdown.
        hits, title_hits: where the words that were searched stand in snippet and title, as [start, end] in UTF-16
            code units, which is what JavaScript counts.
    """

    id: str
    title: str
    model: str
    created: str
    updated: str
    message: str | None
    snippet: str
    hits: list[tuple[int, int]] = field(default_factory=list)
    title_hits: list[tuple[int, int]] = field(default_factory=list)
