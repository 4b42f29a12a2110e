"""What a caller asks an answer to keep to: understood, or refused with its place, quickly and whatever it is."""

from __future__ import annotations

import json
import random
import re
import time
from typing import Any

import jsonschema_rs
import numpy as np
import pytest

from hearth import LLM
from hearth.chat.grammar import Grammars
from hearth.chat.structured import MAX_GRAMMAR_CHARS, MAX_REGEX_CHARS, checked_format
from hearth.chat.structured_schema import MAX_SCHEMA_BYTES
from hearth.chat.tokenizer import Tokenizer
from hearth.errors import HearthError, UsageError

from .grammar_samples import SCHEMAS, schema_format
from .samples import byte_level, make_spec

FRANCE = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(scope="module")
def grammars() -> Grammars:
    tokenizer = Tokenizer(make_spec(byte_level()))
    return Grammars(tokenizer, tokenizer.vocab_size)


def compile_format(grammars: Grammars, response_format: Any) -> None:
    structure = checked_format(response_format)
    assert structure is not None
    structure.matcher(grammars)


# -- on a real model ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.0, 1.2])
@pytest.mark.parametrize("name", ["person", "choice", "patterns", "tagged"])
def test_a_real_models_answer_follows_the_schema(starter: LLM, name: str, temperature: float) -> None:
    done = starter.chat(FRANCE, response_format=schema_format(SCHEMAS[name]), temperature=temperature, seed=2)
    assert done.finish_reason == "stop"
    assert jsonschema_rs.is_valid(SCHEMAS[name], json.loads(done.text)), done.text


def test_a_regex_and_a_grammar_hold_for_chats_and_plain_texts(starter: LLM) -> None:
    done = starter.chat(FRANCE, response_format={"type": "regex", "regex": "(Rome|Paris) it is, [a-z]{3,9}\\."})
    assert re.fullmatch("(Rome|Paris) it is, [a-z]{3,9}\\.", done.text)
    lark = 'start: city (" and " city){1,2} "!"\ncity: "Paris" | "Rome" | "Oslo"'
    done = starter.generate("I like", response_format={"type": "grammar", "grammar": lark}, temperature=1, seed=4)
    assert re.fullmatch("(Paris|Rome|Oslo)( and (Paris|Rome|Oslo)){1,2}!", done.text)
    assert done.finish_reason == "stop"


def test_an_answer_that_follows_anyway_stays_the_same(starter: LLM) -> None:
    free = starter.chat(FRANCE)
    kept = starter.chat(FRANCE, response_format={"type": "regex", "regex": "[A-Za-z ]+\\."})
    assert (kept.text, kept.token_ids) == (free.text, free.token_ids)
    assert starter.chat(FRANCE, response_format={"type": "text"}).text == free.text


def test_log_probabilities_are_the_models_own(starter: LLM) -> None:
    free = starter.chat(FRANCE, logprobs=1)
    kept = starter.chat(FRANCE, logprobs=1, response_format={"type": "regex", "regex": "[A-Za-z ]+\\."})
    assert kept.logprobs is not None
    assert free.logprobs is not None
    assert [t.token_id for t in kept.logprobs] == [t.token_id for t in free.logprobs]
    assert [t.logprob for t in kept.logprobs] == pytest.approx([t.logprob for t in free.logprobs], abs=1e-4)


def test_a_format_does_not_go_with_an_answer_that_never_ends(starter: LLM) -> None:
    with pytest.raises(UsageError, match="ignore_eos"):
        starter.chat(FRANCE, response_format={"type": "json_object"}, ignore_eos=True)


