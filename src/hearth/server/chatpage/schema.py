"""What the page sends and gets, beside the records of the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from hearth.errors import UsageError
from hearth.server.wire import Body
from hearth.store import Attachment, Found
from hearth.store.exchange import checked_settings
from hearth.store.text import MAX_CONTENT, MAX_TITLE


class Wrong(BaseModel):
    """What is wrong, what to do, and a name of `hearth.errors`; each may be empty but the first."""

    message: str
    hint: str
    kind: str


class Problem(BaseModel):
    """The body of every error."""

    error: Wrong


ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"model": Problem, "description": "The request is at fault, or there is no such thing."},
    "5XX": {"model": Problem, "description": "The disk is full, a model cannot be opened, or a fault."},
}
MAX_ATTACHED = 20
"""Files of one message."""


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    try:
        return checked_settings(given)
    except UsageError as error:
        raise PydanticCustomError("settings", "{what}", {"what": str(error)}) from None


Settings = Annotated[dict[str, Any], AfterValidator(_settings)]
Id = Annotated[str, Field(min_length=1, max_length=100)]
Title = Annotated[str, Field(max_length=MAX_TITLE)]
ModelName = Annotated[str, Field(max_length=500)]
System = Annotated[str, Field(max_length=200_000)]
Attached = Annotated[list[Id], Field(max_length=MAX_ATTACHED)]


class NewConversation(Body):
    model: ModelName = ""
    title: Title = ""
    system: System = ""
    settings: Settings = Field(default_factory=dict)


class Change(Body):
    """What is not given, or null, stays as it is."""

    title: Title | None = None
    model: ModelName | None = None
    system: System | None = None
    settings: Settings | None = None
    leaf: Id | None = None


class Said(Body):
    """What the user says after a message; null: at the beginning."""

    parent: Id | None = None
    content: Annotated[str, Field(max_length=MAX_CONTENT)] = ""
    attachments: Attached = Field(default_factory=list)


class Asked(Body):
    """The user's message that is to be answered."""

    parent: Id


class Wanted(Body):
    """A model on the hub."""

    name: Annotated[str, Field(min_length=1, max_length=500)]


class Sought(Body):
    """What is looked for in the documents: `encoder` finds it, `model` is to read it."""

    query: Annotated[str, Field(min_length=1, max_length=MAX_CONTENT)]
    encoder: ModelName
    model: ModelName = ""


class Listed(BaseModel):
    conversations: list[Found]
    more: bool


class Counted(BaseModel):
    """Tokens of the prompt that would be sent, and of prompt and answer at most."""

    tokens: int
    context: int


@dataclass(frozen=True)
class AttachedFile(Attachment):
    """An attached file and the beginning of its text."""

    preview: str = ""


@dataclass(frozen=True)
class AttachedText(Attachment):
    """An attached file and its text."""

    text: str = ""


class ModelLine(BaseModel):
    """A model that can be chosen; null where it is not known yet.

    `memory_bytes`: what it takes, or would; `disk_bytes`: its files; `format`: how its weights were published;
    `sampling`: its own settings by name, while it is open; `fits`: whether there is memory for it now; `problem`: a
    name of `hearth.errors` where it cannot be opened; `made_for`: which kind of model it is; `task`: what one does that
    is no language model; `sees`: whether it takes pictures in a conversation.
    """

    name: str
    loaded: bool
    context: int | None
    memory_bytes: int | None
    disk_bytes: int | None
    format: str | None
    fits: bool | None
    problem: str
    thinking: bool
    tools: bool
    sampling: dict[str, float] | None
    made_for: str | None
    task: str | None
    sees: bool | None


class ModelLines(BaseModel):
    models: list[ModelLine]
    looking: bool


class SuggestedModel(BaseModel):
    name: str
    parameters: int
    download_bytes: int
    memory_bytes: int
    good_at: str
    sees: bool


class SuggestedLooking(BaseModel):
    name: str
    task: str
    download_bytes: int


class SuggestedModels(BaseModel):
    """Models to get: those that chat, and those that look at pictures."""

    models: list[SuggestedModel]
    looking: list[SuggestedLooking]


class PullLine(BaseModel):
    """A model on its way: `done` and `total` are bytes while it is downloaded; `model` is its name when it is here."""

    name: str
    state: str
    stage: str
    done: int
    total: int
    bytes_per_s: float
    model: str
    error: Wrong | None


class PullLines(BaseModel):
    pulls: list[PullLine]


class Status(BaseModel):
    version: str
    default_model: str | None
    read_only: bool
