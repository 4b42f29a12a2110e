"""What the request bodies of all protocols share: strict models, sizes, fields that are refused by name, plain JSON.

A body is a stranger's. Whatever is in it is known by name, of its exact type, within its range and of bounded size, or
the request is answered with an error that names the field.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

MAX_TEXT = 4_000_000
"""Characters of one text: past any context, and what a template may hold."""

MAX_MESSAGES = 4096
MAX_TOKENS = 1_000_000
MAX_TOKEN_ID = 2**31 - 1
MAX_CHOICES = 16
MAX_JSON_DEPTH = 64
MAX_JSON_CHARS = 256 << 10


class Body(BaseModel):
    """A request body or a part of one: no unknown fields, no conversion between types, no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class CacheControl(Body):
    """Where to cache a prompt (Anthropic's; some clients send it to everybody). Without effect: every prompt is cached
    by itself."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None
    scope: Annotated[str, Field(max_length=64)] | None = None


class Unsupported:
    """Marks a field that the protocol has and Hearth has not: `Annotated[Any, Unsupported("why")] = None`.

    Null, and the values that ask for nothing, are accepted, since clients send them by themselves.

    Args:
        why: one sentence for the client.
        neutral: values besides null that ask for nothing.
    """

    def __init__(self, why: str, *, neutral: tuple[Any, ...] = ()) -> None:
        self.why = why
        self.accepted = (None, *neutral)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"enum": list(self.accepted), "description": f"Not supported: {self.why}"}

    def _check(self, value: Any) -> Any:
        if not any(type(value) is type(known) and value == known for known in self.accepted):
            raise PydanticCustomError("unsupported", "is not supported: {why}", {"why": self.why})
        return value


def tagged(field: str, message: str = "") -> Discriminator:
    """Chooses a member of a union by one of its fields. Its tags are `(value)`: no part of a path."""

    def tag(value: Any) -> str | None:
        kind = value.get(field) if isinstance(value, Mapping) else getattr(value, field, None)
        return f"({kind})" if isinstance(kind, str) else None

    return Discriminator(tag, custom_error_type="kind", custom_error_message=message or f"its {field} is not supported")


def shape(**tags: type) -> Discriminator:
    """Chooses a member of a union by the type of the JSON value: `shape(text=str, parts=list)`."""

    def tag(value: Any) -> str | None:
        fits = (name for name, kind in tags.items() if isinstance(value, kind) and not isinstance(value, bool))
        return next((f"({name})" for name in fits), None)

    known = " or ".join(tags)
    return Discriminator(tag, custom_error_type="shape", custom_error_message=f"must be {known}")


def _plain_json(value: Any) -> Any:
    """Refuses what JSON text could not hold again, or what is too deep or too large. Without recursion."""
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
    try:
        size = len(json.dumps(value, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        raise PydanticCustomError("not_unicode", "holds half of a surrogate pair") from None
    if size > MAX_JSON_CHARS:
        raise PydanticCustomError("too_large", "is larger than {limit} bytes", {"limit": MAX_JSON_CHARS})
    return value


def _whole(value: Any) -> Any:
    """1.0 is a whole number in JSON, and an integer in a JSON schema."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _all_whole(value: Any) -> Any:
    """The same for a list, which may be long."""
    has_float = isinstance(value, list) and any(isinstance(item, float) for item in value)
    return [_whole(item) for item in value] if has_float else value


JsonObject = Annotated[dict[str, Any], AfterValidator(_plain_json)]
"""An object of any content, of bounded size: a JSON schema, the arguments of a call."""

Text = Annotated[str, Field(max_length=MAX_TEXT)]
ShortText = Annotated[str, Field(max_length=1024)]
"""A name, an id, a label."""

ModelName = Annotated[str, Field(min_length=1, max_length=512, description="One of GET /v1/models.")]
WHOLE = BeforeValidator(_whole)
TokenId = Annotated[int, Field(ge=0, le=MAX_TOKEN_ID)]
TokenList = Annotated[list[TokenId], Field(max_length=MAX_TOKENS), BeforeValidator(_all_whole)]
TokenIds = Annotated[list[TokenId], Field(min_length=1, max_length=MAX_TOKENS), BeforeValidator(_all_whole)]
TokenCount = Annotated[int, Field(ge=1, le=MAX_TOKENS), WHOLE]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1), WHOLE]
TopK = Annotated[int, Field(ge=0, le=1_000_000, description="0 is off."), WHOLE]
Temperature = Annotated[float, Field(ge=0, le=2)]
Probability = Annotated[float, Field(gt=0, le=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
MAX_STOPS = 64
StopString = Annotated[str, Field(min_length=1, max_length=4096)]
