"""Schemas, and walks through a grammar, for the tests of constrained answers."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.chat.grammar import Grammars
from hearth.chat.grammar_constraint import AnswerConstraint
from hearth.chat.structured import checked_format

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "tags": {"type": "array", "items": {"enum": ["red", "green", "blau ü"]}, "minItems": 1, "maxItems": 3},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}
SCHEMAS: dict[str, Any] = {
    "person": PERSON,
    "nested": {
        "type": "object",
        "properties": {"who": {"$ref": "#/$defs/person"}, "by": {"type": ["string", "null"], "maxLength": 5}},
        "required": ["who", "by"],
        "additionalProperties": False,
        "$defs": {"person": PERSON},
    },
    "tree": {
        "type": "object",
        "properties": {
            "v": {"type": "integer", "multipleOf": 5, "minimum": -20, "maximum": 20},
            "c": {"type": "array", "items": {"$ref": "#"}, "maxItems": 1},
        },
        "required": ["v"],
        "additionalProperties": False,
    },
    "choice": {
        "anyOf": [
            {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"], "additionalProperties": False},
            {"type": "array", "prefixItems": [{"type": "boolean"}, {"type": "null"}], "items": False, "minItems": 2},
            {"enum": ["x", 7, None, True]},
        ]
    },
    "tagged": {
        "oneOf": [
            {
                "type": "object",
                "properties": {"kind": {"const": kind}, "size": {"type": "integer", "minimum": 0, "maximum": 9}},
                "required": ["kind", "size"],
                "additionalProperties": False,
            }
            for kind in ("circle", "square")
        ]
    },
    "patterns": {
        "type": "object",
        "properties": {
            "code": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"},
            "day": {"type": "string", "format": "date"},
            "id": {"type": "string", "format": "uuid"},
        },
        "required": ["code", "day", "id"],
        "additionalProperties": False,
    },
    "map": {"type": "object", "additionalProperties": {"type": "boolean"}, "minProperties": 1, "maxProperties": 2},
}


def schema_format(schema: Any, **others: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "test", "schema": schema, **others}}


def ends_of(grammars: Grammars) -> frozenset[int]:
    """Real vocabularies come without a model that would declare its ends."""
    return grammars.table.tokenizer.eos_ids or frozenset({grammars.end_id})


def constraint(grammars: Grammars, response_format: dict[str, Any], **options: Any) -> AnswerConstraint:
    structure = checked_format(response_format)
    assert structure is not None
    return AnswerConstraint(structure.matcher(grammars), **{"end_ids": ends_of(grammars), **options})


def allowed_ids(found: AnswerConstraint) -> NDArray[np.intp]:
    """The tokens that may come, ascending."""
    return np.flatnonzero(np.unpackbits(found.mask().view(np.uint8), bitorder="little"))


def allowed(found: AnswerConstraint) -> set[int]:
    """The tokens that may come."""
    return set(allowed_ids(found).tolist())


def walk(grammars: Grammars, found: AnswerConstraint, rng: random.Random, steps: int = 300) -> list[int] | None:
    """Tokens drawn at random among those allowed, without the end; None where no end came in time.

    Where a token of JSON's own punctuation may come it often does, or strings would never end.
    """
    ends, texts = ends_of(grammars), grammars.table.texts
    closing = [i for i, text in enumerate(texts) if text in (b'"', b"}", b"]")]
    ids: list[int] = []
    for _ in range(steps):
        may = allowed_ids(found)
        assert may.size, "there is always a way on"
        end = next((i for i in sorted(ends) if found_in(may, i)), None)
        if end is not None and (may.size == 1 or rng.random() < 0.5):
            found.accept(end)
            return ids
        inner = [i for i in closing if found_in(may, i)]
        token = rng.choice(inner) if inner and rng.random() < 0.3 else int(may[rng.randrange(may.size)])
        if token in ends:
            continue
        found.accept(token)
        ids.append(token)
    return None


def found_in(ids: NDArray[np.intp], token: int) -> bool:
    place = int(np.searchsorted(ids, token))
    return place < ids.size and int(ids[place]) == token
