"""What a program may give as `response_format`: the forms of the protocols, a JSON schema alone, or a Pydantic model.

Only for Python: what comes over the network keeps to its protocol (`structured.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hearth.errors import UsageError

_JSON_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_KEYWORDS = frozenset(
    {"$schema", "$ref", "$defs", "properties", "items", "prefixItems", "enum", "const", "anyOf", "oneOf", "allOf"}
)


def as_response_format(given: Any) -> Mapping[str, Any] | None:
    """The same as one of the forms that `structured.checked_format` knows.

    Raises:
        UsageError: a class that has no JSON schema.
    """
    if isinstance(given, type):
        describe = getattr(given, "model_json_schema", None)
        if describe is None:
            raise UsageError(
                f"response_format is the class {given.__name__}, which says no JSON schema of itself.",
                hint="Give a Pydantic model's class, or a JSON schema.",
            )
        return _of_schema(_closed(describe()), given.__name__)
    if isinstance(given, Mapping) and _is_schema(given):
        return _of_schema(given, "answer")
    form: Mapping[str, Any] | None = given  # whatever it is: it is checked where it is used
    return form


def _is_schema(given: Mapping[str, Any]) -> bool:
    kind = given.get("type")
    if kind is None:
        return not _KEYWORDS.isdisjoint(given)
    return isinstance(kind, list) or (isinstance(kind, str) and kind in _JSON_TYPES)


def _closed(schema: Any) -> Any:
    """The schema of a class, which keeps no fields but its own: a model would go on and on with others."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


def _of_schema(schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}