# -- what is wrong, and where ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response_format", "place"),
    [
        (7, "response_format is of type int"),
        ({"type": "yaml"}, "response_format.type is 'yaml'"),
        ({"type": ["json_object"]}, "response_format.type"),
        ({"type": "json_object", "schema": {}}, "response_format has a field 'schema'"),
        ({"type": "json_schema"}, "response_format.json_schema is missing"),
        ({"type": "json_schema", "json_schema": {"name": "x"}}, "response_format.json_schema.schema is missing"),
        ({"type": "json_schema", "json_schema": {"schema": {}, "strict": 1}}, "json_schema.strict"),
        ({"type": "json_schema", "json_schema": {"schema": {}, "other": 1}}, "'other'"),
        ({"type": "grammar", "grammar": ""}, "response_format.grammar"),
        ({"type": "regex"}, "response_format.regex"),
        ({"type": "regex", "regex": "a" * (MAX_REGEX_CHARS + 1)}, "response_format.regex is 10001 characters"),
        ({"type": "grammar", "grammar": "a" * (MAX_GRAMMAR_CHARS + 1)}, "response_format.grammar is 65537"),
        ({"type": "regex", "regex": "a["}, "unclosed character class"),
        ({"type": "regex", "regex": "a\ud800"}, "response_format.regex holds half of a surrogate pair"),
        ({"type": "grammar", "grammar": 'start: "\udfff"'}, "response_format.grammar holds half of a surrogate pair"),
        ({"type": "grammar", "grammar": "start: foo"}, 'unknown name: "foo"'),
        ({"type": "grammar", "grammar": 'start: %json {"type": "strin"}'}, "%json in line 1.type is 'strin'"),
        ({"type": "grammar", "grammar": "start: a\na: %json nonsense"}, "%json in line 2 is not followed by"),
        ({"type": "json_schema", "json_schema": {"schema": {"maximum": 10**400}}}, "a number of more than 308 digits"),
    ],
)
def test_a_wrong_format_is_told_with_its_place(grammars: Grammars, response_format: Any, place: str) -> None:
    with pytest.raises(UsageError) as told:
        compile_format(grammars, response_format)
    assert place in str(told.value)


@pytest.mark.parametrize(
    ("inner", "place"),
    [
        ({"type": "strin"}, ".type is 'strin'"),
        ({"properties": None}, ".properties is None"),
        ({"properties": True}, ".properties is True"),
        ({"patternProperties": 5}, ".patternProperties is 5"),
        ({"patternProperties": [1]}, ".patternProperties is [1]"),
        ({"multipleOf": 0}, ".multipleOf is 0"),
        ({"maxLength": 2.5}, ".maxLength is 2.5"),
        ({"minLength": -1}, ".minLength is -1"),
        ({"maximum": "9"}, ".maximum is '9'"),
        ({"enum": []}, ".enum is []"),
        ({"required": "name"}, ".required is 'name'"),
        ({"anyOf": {}}, ".anyOf is {}"),
        ({"properties": []}, ".properties is []"),
        ({"items": 3}, ".items is 3"),
        ({"x-guidance": {"whitespace_pattern": "x"}}, ".x-guidance is no keyword"),
        ({"pattern": "a" * 2001}, ".pattern is 2001 characters"),
    ],
)
def test_a_wrong_schema_is_told_with_its_place(grammars: Grammars, inner: Any, place: str) -> None:
    schema = {"type": "object", "properties": {"list": {"type": "array", "items": inner}, "other": {"type": "string"}}}
    with pytest.raises(UsageError) as told:
        compile_format(grammars, schema_format(schema))
    assert "response_format.json_schema.schema.properties.list.items" + place in str(told.value)


# -- hostile ones ------------------------------------------------------------------------------------------------------


def nested(depth: int) -> Any:
    schema: Any = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def chain(count: int, link: Any) -> Any:
    defs = {f"d{i}": link(f"#/$defs/d{i + 1}") for i in range(count)}
    return {"$defs": {**defs, f"d{count}": {"type": "string"}}, "$ref": "#/$defs/d0"}


