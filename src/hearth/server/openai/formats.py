"""What the answer must look like: OpenAI's `response_format`, Hearth's extensions, and other servers' names of both."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, Tag, model_validator
from pydantic_core import PydanticCustomError

from hearth.server import field_tables
from hearth.server.fields import FAULT
from hearth.server.openai.common import Sampling, Stopping
from hearth.server.places import Places
from hearth.server.wire import MAX_TEXT, ClientBody, JsonObject, Text, plain_json, shape, tagged

FormatName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
Filled = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
_META = re.compile(r"[\\.+*?()|\[\]{}^$#&~/-]")
_FORMAT: Final = re.compile(r"\bresponse_format(?:\.(?:json_schema(?:\.schema)?|regex|grammar))?\b")
_GBNF = re.compile(r"^\s*root\s*::=", re.MULTILINE)


def _no_gbnf(value: str) -> str:
    if _GBNF.search(value):
        raise PydanticCustomError(
            "unsupported",
            "is not supported in llama.cpp's language (GBNF): write the grammar in Lark's, or use a JSON schema or a"
            " regular expression in response_format.",
        )
    return value


Grammar = Annotated[Filled, Field(description="Extension: a Lark-style grammar."), AfterValidator(_no_gbnf)]


Whitespace = Annotated[
    Literal["compact", "pretty"], Field(description="Extension: a blank at most between JSON's tokens, or lines.")
]


class TextFormat(ClientBody):
    """Free text."""

    type: Literal["text"]

    def wanted(self) -> None:
        """As `LLM.prepare_chat` takes it."""


class JsonObjectFormat(ClientBody):
    """Any JSON object; with a schema (llama.cpp's and Together's form), one that follows it."""

    type: Literal["json_object"]
    schema_: JsonObject | None = Field(default=None, alias="schema")
    whitespace: Whitespace | None = None

    def wanted(self) -> dict[str, Any]:
        """As `LLM.prepare_chat` takes it."""
        form = {"type": "json_object"} if self.schema_ is None else _of_schema(self.schema_)
        return form | ({"whitespace": self.whitespace} if self.whitespace else {})


class JsonSchema(ClientBody):
    """A schema with its name."""

    name: FormatName | None = None
    description: Text | None = None
    schema_: JsonObject = Field(alias="schema")
    strict: bool | None = None


class JsonSchemaFormat(ClientBody):
    """JSON that follows a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema
    whitespace: Whitespace | None = None

    def wanted(self) -> dict[str, Any]:
        """As `LLM.prepare_chat` takes it."""
        return self.model_dump(by_alias=True, exclude_none=True)


class GrammarFormat(ClientBody):
    """Extension: text that follows a grammar (Lark-style)."""

    type: Literal["grammar"]
    grammar: Grammar

    def wanted(self) -> dict[str, Any]:
        """As `LLM.prepare_chat` takes it."""
        return self.model_dump()


class RegexFormat(ClientBody):
    """Extension: text that matches a regular expression."""

    type: Literal["regex"]
    regex: Filled

    def wanted(self) -> dict[str, Any]:
        """As `LLM.prepare_chat` takes it."""
        return self.model_dump()


ResponseFormat = Annotated[
    Annotated[TextFormat, Tag("(text)")]
    | Annotated[JsonObjectFormat, Tag("(json_object)")]
    | Annotated[JsonSchemaFormat, Tag("(json_schema)")]
    | Annotated[GrammarFormat, Tag("(grammar)")]
    | Annotated[RegexFormat, Tag("(regex)")],
    tagged("type"),
]
SchemaOrText = Annotated[
    Annotated[JsonObject, Tag("(object)")] | Annotated[Filled, Tag("(text)")], shape(object=dict, text=str)
]
"""A schema, or its JSON text."""
Choices = Annotated[list[Filled], Field(min_length=1, max_length=1024)]


