"""Schemas as programs write them: kept to in other words, or in part and told so; what is generated is valid."""

from __future__ import annotations

import json
import random
from typing import Any

import jsonschema_rs
import numpy as np
import pytest

from hearth import LLM
from hearth.chat.grammar import Grammars
from hearth.chat.structured import checked_format
from hearth.chat.structured_keep import kept_schema
from hearth.chat.structured_schema import checked_schema
from hearth.chat.tokenizer import Tokenizer
from hearth.errors import UsageError

from .grammar_samples import schema_format
from .samples import byte_level, make_spec

TEXT, FLAG, NULL = {"type": "string"}, {"type": "boolean"}, {"type": "null"}
DRAFT_4 = {"$schema": "http://json-schema.org/draft-04/schema#"}
A, B = {"type": "object", "required": ["a"]}, {"type": "object", "required": ["b"]}


def record(**keywords: Any) -> dict[str, Any]:
    return {"type": "object", **keywords}


# Each with some values that may be written.
SAID_OTHERWISE: dict[str, tuple[Any, list[Any]]] = {
    "names that are text": (record(propertyNames=TEXT, additionalProperties={}), [{"x": 1}, {}]),
    "names, any": (record(propertyNames={}, additionalProperties={"type": "integer"}), [{"x": 1}]),
    "names of a list": (record(propertyNames={"enum": ["x", "y"]}, additionalProperties=FLAG), [{"y": True}]),
    "one name": (record(propertyNames={"const": "x"}), [{"x": None}]),
    "names of a pattern": (record(propertyNames={"pattern": "^[a-z]$"}), [{"k": 1}]),
    "names of a length": (record(propertyNames={"minLength": 2, "maxLength": 3}), [{"ab": 1}]),
    "no names": (record(propertyNames=False), [{}]),
    "items that may repeat": ({"type": "array", "items": TEXT, "uniqueItems": False}, [["a", "a"]]),
    "one item, unique": ({"type": "array", "maxItems": 1, "items": TEXT, "uniqueItems": True}, [["a"]]),
    "bounds of draft 4": (DRAFT_4 | {"type": "integer", "minimum": 0, "exclusiveMinimum": True, "maximum": 3}, [1, 3]),
    "bounds of draft 4, unused": (DRAFT_4 | {"type": "number", "minimum": 0, "exclusiveMinimum": False}, [0]),
    "counts with a point": ({"type": "string", "minLength": 1.0, "maxLength": 2.0}, ["ab"]),
    "a property that may not be": (record(properties={"a": {"not": {}}, "b": TEXT}), [{"b": "x"}]),
    "not nothing": ({"type": "boolean", "not": False}, [True]),
    "a condition without branches": ({"type": "boolean", "if": {"const": True}}, [True]),
    "branches without a condition": ({"type": "boolean", "then": {"const": True}}, [False]),
    "a condition that holds": ({"type": "string", "if": True, "then": {"maxLength": 1}, "else": {"minLength": 5}},
                               ["x"]),
    "contains any": ({"type": "array", "items": TEXT, "contains": {}}, [["a"]]),
    "contains none of it": ({"type": "array", "items": TEXT, "contains": {"const": "x"}, "minContains": 0}, [["a"]]),
    "dependent on what is there": (
        record(properties={"a": TEXT, "b": TEXT}, required=["a"], dependentRequired={"a": ["b"]}),
        [{"a": "1", "b": "2"}],
    ),
    "nothing depends": (record(dependencies={}, properties={"a": TEXT}), [{"a": "x"}]),
    "nothing besides": (record(properties={"a": TEXT}, unevaluatedProperties=False), [{"a": "x"}]),
    "a format that is none": ({"type": "string", "format": "path"}, ["x"]),
    "a number's format": ({"type": "integer", "format": "int32", "minimum": 0, "maximum": 9}, [7]),
    "up to the largest double": ({"type": "integer", "minimum": 0, "maximum": 1.7976931348623157e308}, [7]),
    "a recursion that ends": (
        {"$ref": "#/$defs/n", "$defs": {"n": record(properties={"n": {"anyOf": [{"$ref": "#/$defs/n"}, NULL]}},
                                                    required=["n"], additionalProperties=False)}},
        [{"n": {"n": None}}],
    ),
    "a property that could never be": (
        {"$defs": {"n": {"$ref": "#/$defs/n"}}, **record(properties={"x": {"$ref": "#/$defs/n"}, "y": TEXT})},
        [{"y": "z"}],
    ),
    "a reference by anchor": ({"$defs": {"a": {"$anchor": "here", "type": "boolean"}}, "$ref": "#here"}, [True]),
    "a reference by id": ({"$id": "https://example.org/a", "$defs": {"b": {"$id": "b", **FLAG}}, "$ref": "b"}, [True]),
    "multiples": ({"type": "integer", "multipleOf": 250, "minimum": 0, "maximum": 1000}, [750]),
    "cents": ({"type": "number", "multipleOf": 0.01, "minimum": 0, "maximum": 9}, [1.25]),
    "branches that exclude each other": ({"oneOf": [TEXT, {"type": "boolean"}]}, ["a", True]),
}  # fmt: skip
# Each with the keyword that is told, and some values that may be written.
IN_PART: dict[str, tuple[Any, str, list[Any]]] = {
    "a set": ({"type": "array", "items": TEXT, "uniqueItems": True}, ".uniqueItems", [["a", "b"]]),
    "not": ({"type": "string", "not": {"const": ""}}, ".not", ["a"]),
    "a condition": (record(**{"if": {"required": ["a"]}, "then": {"required": ["b"]}}), ".if", [{}]),
    "contains": ({"type": "array", "items": TEXT, "contains": {"const": "x"}}, ".contains", [["x"]]),
    "dependent": (record(dependentRequired={"a": ["b"]}), ".dependentRequired", [{}]),
    "dependencies": (record(dependencies={"a": {"required": ["b"]}}), ".dependencies", [{}]),
    "nothing besides a reference": (
        {"allOf": [record(properties={"x": TEXT})], "unevaluatedProperties": False},
        ".unevaluatedProperties", [{"x": "y"}],
    ),
    "look-ahead": ({"type": "string", "pattern": "^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$"}, ".pattern", ["1.5"]),
    "a reference back": ({"type": "string", "pattern": "^(a|b)\\1$"}, ".pattern", ["aa"]),
    "a broken expression": ({"type": "string", "pattern": "(("}, ".pattern", ["aa"]),
    "expressions that overlap": (record(patternProperties={"^a": {}, "^ab": {}}), ".patternProperties", [{"ab": 1}]),
    "names with two rules": (record(propertyNames={"minLength": 1, "pattern": "a"}), ".propertyNames", [{"a": 1}]),
    "branches by what they require": ({"oneOf": [A, B]}, ".oneOf", [{"a": 1}]),
    "a defined format": ({"type": "string", "format": "json-pointer"}, ".format", ["/a"]),
    "elsewhere": ({"$ref": "https://example.org/schema"}, ".$ref", [1]),
    "a file": ({"$ref": "file:///etc/hostname"}, ".$ref", [1]),
    "nowhere": ({"$ref": "#/$defs/missing"}, ".$ref", [1]),
    "dynamic": ({"$dynamicRef": "#x"}, ".$dynamicRef", [1]),
    "a huge number": ({"type": "number", "maximum": 1e40}, ".maximum", [1.5]),
    "a tiny number": ({"type": "number", "minimum": 1e-300}, ".minimum", [1.5]),
}  # fmt: skip
NO_VALUE: dict[str, Any] = {
    "false": False,
    "not anything": {"not": {}},
    "only itself": {"$defs": {"A": {"$ref": "#/$defs/A"}}, "$ref": "#/$defs/A"},
    "itself, required, in a branch": {
        "$defs": {"A": {"$ref": "#/$defs/A"}},
        "oneOf": [record(properties={"x": {"$ref": "#/$defs/A"}}, required=["x"], additionalProperties=False)],
    },
    "an object that needs itself": {
        "$defs": {"N": record(properties={"n": {"$ref": "#/$defs/N"}}, required=["n"])},
        "$ref": "#/$defs/N",
    },
    "a list that needs itself": {"type": "array", "items": {"$ref": "#"}, "minItems": 1},
    "all of itself": {"allOf": [{"$ref": "#"}]},
    "two in a circle": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
}  # fmt: skip


