"""Checks of a JSON schema that came from a caller: bounded, sound in form, and nothing outside of it referred to.

llguidance compiles it, and says no to what it cannot keep; it does not say where. These checks find the common mistakes
first and name their place, and `blame` finds the place of the others.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hearth.chat.schema_walk import Schema, shown, subschemas
from hearth.errors import UsageError

MAX_SCHEMA_BYTES = 256 << 10
MAX_DEPTH = 64  # of JSON, objects and lists alike
# In all of its objects together: compiling takes the square of these, of the last the cube.
MAX_PROPERTIES = 2_000
MAX_REQUIRED = 2_000
MAX_PATTERN_PROPERTIES = 64
MAX_ENUM = 10_000
MAX_PATTERN_CHARS = 2_000
_MAX_BLAMED = 200
_LARGEST_DIGITS = 308  # what a double holds
_LARGEST = 10**_LARGEST_DIGITS

_TYPES = ("null", "boolean", "object", "array", "number", "integer", "string")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_REFUSED = {"x-guidance": "is no keyword of JSON Schema"}


@dataclass
class _Sizes:
    """What there is in all of a schema together."""

    properties: int = 0
    required: int = 0
    pattern_properties: int = 0

    def check(self, place: str) -> None:
        for count, limit, name in (
            (self.properties, MAX_PROPERTIES, "properties"),
            (self.required, MAX_REQUIRED, "required names"),
            (self.pattern_properties, MAX_PATTERN_PROPERTIES, "patternProperties"),
        ):
            if count > limit:
                raise UsageError(f"{place}: the schema has more than {limit} {name} in all.")


def checked_schema(raw: object, where: str) -> Schema:
    """A copy of the schema.

    Raises:
        UsageError: it is too large or too deep, refers to something outside, or has a mistake; names the place.
    """
    if not isinstance(raw, Mapping | bool):
        raise UsageError(f"{where} is of type {type(raw).__name__}, but must be a JSON schema.")
    _check_depth(raw, where)
    try:
        text = json.dumps(raw, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where} is not JSON:", why=f"{error}.") from error
    if len(text) > MAX_SCHEMA_BYTES:
        raise UsageError(f"{where} is {len(text)} bytes long; at most {MAX_SCHEMA_BYTES} are accepted.")
    schema: Schema = json.loads(text)  # a copy that nobody else can change
    sizes = _Sizes()
    for place, part in subschemas(schema, where):
        _check(part, place, sizes)
    return schema


def blame(schema: Schema, where: str, fault_of: Callable[[Schema], str]) -> tuple[str, str]:
    """The innermost schema that cannot be compiled, and what is wrong with it.

    Args:
        fault_of: what is wrong with a schema; "" if nothing.
    """
    found = where, fault_of(schema)
    if isinstance(schema, bool):
        return found
    shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    for _, (place, part) in zip(range(_MAX_BLAMED), subschemas(schema, where), strict=False):
        # Outer ones come first: only what lies inside of the last one found can be more exact.
        if place.startswith(found[0]) and place != found[0] and fault_of({**shared, **part}) == found[1]:
            found = place, found[1]
    return found


def _check(schema: Mapping[str, Any], where: str, sizes: _Sizes) -> None:
    for key, value in schema.items():
        place = f"{where}.{key}"
        if key in _REFUSED:
            raise UsageError(f"{place} {_REFUSED[key]}.")
        elif key == "type":
            _check_type(value, place)
        elif key in ("properties", "patternProperties"):
            _check_names(key, value, place, sizes)
        elif key == "required":
            if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
                raise UsageError(f"{place} is {shown(value)}, but must be a list of names.")
            sizes.required += len(value)
            sizes.check(place)
        elif key == "enum":
            if not isinstance(value, list) or not value:
                raise UsageError(f"{place} is {shown(value)}, but must be a list of values.")
            if len(value) > MAX_ENUM:
                raise UsageError(f"{place} has {len(value)} values; at most {MAX_ENUM} are accepted.")
        elif key in ("pattern", "format", "$ref", "$anchor"):
            _check_text(key, value, place)
        elif key in _COUNTS:
            if not _is_number(value) or value < 0 or value != int(value):
                raise UsageError(f"{place} is {shown(value)}, but must be a whole number, 0 or more.")
        elif key in _NUMBERS:
            if not _is_number(value) and not (key.startswith("exclusive") and isinstance(value, bool)):  # draft 4
                raise UsageError(f"{place} is {shown(value)}, but must be a number.")
            if key == "multipleOf" and value <= 0:
                raise UsageError(f"{place} is {shown(value)}, but must be above 0.")


def _check_names(key: str, value: object, place: str, sizes: _Sizes) -> None:
    if not isinstance(value, Mapping):
        raise UsageError(f"{place} is {shown(value)}, but must be an object of schemas.")
    if key == "properties":
        sizes.properties += len(value)
    else:
        sizes.pattern_properties += len(value)
        for pattern in value:
            _check_text("pattern", pattern, f"{place}.{pattern[:100]}")
    sizes.check(place)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_type(value: object, place: str) -> None:
    names = value if isinstance(value, list) else [value]
    wrong = [name for name in names if name not in _TYPES]
    if wrong or not names:
        raise UsageError(f"{place} is {shown(wrong[0] if wrong else value)}.", hint=f"Types: {', '.join(_TYPES)}.")


def _check_text(key: str, value: object, place: str) -> None:
    if not isinstance(value, str):
        raise UsageError(f"{place} is {shown(value)}, but must be text.")
    if len(value) > MAX_PATTERN_CHARS:
        raise UsageError(f"{place} is {len(value)} characters long; at most {MAX_PATTERN_CHARS} are accepted.")


def _check_depth(value: object, where: str) -> None:
    """Without recursion: the value is a stranger's."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise UsageError(f"{where} is nested deeper than {MAX_DEPTH} levels.")
        for value in level:
            if isinstance(value, int) and abs(value) > _LARGEST:
                raise UsageError(f"{where} holds a number of more than {_LARGEST_DIGITS} digits.")
        level = [inner for outer in level for inner in _inner(outer)]


def _inner(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list | tuple):
        yield from value