def _schema_of(value: str | dict[str, Any]) -> dict[str, Any]:
    """A schema that may be given as text.

    Raises:
        PydanticCustomError: the text is no JSON object.
    """
    if isinstance(value, dict):
        return value
    try:
        schema = json.loads(value)
    except (ValueError, RecursionError):
        schema = None
    if not isinstance(schema, dict):
        raise PydanticCustomError("no_schema", "is neither a JSON schema nor the text of one")
    checked: dict[str, Any] = plain_json(schema)
    return checked


Schema = Annotated[SchemaOrText, AfterValidator(_schema_of)]


class StructuredOutputs(ClientBody):
    """vLLM's form of all of it: one of these."""

    rules = field_tables.STRUCTURED_OUTPUTS
    json_: Schema | None = Field(default=None, alias="json")
    regex: Filled | None = None
    choice: Choices | None = None
    grammar: Grammar | None = None
    json_object: bool | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if sum(bool(value) for value in self.model_dump().values()) != 1:
            raise PydanticCustomError("one_of", "must be one of json, regex, choice, grammar, json_object")
        return self

    def wanted(self) -> dict[str, Any]:
        """As `LLM.prepare_chat` takes it."""
        for kind in ("json_", "regex", "choice", "grammar"):
            value = getattr(self, kind)
            if value is not None:
                return _FORMS[kind](value)
        return {"type": "json_object"}


class Structured(Sampling, Stopping):
    """What the answer must look like: at most one of these."""

    response_format: ResponseFormat | None = None
    grammar: Grammar | None = None
    json_schema: Annotated[Schema, Field(description="Extension: llama.cpp's name of a JSON schema.")] | None = None
    guided_json: Annotated[Schema, Field(description="Extension: vLLM's name of a JSON schema.")] | None = None
    guided_regex: Annotated[Filled, Field(description="Extension: vLLM's.")] | None = None
    guided_choice: Annotated[Choices, Field(description="Extension: vLLM's; one of these texts.")] | None = None
    guided_grammar: Grammar | None = None
    structured_outputs: StructuredOutputs | None = None

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        given = [name for name in _SHAPES if getattr(self, name) is not None]
        if self.response_format is not None and self.response_format.type == "text":
            given.remove("response_format")
        if len(given) > 1:
            raise PydanticCustomError(FAULT, "has two forms", {"refused": [(given[1], f"it contradicts {given[0]}.")]})
        return self

    def wanted_format(self) -> dict[str, Any] | None:
        """As `LLM.prepare_chat` takes it."""
        for name, form in _SHAPES.items():
            value = getattr(self, name)
            wanted = None if value is None else form(value)
            if wanted is not None:
                return wanted
        return None


def places_of(body: Structured) -> Places:
    """What this request calls the places that `chat` names."""
    name = next((name for name in list(_SHAPES)[1:] if getattr(body, name) is not None), None)
    return ((_FORMAT, name),) if name else ()


def _of_schema(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"schema": schema}}


def _of_regex(regex: str) -> dict[str, Any]:
    return {"type": "regex", "regex": regex}


def _of_choice(choices: list[str]) -> dict[str, Any]:
    return _of_regex("|".join(_META.sub(r"\\\g<0>", choice) for choice in choices))


def _of_grammar(grammar: str) -> dict[str, Any]:
    return {"type": "grammar", "grammar": grammar}


_FORMS: Final[dict[str, Callable[[Any], dict[str, Any]]]] = {
    "json_": _of_schema,
    "regex": _of_regex,
    "choice": _of_choice,
    "grammar": _of_grammar,
}
_SHAPES: Final[dict[str, Callable[[Any], dict[str, Any] | None]]] = {
    "response_format": lambda given: given.wanted(),
    "grammar": _of_grammar,
    "json_schema": _of_schema,
    "guided_json": _of_schema,
    "guided_regex": _of_regex,
    "guided_choice": _of_choice,
    "guided_grammar": _of_grammar,
    "structured_outputs": lambda given: given.wanted(),
}
