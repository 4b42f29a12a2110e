"""A tool's schema as its grammar takes it: closed, compact, and without annotations that the grammar would refuse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import llguidance

from hearth.chat import structured
from hearth.chat.tools.types import Tool
from hearth.errors import UsageError

# Whitespace is bounded: one space after a comma or colon, as models write it, or none.
_COMPACT = {"whitespace_flexible": False, "item_separator": ", ?", "key_separator": ": ?"}
# By the specification `format` only annotates. These are enforced; others (OpenAPI's int32, password...) are left out.
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"})
# Keywords that say nothing of what is valid.
ANNOTATIONS = frozenset(
    {"type", "title", "description", "default", "examples", "format", "deprecated", "nullable", "$schema", "$id"}
    | {"$comment", "readOnly", "writeOnly", "$defs", "definitions"}
)
_COMBINING = ("allOf", "anyOf", "oneOf", "not", "if", "$ref", "$dynamicRef", "dependentSchemas", "patternProperties")
# Keywords whose value is a schema, a list of schemas, schemas by name; what else there is, is data (`enum`, `const`).
_ONE = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames", "additionalItems")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")


def json_rule(schema: Mapping[str, Any]) -> str:
    """The right side of a Lark rule for JSON text that follows a schema."""
    return structured.json_rule(_without_formats(schema), _COMPACT)


def arguments_schema(tool: Tool) -> Mapping[str, Any]:
    """The schema of a tool's arguments, checked.

    Where a schema lists its properties and does not say whether there may be others, there may be none: what is
    generated is still valid, and a model does not invent arguments.

    Raises:
        UsageError: the grammar cannot express it.
    """
    schema = tool.parameters
    if not any(_mixes(node) for node in _nodes(schema)):
        schema = _closed(schema)
    problem = _problem(json_rule(schema))
    if problem:
        raise UsageError(f"The parameters of the tool {tool.name!r} cannot be used:", why=problem)
    return schema


def bounded(schema: Mapping[str, Any], low: str, high: str) -> tuple[int, int | None]:
    """Two keywords that bound a length; 0 and None where they are missing."""
    least, most = schema.get(low, 0), schema.get(high)
    return (least if isinstance(least, int) else 0), (most if isinstance(most, int) else None)


@lru_cache(maxsize=256)
def _problem(rule: str) -> str:
    failed, messages = llguidance.LLMatcher.validate_grammar_with_warnings(f"start: {rule}")
    if not failed:
        return ""
    text = messages[0].splitlines()[0].removeprefix("Error: ")[:300] if messages else "unknown"
    return text if text.endswith(".") else text + "."


def _nodes(schema: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(schema, Mapping):
        yield schema
        for inner in _inner(schema):
            yield from _nodes(inner)


def _inner(schema: Mapping[str, Any]) -> Iterator[object]:
    for key, value in schema.items():
        if key in _NAMED and isinstance(value, Mapping):
            yield from value.values()
        elif key in _LISTS and isinstance(value, list):
            yield from value
        elif key in _ONE:
            yield value


def _mixes(schema: Mapping[str, Any]) -> bool:
    """Whether other schemas may add properties to this one, so that it must stay open."""
    return any(key in schema for key in _COMBINING) and ("properties" in schema or "allOf" in schema)


def _closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    closed = _mapped(schema, _closed)
    if "properties" in closed and not {"additionalProperties", "unevaluatedProperties"} & closed.keys():
        closed["additionalProperties"] = False
    return closed


def _without_formats(schema: Mapping[str, Any]) -> dict[str, Any]:
    kept = _mapped(schema, _without_formats)
    if kept.get("format") not in _FORMATS:
        kept.pop("format", None)
    return kept


def _mapped(schema: Mapping[str, Any], change: Any) -> dict[str, Any]:
    """A copy in which all schemas within are changed."""

    def changed(value: Any) -> Any:
        return change(value) if isinstance(value, Mapping) else value

    result = dict(schema)
    for key, value in schema.items():
        if key in _NAMED and isinstance(value, Mapping):
            result[key] = {name: changed(inner) for name, inner in value.items()}
        elif key in _LISTS and isinstance(value, list):
            result[key] = [changed(inner) for inner in value]
        elif key in _ONE:
            result[key] = changed(value)
    return result
