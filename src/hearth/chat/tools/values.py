"""How a value stands in a parameter's tags: as bare text, as a bare word, or as JSON; told from its schema.

Paris        for {"type": "string"}, also where it may be null or something else
celsius      for {"enum": ["celsius", "fahrenheit"]}
True         for {"type": "boolean"}, as well as `true`: templates write what Python prints
[1, 2]       for anything else
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hearth.chat.schema_walk import Schema
from hearth.chat.structured_finite import resolve
from hearth.chat.tools.jsonscan import JsonScanner
from hearth.chat.tools.schema import ANNOTATIONS, bounded

_WORDS = {"null": {"null": "null", "None": "null"}}
_WORDS["boolean"] = {"true": "true", "True": "true", "false": "false", "False": "false"}
_NUMBERS = ("integer", "number")
_MAX_ALTERNATIVES = 32


@dataclass
class Values:
    """What the values of one parameter may be. A schema that says nothing allows all of it.

    Attributes:
        text: any text, of which that counts as JSON which is one of the others.
        length: of that text, least and most.
        choices: bare texts.
        words: bare words, and the JSON that they stand for.
        schemas: for values in JSON, strings among them in quotes.
    """

    text: bool = False
    length: tuple[int, int | None] = (0, None)
    choices: list[str] = field(default_factory=list)
    words: dict[str, str] = field(default_factory=dict)
    schemas: list[Schema] = field(default_factory=list)

    @property
    def only_text(self) -> bool:
        """Whether whatever stands there is a string."""
        return self.text and not self.words and not self.schemas

    def begins_word(self, text: str) -> bool:
        """Whether a text may become a bare word."""
        return any(word.startswith(text) for word in self.words)

    def json_of(self, value: str) -> str:
        """The JSON that a whole value stands for."""
        if value in self.choices:
            return json.dumps(value, ensure_ascii=False)
        if value in self.words:
            return self.words[value]
        if is_json(value) and (not self.text or self._takes(json.loads(value))):
            return value
        return json.dumps(value, ensure_ascii=False)

    def _takes(self, value: object) -> bool:
        """Whether a value beside text is one of the other alternatives."""
        return any(isinstance(schema, bool) or is_of_type(value, schema.get("type")) for schema in self.schemas)


def values_of(schema: object, root: Mapping[str, Any]) -> Values:
    """The values of a parameter.

    Args:
        root: what local references of the schema are looked up in.
    """
    result = Values()
    for part in _alternatives(schema, root, set()):
        _add(part, result)
    if result.text:
        result.schemas = [one for one in result.schemas if _is_told_from_text(one)]
    return result


def is_json(text: str) -> bool:
    """Whether a text is one JSON value."""
    scanner = JsonScanner()
    taken = all(scanner.push(char) for char in text)
    scanner.finish()
    return taken and scanner.done


def is_of_type(value: object, name: object) -> bool:
    """Whether a JSON value is of a type as schemas name them."""
    match value:
        case None:
            return name == "null"
        case bool():
            return name == "boolean"
        case int():
            return name in _NUMBERS
        case float():
            return name == "number" or (name == "integer" and value.is_integer())
        case str():
            return name == "string"
        case list():
            return name == "array"
        case _:
            return name == "object"


def _add(schema: Schema, result: Values) -> None:
    """Puts one alternative where it belongs."""
    if not isinstance(schema, Mapping) or not schema.keys() - (ANNOTATIONS - {"type"}):
        result.text = True
        result.schemas.append(True)
        return
    rest = schema.keys() - ANNOTATIONS
    kind, choices = schema.get("type"), schema.get("enum", [schema["const"]] if "const" in schema else None)
    if kind in ("string", None) and not rest - {"enum", "const"} and _are_texts(choices):
        result.choices += choices or []
    elif kind == "string" and not rest - {"minLength", "maxLength"} and not result.text and not schema.get("format"):
        result.text, result.length = True, bounded(schema, "minLength", "maxLength")
    elif kind in _WORDS and not rest:
        result.words |= _WORDS[kind]
    else:
        result.schemas.append(schema)


def _is_told_from_text(schema: Schema) -> bool:
    """Whether a value in JSON, where any text may stand as well, is taken for one of this schema.

    Numbers only if any is right: what is no number of the schema must be no number, and a text may not be one, too.
    """
    if isinstance(schema, bool):
        return schema
    kind = schema.get("type")
    return kind in ("object", "array") or (kind in _NUMBERS and not schema.keys() - ANNOTATIONS)


def _are_texts(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) and value for value in values)


def _alternatives(schema: object, root: Mapping[str, Any], seen: set[str]) -> list[Schema]:
    """The schemas of which one must hold, references followed."""
    if not isinstance(schema, Mapping):
        return [schema is not False]
    ref = schema.get("$ref")
    if isinstance(ref, str) and not schema.keys() - ANNOTATIONS - {"$ref"}:
        found = resolve(root, ref)
        return [schema] if ref in seen or found is None else _alternatives(found, root, {*seen, ref})
    for key in ("anyOf", "oneOf"):
        inner = schema.get(key)
        if isinstance(inner, list) and not schema.keys() - (ANNOTATIONS - {"type"}) - {key}:
            parts = [part for one in inner for part in _alternatives(one, root, seen)]
            return parts if len(parts) <= _MAX_ALTERNATIVES else [schema]
    kinds = schema.get("type")
    if isinstance(kinds, list) and "enum" not in schema:
        return [_only(schema, kind) for kind in kinds]
    return [schema]


_OF_TYPE = {
    "string": {"minLength", "maxLength", "pattern", "format"},
    "array": {"items", "prefixItems", "minItems", "maxItems"},
    "object": {"properties", "required", "additionalProperties", "patternProperties", "minProperties", "maxProperties"},
    **{kind: {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"} for kind in _NUMBERS},
}


def _only(schema: Mapping[str, Any], kind: Any) -> Schema:
    """What of a schema with several types says something of one."""
    others = set().union(*_OF_TYPE.values()) - _OF_TYPE.get(kind, set())
    return {**{key: value for key, value in schema.items() if key not in others}, "type": kind}
