"""Fields that several of OpenAI's requests have in common, and what their values mean to Hearth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field, StringConstraints, Tag, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from hearth.server.wire import (
    MAX_STOPS,
    MAX_TEXT,
    Body,
    CacheControl,
    JsonObject,
    Penalty,
    Probability,
    Seed,
    ShortText,
    StopString,
    Temperature,
    Text,
    TopK,
    Unsupported,
    shape,
    tagged,
)

Digits = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,10}$")]
Bias = Annotated[float, Field(ge=-100, le=100)]
ToolName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Verbosity = Annotated[Any, Unsupported("a model here has no such setting.", neutral=("medium",))]


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


class TextPart(Body):
    """A piece of text: the only kind of content that models here take."""

    type: Literal["text"]
    text: Text
    cache_control: CacheControl | None = None

    _is_text = only_kind("text")


Stop = Annotated[
    Annotated[StopString, Tag("(text)")] | Annotated[list[StopString], Field(max_length=MAX_STOPS), Tag("(list)")],
    shape(text=str, list=list),
]


class Sampling(Body):
    """How tokens are drawn. Null or absent: as the model's authors recommend."""

    temperature: Temperature | None = None
    top_p: Probability | None = None
    top_k: Annotated[TopK, Field(description="Extension; 0 is off.")] | None = None
    min_p: Annotated[float, Field(ge=0, le=1, description="Extension; 0 is off.")] | None = None
    repetition_penalty: Annotated[float, Field(ge=0.1, le=10, description="Extension; 1 is off.")] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: Annotated[dict[Digits, Bias], Field(max_length=1024)] | None = None
    seed: Seed | None = None
    stop: Stop | None = None
    ignore_eos: Annotated[bool, Field(description="Extension: go on after the model's end tokens.")] | None = None

    def settings(self, **others: Any) -> dict[str, Any]:
        """As `LLM.prepare_chat` and `LLM.prepare_text` take them."""
        return {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "min_p": self.min_p,
            "repetition_penalty": self.repetition_penalty,
            "presence_penalty": self.presence_penalty,
            "frequency_penalty": self.frequency_penalty,
            "logit_bias": {int(token): bias for token, bias in self.logit_bias.items()} if self.logit_bias else None,
            "seed": self.seed,
            "stop": self.stop,
            "ignore_eos": self.ignore_eos,
            **others,
        }


class StreamOptions(Body):
    """What a stream brings besides the text."""

    include_usage: bool | None = None
    include_obfuscation: Annotated[Any, Unsupported("streams are not padded.", neutral=(False,))] = None


class TextFormat(Body):
    """Free text."""

    type: Literal["text"]


class JsonObjectFormat(Body):
    """Any JSON object."""

    type: Literal["json_object"]


class JsonSchema(Body):
    """A schema with its name."""

    name: ToolName
    description: Text | None = None
    schema_: JsonObject = Field(alias="schema")
    strict: bool | None = None


class JsonSchemaFormat(Body):
    """JSON that follows a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


class GrammarFormat(Body):
    """Extension: text that follows a grammar (Lark-style)."""

    type: Literal["grammar"]
    grammar: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]


class RegexFormat(Body):
    """Extension: text that matches a regular expression."""

    type: Literal["regex"]
    regex: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]


ResponseFormat = Annotated[
    Annotated[TextFormat, Tag("(text)")]
    | Annotated[JsonObjectFormat, Tag("(json_object)")]
    | Annotated[JsonSchemaFormat, Tag("(json_schema)")]
    | Annotated[GrammarFormat, Tag("(grammar)")]
    | Annotated[RegexFormat, Tag("(regex)")],
    tagged("type"),
]
Grammar = Annotated[str, Field(min_length=1, max_length=MAX_TEXT, description="Extension: a Lark-style grammar.")]


class Structured(Sampling):
    """What the answer must look like."""

    response_format: ResponseFormat | None = None
    grammar: Grammar | None = None

    @field_validator("grammar")
    @classmethod
    def _one_shape(cls, value: str | None, others: ValidationInfo) -> str | None:
        shape = others.data.get("response_format")
        if value is not None and shape is not None and shape.type != "text":
            raise PydanticCustomError("two_shapes", "cannot be given together with response_format")
        return value

    def wanted_format(self) -> dict[str, Any] | None:
        """As `LLM.prepare_chat` takes it."""
        if self.grammar is not None:
            return {"type": "grammar", "grammar": self.grammar}
        if self.response_format is None:
            return None
        return self.response_format.model_dump(by_alias=True, exclude_none=True)


class Function(Body):
    """A function that the model may call."""

    name: ToolName
    description: Text | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class FunctionTool(Body):
    """A tool; only functions are supported."""

    type: Literal["function"]
    function: Function


class NamedFunction(Body):
    """The name of a tool."""

    name: ToolName


class NamedChoice(Body):
    """This tool and no other."""

    type: Literal["function"]
    function: NamedFunction


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("(word)")] | Annotated[NamedChoice, Tag("(object)")],
    shape(word=str, object=dict),
]


class Harmless(Body):
    """Fields that change nothing about an answer: accepted, and without effect on a server that keeps nothing."""

    user: ShortText | None = None
    metadata: Metadata | None = None
    safety_identifier: ShortText | None = None
    prompt_cache_key: ShortText | None = None
    prompt_cache_retention: Annotated[
        Any, Unsupported("prompts are kept in memory while there is room.", neutral=("in_memory", "in-memory"))
    ] = None
    prompt_cache_options: Annotated[Any, Unsupported("every prompt is cached by itself.")] = None
    moderation: Annotated[Any, Unsupported("nothing is moderated.")] = None
    service_tier: Annotated[Any, Unsupported("there is one tier.", neutral=("auto", "default"))] = None


def needs_stream(value: StreamOptions | None, others: ValidationInfo) -> StreamOptions | None:
    """For a validator of `stream_options`, which stand after `stream`."""
    if value is not None and not others.data.get("stream"):
        raise PydanticCustomError("needs", "needs stream: true")
    return value


class HasText(Protocol):
    """A part of a message."""

    text: str


def joined(content: str | Sequence[HasText]) -> str:
    """The text of a message: its parts are lines."""
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content)