@pytest.fixture(scope="module")
def grammars() -> Grammars:
    tokenizer = Tokenizer(make_spec(byte_level()))
    return Grammars(tokenizer, tokenizer.vocab_size)


def takes(grammars: Grammars, schema: Any, value: Any) -> bool:
    """Whether an answer may be this value."""
    structure = checked_format(schema_format(schema))
    assert structure is not None
    matcher = structure.matcher(grammars)
    for token in grammars.table.tokenizer.encode(json.dumps(value), add_special=False):
        if not matcher.takes(token):
            return False
        matcher.take(token)
    return matcher.may_end()


def written(grammars: Grammars, schema: Any, seed: int) -> str | None:
    """A random answer; None where it does not come to an end."""
    structure, rng = checked_format(schema_format(schema)), random.Random(seed)
    assert structure is not None
    matcher, ids = structure.matcher(grammars), []
    for _ in range(120):
        mask = matcher.mask()
        allowed = np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little")).tolist()
        if grammars.end_id in allowed and (len(allowed) == 1 or rng.random() < 0.5):
            return grammars.table.tokenizer.decode(ids)
        token = rng.choice([i for i in allowed if i != grammars.end_id])
        ids.append(token)
        matcher.take(token)
    return None


@pytest.mark.parametrize("name", SAID_OTHERWISE)
def test_a_schema_is_kept_to_in_other_words(grammars: Grammars, name: str) -> None:
    schema, values = SAID_OTHERWISE[name]
    assert kept_schema(checked_schema(schema, "s"), "s", strict=True).gaps == ()
    for value in values:
        assert takes(grammars, schema, value), value
    ended = [text for text in (written(grammars, schema, seed) for seed in range(30)) if text is not None]
    assert all(jsonschema_rs.is_valid(schema, json.loads(text)) for text in ended), ended


