"""The keywords of JSON Schema that llguidance lacks, a rule for each: the same in words that it has, or a gap.

A rule gets a schema whose inner schemas are done, as a copy that it may change, and gives back what to put in its
place. Sources: JSON Schema 2020-12 (Core and Validation), draft 4 for what older generators write.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urljoin

from hearth.chat.schema_walk import Schema, subschemas
from hearth.chat.structured_finite import resolve

FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"})
"""Formats of strings that a grammar keeps to."""
# Further ones that the specification defines. Any other name is an annotation by it, and restricts nothing.
_DEFINED_FORMATS = frozenset(
    {"idn-email", "idn-hostname", "uri-reference", "iri", "iri-reference", "uri-template", "json-pointer"}
    | {"relative-json-pointer", "regex"}
)
# An automaton for multiples of n has n states, times those for a range of numbers beside it.
_MAX_MULTIPLE = 10_000
_MAX_MULTIPLE_IN_RANGE = 1_000
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_APPLICATORS = ("allOf", "anyOf", "oneOf", "if", "$ref", "dependentSchemas")
_SAYS_NOTHING = frozenset({"title", "description", "$comment", "default", "examples", "deprecated"})
_LARGEST_DOUBLE = 1.7976931348623157e308

Fields = dict[str, Any]


@dataclass(frozen=True)
class Gap:
    """Something that a schema says and an answer may not keep to.

    Attributes:
        place: of the keyword.
        why: a clause without a full stop.
    """

    place: str
    why: str

    def __str__(self) -> str:
        return f"{self.place} ({self.why})"


@dataclass
class Rewrite:
    """One schema on its way through the rules.

    Attributes:
        root: the whole of it, as given.
        fault_of: what keeps a schema from being compiled; "" if nothing.
        gaps: found so far.
        common_steps: of all `multipleOf` that may meet in one number (`allOf`, `$ref`).
    """

    root: Schema
    fault_of: Callable[[Schema], str]
    gaps: list[Gap] = field(default_factory=list)

    def __post_init__(self) -> None:
        parts = [part for _, part in subschemas(self.root, "")]
        names = [part.get("$id", part.get("id")) for part in parts]
        names = [name for name in names if isinstance(name, str)]
        self._base = names[0] if names else ""
        self._ids = {form.rstrip("#") for name in names for form in (name, urljoin(self._base, name))}
        self._has_parts = len(names) > 1
        # Multiples that are asked of one number from several places are asked of it together.
        meet = any("allOf" in part or "$ref" in part for part in parts)
        steps = {_steps(part["multipleOf"]) for part in parts if "multipleOf" in part}
        self.common_steps = math.lcm(*steps) if meet else 1

    def drop(self, schema: Fields, place: str, key: str, why: str = "no grammar can keep to it") -> None:
        """Takes a keyword out, and notes that."""
        self.gaps.append(Gap(f"{place}.{key}", why))
        del schema[key]

    def finds(self, ref: str) -> bool:
        """Whether a reference leads somewhere inside of the schema."""
        if ref.startswith("#"):
            return resolve(self.root, ref) is not None or self._has_parts  # each has its own root
        return bool({ref.partition("#")[0], urljoin(self._base, ref).partition("#")[0]} & self._ids)

    def compiles(self, schema: Fields) -> bool:
        """Whether a part compiles, with what its references may refer to."""
        shared = {}
        if isinstance(self.root, Mapping):
            shared = {key: self.root[key] for key in ("$defs", "definitions") if key in self.root}
        return not self.fault_of({**shared, **schema})


def _references(schema: Fields, place: str, rewrite: Rewrite) -> Schema:
    for key in ("$dynamicRef", "$recursiveRef"):
        if key in schema:
            rewrite.drop(schema, place, key)
    if "$ref" in schema and not rewrite.finds(schema["$ref"]):
        outside = "nothing outside of the schema is read" if schema["$ref"][:1] != "#" else "there is no such place"
        rewrite.drop(schema, place, "$ref", outside)
    return schema


def _not(schema: Fields, place: str, rewrite: Rewrite) -> Schema:
    if schema.get("not") in ({}, True):
        return False
    if schema.get("not") is False:
        del schema["not"]
    if "not" in schema:
        rewrite.drop(schema, place, "not")
    return schema


def _conditions(schema: Fields, place: str, rewrite: Rewrite) -> Schema:
    condition, branches = schema.get("if"), [key for key in ("then", "else") if key in schema]
    if condition is None or not branches:
        schema.pop("if", None)
    elif condition in ({}, True, False):
        holds = schema.get("else" if condition is False else "then", True)
        schema["allOf"] = [*schema.get("allOf", ()), holds]
        del schema["if"]
    else:
        rewrite.drop(schema, place, "if")
    for key in branches:
        del schema[key]
    return schema


def _contains(schema: Fields, place: str, rewrite: Rewrite) -> Schema:
    least, most = schema.pop("minContains", 1), schema.pop("maxContains", None)
    if "contains" not in schema:
        return schema
    if schema["contains"] in ({}, True) and most is None and isinstance(least, int):
        schema["minItems"] = max(schema.get("minItems", 0), least)
        del schema["contains"]
    elif least == 0 and most is None:
        del schema["contains"]
    else:
        rewrite.drop(schema, place, "contains")
    return schema


def _dependent(schema: Fields, place: str, rewrite: Rewrite) -> Schema:
    for key in ("dependencies", "dependentRequired", "dependentSchemas"):
        if key not in schema:
            continue
        given, required = schema[key], schema.get("required", [])
        always = isinstance(given, Mapping) and all(name in required for name in given)
        if always and all(isinstance(more, list) for more in given.values()):
            if given:
                names = [name for more in given.values() for name in more if isinstance(name, str)]
                schema["required"] = list(dict.fromkeys([*required, *names]))
            del schema[key]
        else:
            rewrite.drop(schema, place, key)
    return schema


def _unevaluated(schema: Fields, place: str, rewrite: Rewrite) -> Schema:
    for key, others in (("unevaluatedProperties", "additionalProperties"), ("unevaluatedItems", "items")):
        if key not in schema:
            continue
        if schema[key] in ({}, True) or (others in schema and not isinstance(schema[others], list)):
            del schema[key]
        elif any(name in schema for name in _APPLICATORS):
            rewrite.drop(schema, place, key)
        else:
            schema["additionalItems" if isinstance(schema.get(others), list) else others] = schema.pop(key)
    return schema


def _property_names(schema: Fields, place: str, rewrite: Rewrite) -> Schema:
    if "propertyNames" not in schema:
        return schema
    names = schema["propertyNames"]
    if names is False:
        schema["maxProperties"] = 0
    said = names.items() if isinstance(names, Mapping) else ()
    rule = {key: value for key, value in said if key not in _SAYS_NOTHING}
    if rule.get("type") == "string":
        del rule["type"]
    others, known = schema.get("additionalProperties", True), schema.get("properties", {})
    chosen = rule.get("enum", [rule["const"]] if "const" in rule else None)
    if not rule:
        del schema["propertyNames"]
    elif len(rule) == 1 and chosen is not None and "patternProperties" not in schema:
        wanted = [name for name in chosen if isinstance(name, str)]
        schema["properties"] = {name: known.get(name, others) for name in wanted}
        schema["additionalProperties"] = False
        del schema["propertyNames"]
    elif not known and "patternProperties" not in schema and (pattern := _pattern_of(rule)):
        schema["patternProperties"], schema["additionalProperties"] = {pattern: others}, False
        del schema["propertyNames"]
    else:
        rewrite.drop(schema, place, "propertyNames")
    return schema


def _pattern_of(rule: Fields) -> str:
    """A pattern for names that keep to a rule; "" where there is none."""
    if rule.keys() == {"pattern"}:
        return str(rule["pattern"])
    if rule.keys() <= {"minLength", "maxLength"}:
        return f"^[\\s\\S]{{{rule.get('minLength', 0)},{rule.get('maxLength', '')}}}$"
    return ""


def _unique_items(schema: Fields, place: str, rewrite: Rewrite) -> Schema:
    if schema.get("uniqueItems") is False or schema.get("maxItems", 2) <= 1:
        schema.pop("uniqueItems", None)
    if "uniqueItems" in schema:
        rewrite.drop(schema, place, "uniqueItems")
    return schema


def _numbers(schema: Fields, place: str, rewrite: Rewrite) -> Schema:
    for key in _COUNTS:
        if key in schema:
            schema[key] = int(schema[key])
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):  # draft 4
        if isinstance(schema.get(exclusive), bool) and schema.pop(exclusive) and bound in schema:
            schema[exclusive] = schema.pop(bound)
    for key, largest in (("minimum", -_LARGEST_DOUBLE), ("maximum", _LARGEST_DOUBLE)):
        if schema.get(key) == largest:
            del schema[key]
    bounds = {key: schema[key] for key in _BOUNDS if key in schema}
    kind = "integer" if schema.get("type") == "integer" else "number"
    for key, value in bounds.items():
        usual = value == 0 or 1e-6 < abs(value) < 1e15
        if not usual and rewrite.fault_of({"type": kind, key: value}):
            rewrite.drop(schema, place, key, "the number is too large, or too close to 0")
    if "multipleOf" in schema:
        limit = _MAX_MULTIPLE_IN_RANGE if bounds else _MAX_MULTIPLE
        if max(rewrite.common_steps, _steps(schema["multipleOf"])) > limit:
            rewrite.drop(schema, place, "multipleOf", "the number has too many digits")
    return schema


def _steps(number: float) -> int:
    """What a number is without the zeros at its end: the states of an automaton for its multiples."""
    return int(str(int("".join(map(str, Decimal(str(number)).as_tuple().digits)))).rstrip("0") or 1)


def _format(schema: Fields, place: str, rewrite: Rewrite) -> Schema:
    name = schema.get("format")
    if name in _DEFINED_FORMATS and schema.get("type", "string") == "string":
        rewrite.drop(schema, place, "format")
    elif name not in FORMATS:
        schema.pop("format", None)
    return schema


def _patterns(schema: Fields, place: str, rewrite: Rewrite) -> Schema:
    if "pattern" in schema and rewrite.fault_of({"type": "string", "pattern": schema["pattern"]}):
        rewrite.drop(schema, place, "pattern", "no grammar can be made of the expression")
    if "patternProperties" in schema:
        alone: Fields = {key: schema[key] for key in ("properties", "patternProperties") if key in schema}
        if not rewrite.compiles({"type": "object", **alone}):
            rewrite.drop(schema, place, "patternProperties", "its expressions overlap, or cannot be compiled")
            if schema.get("additionalProperties") is False:
                del schema["additionalProperties"]  # else no name would be left
    return schema


def _one_of(schema: Fields, place: str, rewrite: Rewrite) -> Schema:
    branches = schema.get("oneOf")
    if branches is None or rewrite.compiles({"oneOf": branches}) or not rewrite.compiles({"anyOf": branches}):
        return schema
    rewrite.drop(schema, place, "oneOf", "of its branches, which may hold together, any is taken")
    if "anyOf" in schema:
        schema["allOf"] = [*schema.get("allOf", ()), {"anyOf": branches}]
    else:
        schema["anyOf"] = branches
    return schema


Rule = Callable[[Fields, str, Rewrite], Schema]
RULES: tuple[Rule, ...] = (
    _references,
    _not,
    _conditions,
    _contains,
    _dependent,
    _unevaluated,
    _property_names,
    _unique_items,
    _numbers,
    _format,
    _patterns,
    _one_of,
)
