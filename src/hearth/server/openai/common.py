"""Fields that several requests have in common, most of them OpenAI's, and what their values mean to Hearth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, Tag, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from hearth.server import field_tables
from hearth.server.pictures import HasText
from hearth.server.wire import (
    MAX_STOPS,
    ClientBody,
    JsonObject,
    Penalty,
    Probability,
    Seed,
    StopString,
    Temperature,
    Text,
    TokenId,
    TopK,
    shape,
)

Digits = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,10}$")]
Bias = Annotated[float, Field(ge=-100, le=100)]
ToolName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_.-]{1,128}$")]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
LEAST_TOP_P = 1e-9
"""Stands for 0: the likeliest token alone."""


def only_kind(*known: str) -> Any:
    """A validator for a class with a `type`: one error that names the kind, instead of one for each of its fields."""

    def check(value: Any) -> Any:
        kind = value.get("type") if isinstance(value, Mapping) else None
        if isinstance(kind, str) and kind not in known:
            raise PydanticCustomError(
                "kind",
                "type {kind} is not supported, only {known}",
                {"kind": repr(kind[:64]), "known": " and ".join(known)},
            )
        return value

    return model_validator(mode="before")(check)


class TextPart(ClientBody):
    """A piece of text."""

    rules = field_tables.PART
    type: Literal["text"]
    text: Text

    _is_text = only_kind("text")


Stop = Annotated[
    Annotated[StopString, Tag("(text)")] | Annotated[list[StopString], Field(max_length=MAX_STOPS), Tag("(list)")],
    shape(text=str, list=list),
]


class Sampling(ClientBody):
    """How tokens are drawn. Null or absent: as the model's authors recommend."""

    temperature: Temperature | None = None
    top_p: Annotated[Probability, Field(description="0 takes the likeliest token.")] | None = None
    top_k: Annotated[TopK, Field(description="Extension; 0 and -1 are off.")] | None = None
    min_p: Annotated[float, Field(ge=0, le=1, description="Extension; 0 is off.")] | None = None
    repetition_penalty: Annotated[float, Field(ge=0.1, le=10, description="Extension; 1 is off.")] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: Annotated[dict[Digits, Bias], Field(max_length=1024)] | None = None
    seed: Annotated[Seed, Field(description="A negative one is a seed as any other.")] | None = None
    stop_token_ids: Annotated[list[TokenId], Field(max_length=1024, description="Extension.")] | None = None
    ignore_eos: Annotated[bool, Field(description="Extension: go on after the model's end tokens.")] | None = None

    def settings(self, **others: Any) -> dict[str, Any]:
        """As `LLM.prepare_chat` and `LLM.prepare_text` take them."""
        return {
            "temperature": self.temperature,
            "top_p": None if self.top_p is None else max(self.top_p, LEAST_TOP_P),
            "top_k": None if self.top_k is None else max(self.top_k, 0),
            "min_p": self.min_p,
            "repetition_penalty": self.repetition_penalty,
            "presence_penalty": self.presence_penalty,
            "frequency_penalty": self.frequency_penalty,
            "logit_bias": {int(token): bias for token, bias in self.logit_bias.items()} if self.logit_bias else None,
            "seed": nth_seed(self.seed, 0),
            "stop_token_ids": tuple(self.stop_token_ids) if self.stop_token_ids else None,
            "ignore_eos": self.ignore_eos,
            **others,
        }


def nth_seed(seed: int | None, index: int) -> int | None:
    """The seed of one of several answers, as the engine takes it: the first has the one that was given, each next one
    the next number."""
    return None if seed is None else (seed + index) % 2**64


class Stopping(ClientBody):
    """What ends an answer besides the model."""

    stop: Stop | None = None


class StreamOptions(ClientBody):
    """What a stream brings besides the text."""

    rules = field_tables.STREAM_OPTIONS
    include_usage: bool | None = None


class Function(ClientBody):
    """A function that the model may call."""

    name: ToolName
    description: Text | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class FunctionTool(ClientBody):
    """A tool; only functions are supported."""

    rules = field_tables.TOOL
    type: Literal["function"]
    function: Function


class NamedFunction(ClientBody):
    """The name of a tool."""

    name: ToolName


class NamedChoice(ClientBody):
    """This tool and no other."""

    type: Literal["function"]
    function: NamedFunction


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required", "any"], Tag("(word)")] | Annotated[NamedChoice, Tag("(object)")],
    shape(word=str, object=dict),
]
"""`any` is Mistral's and Anthropic's word for `required`."""


def needs_stream(value: StreamOptions | None, others: ValidationInfo) -> StreamOptions | None:
    """For a validator of `stream_options`, which stand after `stream`."""
    if value is not None and not others.data.get("stream"):
        raise PydanticCustomError("needs", "needs stream: true")
    return value


def joined(content: str | Sequence[HasText]) -> str:
    """The text of a message: its parts are lines."""
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content)