@pytest.mark.parametrize("name", IN_PART)
def test_what_cannot_be_kept_to_is_told_and_the_rest_kept(grammars: Grammars, name: str) -> None:
    schema, keyword, values = IN_PART[name]
    whole = record(properties={"v": schema, "w": {"type": "integer"}}, required=["v"], additionalProperties=False)
    kept = kept_schema(checked_schema(whole, "s"), "s", strict=False)
    assert [gap.place for gap in kept.gaps] == [f"s.properties.v{keyword}"]
    assert kept.notices[0].startswith(f"Not enforced: s.properties.v{keyword} (")
    for value in values:
        assert takes(grammars, whole, {"v": value, "w": 1}), value
    assert not takes(grammars, whole, {"w": 1})
    assert not takes(grammars, whole, {"v": values[0], "w": "no"})
    with pytest.raises(UsageError, match="cannot be enforced, and the schema is strict"):
        checked_format(schema_format(whole, strict=True))


@pytest.mark.parametrize("name", NO_VALUE)
@pytest.mark.parametrize("strict", [True, False])
def test_a_schema_that_no_value_can_meet_is_refused(name: str, strict: bool) -> None:
    with pytest.raises(UsageError, match=r"response_format.json_schema.schema.* can never be met"):
        checked_format(schema_format(NO_VALUE[name], strict=strict))


def test_an_answer_tells_what_its_schema_does_not_enforce(starter: LLM) -> None:
    schema = record(properties={"cities": {"type": "array", "items": {"enum": ["Paris"]}, "uniqueItems": True}},
                    required=["cities"])  # fmt: skip
    question = [{"role": "user", "content": "What is the capital of France?"}]
    done = starter.chat(question, response_format=schema_format(schema), max_tokens=60, seed=1, temperature=1)
    assert done.notices == (
        "Not enforced: response_format.json_schema.schema.properties.cities.uniqueItems (no grammar can keep to it).",
    )


def test_one_tool_that_cannot_be_enforced_does_not_refuse_the_others(starter: LLM) -> None:
    tags = record(properties={"tags": {"type": "array", "items": TEXT, "uniqueItems": True}})
    tools = [
        {"type": "function", "function": {"name": name, "parameters": parameters}}
        for name, parameters in (("plain", record(properties={"x": TEXT})), ("tagged", tags))
    ]
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prepared = starter.prepare_chat(question, tools=tools, max_tokens=5)
    assert "tools[1].function.parameters.properties.tags.uniqueItems" in prepared.notices[0]
    tools[1]["function"]["strict"] = True
    with pytest.raises(UsageError, match=r"tools\[1\].function.parameters.properties.tags.uniqueItems"):
        starter.prepare_chat(question, tools=tools, max_tokens=5)


def test_by_default_json_has_a_blank_at_most_between_its_tokens(grammars: Grammars) -> None:
    schema = record(properties={"a": {"type": "array", "items": {"type": "boolean"}}}, required=["a"])
    for seed in range(40):
        text = written(grammars, schema, seed)
        assert text is None or ("  " not in text and "\n" not in text), text
    with pytest.raises(UsageError, match="whitespace is 'wide'"):
        checked_format({"type": "json_object", "whitespace": "wide"})