HOSTILE: dict[str, Any] = {
    "deep": nested(500),
    "as deep as may be": nested(30),
    "a reference to itself": {"$ref": "#"},
    "references in a circle": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    "references that double": chain(30, lambda to: {"allOf": [{"$ref": to}, {"$ref": to}]}),
    "objects that double": chain(
        30, lambda to: {"type": "object", "properties": {"x": {"$ref": to}, "y": {"$ref": to}}}
    ),
    "choices that multiply": {
        "allOf": [{"anyOf": [{"properties": {f"p{i}": {"const": j}}} for j in range(20)]} for i in range(20)]
    },
    "a huge enum": {"enum": [f"v{i}" for i in range(100_000)]},
    "as many values as may be": {"enum": [f"value {i}" for i in range(10_000)]},
    "very many properties": {"type": "object", "properties": {f"p{i}": {} for i in range(10_000)}},
    "as many properties as may be": {"type": "object", "properties": {f"p{i}": {} for i in range(2_000)}},
    "very many required": {"type": "object", "required": [f"p{i}" for i in range(20_000)]},
    "very many patterns": {"type": "object", "patternProperties": {f"^p{i}x.*$": {} for i in range(2_000)}},
    "a long schema": {"description": "x" * MAX_SCHEMA_BYTES},
    "quantifiers": {"type": "string", "pattern": "((((a{1,200}){1,200}){1,200}){1,200})b"},
    "many quantifiers": {
        "type": "object",
        "properties": {f"p{i}": {"pattern": "^(a|b{1,30}){1,50}$"} for i in range(500)},
    },
    "a long string": {"type": "string", "minLength": 1_000_000},
    "a long list": {"type": "array", "items": {"type": "string"}, "minItems": 1_000_000},
    "a large multiple": {"type": "integer", "multipleOf": 999_999_937},
    "a power of two": {"type": "integer", "multipleOf": 2147483648},
    "a multiple with decimals": {"type": "number", "multipleOf": 0.123456789},
    "multiples that meet": {"allOf": [{"type": "integer", "multipleOf": m} for m in (9973, 9967, 9949)]},
    "multiples that meet by reference": {
        "$defs": {"a": {"type": "integer", "multipleOf": 9973}},
        "$ref": "#/$defs/a",
        "multipleOf": 9967,
    },
    "a multiple in a range": {"type": "integer", "multipleOf": 9973, "minimum": 1234, "maximum": 987654321},
    "a huge bound": {"type": "integer", "maximum": 10**400},
    "a huge value": {"enum": [10**5000]},
}
HOSTILE_TEXTS: dict[str, Any] = {
    "backtracking": {"type": "regex", "regex": "(a|aa|aaa|b)*" * 500 + "c"},
    "distances": {"type": "regex", "regex": "(.*a.{300})(.*b.{300})"},
    "parentheses": {"type": "regex", "regex": "(" * 4_999 + "a" + ")" * 4_999},
    "long counts": {"type": "regex", "regex": "(abc|de){100000}"},
    "intersections": {
        "type": "grammar",
        "grammar": "start: A\nA: /(.*a.{20}){3}/ & /(.*b.{20}){3}/ & ~/(.*c.{20}){3}/",
    },
    "ambiguity": {"type": "grammar", "grammar": 'start: start start start | "a" | ""'},
    "doubling rules": {
        "type": "grammar",
        "grammar": "start: r0\n" + "\n".join(f'r{i}: r{i + 1} r{i + 1} | "a"' for i in range(900)) + '\nr900: "x"',
    },
    "an endless rule": {"type": "grammar", "grammar": 'start: "a" start'},
    "a schema inside": {
        "type": "grammar",
        "grammar": "start: %json " + json.dumps({"properties": {f"p{i}": {} for i in range(4_000)}}),
    },
    "a multiple inside": {"type": "grammar", "grammar": 'start: %json {"type": "integer", "multipleOf": 2147483648}'},
    "a multiple behind a number that Python does not read": {
        "type": "grammar",
        "grammar": f'start: %json {{"type": "integer", "default": {"1" * 5000}, "multipleOf": 2147483648}}',
    },
}  # fmt: skip


def go_on(grammars: Grammars, response_format: Any) -> None:
    """Compiles, and draws some tokens."""
    structure, rng = checked_format(response_format), random.Random(0)
    assert structure is not None
    matcher = structure.matcher(grammars)
    for _ in range(30):
        ids = np.flatnonzero(np.unpackbits(matcher.mask().view(np.uint8), bitorder="little"))
        token = rng.choice(ids.tolist())
        if token == grammars.end_id:
            return
        matcher.take(token)


@pytest.mark.parametrize(
    "response_format",
    [*map(schema_format, HOSTILE.values()), *HOSTILE_TEXTS.values()],
    ids=[*HOSTILE, *HOSTILE_TEXTS],
)
def test_nothing_hostile_hangs_or_does_more_than_fail(grammars: Grammars, response_format: Any) -> None:
    """Compiling and going on for some tokens ends soon: with a grammar that works, or an error of ours."""
    begin = time.thread_time()
    outcome = "went on"
    try:
        go_on(grammars, response_format)
    except HearthError as error:
        outcome = str(error)
    assert len(outcome) < 2_000
    # Generous: it takes less than half a second here. Without the limits the worst take minutes.
    assert time.thread_time() - begin < 20


def test_many_grammars_are_forgotten_again(grammars: Grammars) -> None:
    for i in range(100):
        compile_format(grammars, {"type": "regex", "regex": f"a{{{i + 1}}}"})
    assert len(grammars._compiled) <= 32
