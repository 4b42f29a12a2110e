"""Schemas that need themselves without end: `without_endless`.

`{"$defs": {"N": {"properties": {"next": {"$ref": "#/$defs/N"}}, "required": ["next"]}}}` describes no finite text. A
grammar made of it has no mistake that could be seen; the answer gets stuck where nothing can follow. So what has a
finite instance is found first: the least fixed point of "has one, if what it needs has one".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from hearth.chat.schema_walk import Schema, mapped, subschemas
from hearth.errors import UsageError


def without_endless(schema: Schema, where: str) -> Schema:
    """The schema, with false in the place of each one inside of it that has no finite instance.

    Raises:
        UsageError: it has none itself.
    """
    finite = _Finite(schema)
    if not finite.has(schema):
        raise UsageError(f"{where} can never be met:", why="It needs itself without end, or is false.")
    return _replaced(schema, where, finite) if finite.found_endless else schema


def resolve(root: Schema, ref: str) -> Schema | None:
    """What a reference inside of the schema refers to; None where there is no such place, or it lies outside."""
    if not ref.startswith("#"):
        return None
    fragment = unquote(ref[1:])
    if fragment and not fragment.startswith("/"):
        return next((part for _, part in subschemas(root, "") if part.get("$anchor") == fragment), None)
    found: Any = root
    for step in fragment.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    return found if isinstance(found, Mapping | bool) else None


class _Finite:
    """Which schemas have a finite instance, as far as references decide it: what else excludes all values (bounds that
    contradict each other) is not looked at."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._targets: dict[str, Schema | None] = {}
        self._good: set[int] = set()
        nodes = [part for _, part in subschemas(root, "")]
        for part in list(nodes):
            target = self._target(part)
            if isinstance(target, Mapping):
                nodes.extend(inner for _, inner in subschemas(target, ""))
        nodes = list({id(node): node for node in nodes}.values())
        todo = nodes
        while todo:
            left = [node for node in reversed(todo) if not self._needs_hold(node)]
            if len(left) == len(todo):
                break
            todo = list(reversed(left))
        self.found_endless = bool(todo)

    def has(self, schema: object) -> bool:
        """Whether a schema has a finite instance."""
        return id(schema) in self._good if isinstance(schema, Mapping) else schema is not False

    def _target(self, schema: Mapping[str, Any]) -> Schema | None:
        ref = schema.get("$ref")
        if not isinstance(ref, str):
            return None
        if ref not in self._targets:
            self._targets[ref] = resolve(self._root, ref)
        return self._targets[ref]

    def _needs_hold(self, schema: Mapping[str, Any]) -> bool:
        """Marks a schema as good if all that it needs is."""
        good = all(any(self.has(one) for one in ways) for ways in self._needs(schema))
        if good:
            self._good.add(id(schema))
        return good

    def _needs(self, schema: Mapping[str, Any]) -> Iterator[list[Any]]:
        """Lists of schemas; of each at least one must have an instance."""
        target = self._target(schema)
        if target is not None:
            yield [target]
        for each in schema.get("allOf", ()):
            yield [each]
        for key in ("anyOf", "oneOf"):
            if key in schema:
                yield schema[key]
        kinds = schema.get("type", ["object", "array"])
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if kinds == ["object"]:
            properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
            others = True if "patternProperties" in schema else others
            for name in schema.get("required", ()):
                yield [properties.get(name, others)]
        elif kinds == ["array"] and schema.get("minItems", 0) > 0:
            first = schema.get("prefixItems") or schema.get("items", True)
            yield (first or [True])[:1] if isinstance(first, list) else [first]


def _replaced(schema: Schema, where: str, finite: _Finite) -> Schema:
    if not finite.has(schema):
        return False
    if isinstance(schema, bool):
        return schema
    return mapped(schema, where, lambda inner, at: _replaced(inner, at, finite))
