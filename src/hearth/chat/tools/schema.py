"""A tool's schema as its grammar takes it: what can be kept to, closed and compact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hearth.chat.schema_walk import mapped, subschemas
from hearth.chat.structured import json_rule
from hearth.chat.structured_keep import kept_schema
from hearth.chat.structured_rules import Gap
from hearth.chat.tools.types import Tool

# Keywords that say nothing of what is valid.
ANNOTATIONS = frozenset(
    {"type", "title", "description", "default", "examples", "format", "deprecated", "nullable", "$schema", "$id"}
    | {"$comment", "readOnly", "writeOnly", "$defs", "definitions"}
)
# Keywords about several arguments together.
_JOINING = ("allOf", "anyOf", "oneOf", "$ref", "minProperties", "maxProperties", "patternProperties")
_COMBINING = ("allOf", "anyOf", "oneOf", "not", "if", "$ref", "$dynamicRef", "dependentSchemas", "patternProperties")

__all__ = ["ANNOTATIONS", "apart", "arguments_schema", "bounded", "json_rule", "parameters_of"]


def arguments_schema(tool: Tool) -> Mapping[str, Any]:
    """What can be kept to of the schema of a tool's arguments.

    Where it lists its properties and does not say whether there may be others, there may be none: what is generated is
    still valid, and a model does not invent arguments. What it requires without listing it may be anything.

    Raises:
        UsageError: no arguments can be valid.
    """
    schema = kept_schema(tool.parameters, f"The parameters of the tool {tool.name!r}", strict=False).schema
    return schema if any(_mixes(part) for _, part in subschemas(schema, "")) else _closed(schema, "")


def parameters_of(tool: Tool) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """The schema of a tool's arguments, and that of each, for families that write each by itself. One that is required
    and not described may be anything."""
    schema = arguments_schema(tool)
    properties = {name: inner for name, inner in schema.get("properties", {}).items() if inner is not False}
    others = schema.get("additionalProperties", True)
    for name in schema.get("required", ()):
        properties.setdefault(name, others)
    return schema, properties


def apart(tool: Tool, place: str) -> tuple[Gap, ...]:
    """What a schema says of several arguments together, where each is written by itself."""
    why = "this model writes each argument by itself"
    return tuple(Gap(f"{place}.{key}", why) for key in arguments_schema(tool) if key in _JOINING)


def bounded(schema: Mapping[str, Any], low: str, high: str) -> tuple[int, int | None]:
    """Two keywords that bound a length; 0 and None where they are missing."""
    least, most = schema.get(low, 0), schema.get(high)
    return (least if isinstance(least, int) else 0), (most if isinstance(most, int) else None)


def _mixes(schema: Mapping[str, Any]) -> bool:
    """Whether other schemas may add properties to this one, so that it must stay open."""
    return any(key in schema for key in _COMBINING) and ("properties" in schema or "allOf" in schema)


def _closed(schema: Any, where: str) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    closed = mapped(schema, where, _closed)
    if "properties" in closed and not {"additionalProperties", "unevaluatedProperties"} & closed.keys():
        undescribed = {name: True for name in closed.get("required", ()) if name not in closed["properties"]}
        closed |= {"properties": {**closed["properties"], **undescribed}, "additionalProperties": False}
    return closed
