"""What the request bodies of all protocols share: strict models, sizes, plain JSON.

A body is a stranger's. What its schema knows is of its exact type, within its range and of bounded size, or the request
is answered with an error that names the field; what becomes of the rest is told in `fields`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from hearth.server.fields import FieldRules, Refused, Renamed, sorted_out

MAX_TEXT = 4_000_000
"""Characters of one text: past any context, and what a template may hold."""

MAX_MESSAGES = 4096
MAX_TOKENS = 1_000_000
MAX_TOKEN_ID = 2**31 - 1
MAX_CHOICES = 16
MAX_JSON_DEPTH = 64
MAX_JSON_CHARS = 256 << 10


def _bound_errors(schema: Any) -> None:
    """Has lists within a schema end with their first error, and dictionaries tell their length before any."""
    for inner in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(inner, (dict, list, tuple)):
            _bound_errors(inner)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "list":
        schema["fail_fast"] = True
    elif schema.get("type") == "dict" and "max_length" in schema:
        unbounded = dict(schema)
        schema.clear()
        schema.update(core_schema.no_info_before_validator_function(_not_longer(unbounded["max_length"]), unbounded))


def _not_longer(most: int) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if isinstance(value, dict) and len(value) > most:
            raise PydanticCustomError("too_long", "has more than {limit} entries", {"limit": most})
        return value

    return check


class Body(BaseModel):
    """A request body or a part of one: no unknown fields, no conversion between types, no NaN.

    What is wrong with it is told, but not a million times: a list ends with its first wrong item, and a table that
    is too long is one error. Each error costs more than the rest of a request.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        _bound_errors(schema)
        return schema


class ClientBody(Body):
    """A body or a part of one that somebody else's program wrote: what its schema does not have goes by `rules`.

    Attributes:
        rules: see `fields`.
    """

    model_config = ConfigDict(extra="ignore")
    rules: ClassVar[FieldRules] = FieldRules()

    @model_validator(mode="before")
    @classmethod
    def _sort_out(cls, value: Any) -> Any:
        return sorted_out(value, _names(cls), cls.rules) if isinstance(value, Mapping) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The document says what is taken: null for whatever may be left out, and of refused fields the values that
        ask for nothing."""
        described = handler.resolve_ref_schema(handler(schema))
        fields = described.setdefault("properties", {})
        for name, field in fields.items():
            if name not in described.get("required", ()):
                fields[name] = _or_values(field, (None, *cls.rules.absent.get(name, ())))
        for name, rule in cls.rules.rules.items():
            match rule:
                case Refused(why, neutral):
                    fields[name] = {"enum": [None, *neutral], "description": f"Not supported: {why}"}
                case Renamed(to) if to in fields:
                    fields[name] = {**fields[to], "description": f"Another name of {to}."}
        return described


def _or_values(field: JsonSchemaValue, values: tuple[Any, ...]) -> JsonSchemaValue:
    """A field that may also be one of these."""
    forms = field.get("anyOf")
    if forms is None:
        about: JsonSchemaValue = {key: field[key] for key in ("title", "description", "default") if key in field}
        forms = [{key: value for key, value in field.items() if key not in about}]
        field = {"anyOf": forms, **about}
    missing = [value for value in values if value is not None or {"type": "null"} not in forms]
    return {**field, "anyOf": [*forms, {"enum": missing}]} if missing else field


@cache
def _names(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(field.alias or name for name, field in model.model_fields.items())


def tagged(field: str, message: str = "") -> Discriminator:
    """Chooses a member of a union by one of its fields. Its tags are `(value)`: no part of a path."""

    def tag(value: Any) -> str | None:
        kind = value.get(field) if isinstance(value, Mapping) else getattr(value, field, None)
        return f"({kind})" if isinstance(kind, str) else None

    return Discriminator(tag, custom_error_type="kind", custom_error_message=message or f"its {field} is not supported")


def shape(**tags: type) -> Discriminator:
    """Chooses a member of a union by the type of the JSON value: `shape(text=str, parts=list)`."""
    by_type = {kind: f"({name})" for name, kind in tags.items()}

    def tag(value: Any) -> str | None:
        return by_type.get(type(value))

    known = " or ".join(tags)
    return Discriminator(tag, custom_error_type="shape", custom_error_message=f"must be {known}")


def plain_json(value: Any) -> Any:
    """Refuses what JSON text could not hold again, or what is too deep or too large."""
    try:
        size = len(json.dumps(value, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        raise PydanticCustomError("not_unicode", "holds half of a surrogate pair") from None
    except RecursionError:
        raise PydanticCustomError(
            "too_deep", "is nested deeper than {limit} levels", {"limit": MAX_JSON_DEPTH}
        ) from None
    if size > MAX_JSON_CHARS:
        raise PydanticCustomError("too_large", "is larger than {limit} bytes", {"limit": MAX_JSON_CHARS})
    depth, level = 0, [value]
    while level:
        depth += 1
        if depth > MAX_JSON_DEPTH:
            raise PydanticCustomError("too_deep", "is nested deeper than {limit} levels", {"limit": MAX_JSON_DEPTH})
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner += item.values()
            elif isinstance(item, list):
                inner += item
            elif isinstance(item, float) and not math.isfinite(item):
                raise PydanticCustomError("not_finite", "holds a number that is not finite")
        level = inner
    return value


def _whole(value: Any) -> Any:
    """1.0 is a whole number in JSON, and an integer in a JSON schema."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _all_whole(value: Any) -> Any:
    """The same for a list, which may be long."""
    has_float = isinstance(value, list) and float in set(map(type, value))
    return [_whole(item) for item in value] if has_float else value


JsonObject = Annotated[dict[str, Any], AfterValidator(plain_json)]
"""An object of any content, of bounded size: a JSON schema, the arguments of a call."""

Text = Annotated[str, Field(max_length=MAX_TEXT)]
ShortText = Annotated[str, Field(max_length=1024)]
"""A name, an id, a label."""

ModelName = Annotated[
    str,
    Field(max_length=512, description="One of GET /v1/models, or an alias; the server's first unless given."),
]
WHOLE = BeforeValidator(_whole)
TokenId = Annotated[int, Field(ge=0, le=MAX_TOKEN_ID)]
TokenList = Annotated[list[TokenId], Field(max_length=MAX_TOKENS), BeforeValidator(_all_whole)]
TokenIds = Annotated[list[TokenId], Field(min_length=1, max_length=MAX_TOKENS), BeforeValidator(_all_whole)]
TokenCount = Annotated[int, Field(ge=1, le=MAX_TOKENS), WHOLE]
Seed = Annotated[int, Field(ge=-(2**63), le=2**63 - 1), WHOLE]
TopK = Annotated[int, Field(ge=-1, le=1_000_000, description="0 and -1 are off."), WHOLE]
Temperature = Annotated[float, Field(ge=0, le=2)]
Probability = Annotated[float, Field(ge=0, le=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
MAX_STOPS = 64
StopString = Annotated[str, Field(min_length=1, max_length=4096)]
