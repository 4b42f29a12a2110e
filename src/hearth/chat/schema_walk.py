"""Where a JSON schema holds other schemas: the one table of keywords, and two walks over it.

What the tables do not name is data (`enum`, `const`, `default`) or counts for nothing, and is never looked into.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hearth.errors import UsageError

Schema = Mapping[str, Any] | bool

ONE = frozenset(
    {"items", "additionalProperties", "additionalItems", "contains", "propertyNames", "not", "if", "then", "else"}
    | {"unevaluatedItems", "unevaluatedProperties"}
)
MANY = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})


def subschemas(schema: object, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All schemas inside of a schema, outer ones first, each with its place.

    Raises:
        UsageError: where a schema must stand, there is none.
    """
    if not isinstance(schema, Mapping):
        if not isinstance(schema, bool):
            raise UsageError(f"{where} is {shown(schema)}, but must be a schema: an object, true or false.")
        return
    yield where, schema
    for key, value in schema.items():
        place = f"{where}.{key}"
        if key in NAMED:
            if not isinstance(value, Mapping):
                raise UsageError(f"{place} is {shown(value)}, but must be an object of schemas.")
            for name, inner in value.items():
                yield from subschemas(inner, f"{place}.{name}")
        elif key in MANY or (key == "items" and isinstance(value, list)):
            if not isinstance(value, list) or (key != "items" and not value):
                raise UsageError(f"{place} is {shown(value)}, but must be a list of schemas.")
            for i, inner in enumerate(value):
                yield from subschemas(inner, f"{place}[{i}]")
        elif key in ONE:
            yield from subschemas(value, place)


def mapped(schema: Mapping[str, Any], where: str, change: Callable[[Any, str], Any]) -> dict[str, Any]:
    """A copy of a sound schema in which each schema directly within is what `change` makes of it and of its place."""
    result = dict(schema)
    for key, value in schema.items():
        place = f"{where}.{key}"
        if key in NAMED:
            result[key] = {name: change(inner, f"{place}.{name}") for name, inner in value.items()}
        elif key in MANY or (key == "items" and isinstance(value, list)):
            result[key] = [change(inner, f"{place}[{i}]") for i, inner in enumerate(value)]
        elif key in ONE:
            result[key] = change(value, place)
    return result


def shown(value: object) -> str:
    """A value as messages quote it."""
    return repr(value)[:100]
