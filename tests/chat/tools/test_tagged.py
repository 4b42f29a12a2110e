"""Values stand in their tags as models write them: bare where a text is meant, else as JSON."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer

from hearth.chat.tools import Choice, Tool, checked_tools
from hearth.chat.tools.tagged import TaggedCalls
from hearth.chat.tools.tags import DSML, GLM, MINIMAX, QWEN_CODER, TagSyntax

from .families import tool

_BYTES = LLTokenizer("byte")
_NULLABLE = {"anyOf": [{"type": "string"}, {"type": "null"}]}
_TEXT_OR_NUMBER = {"type": ["string", "number"]}
_TEXT_OR_OBJECT = {"anyOf": [{"type": "string"}, {"type": "object", "properties": {"a": {"type": "integer"}}}]}
_UNIT = {"anyOf": [{"$ref": "#/$defs/Unit"}, {"type": "null"}]}

READ: list[tuple[dict[str, Any], str, object]] = [
    ({"type": "string"}, "Paris", "Paris"),
    ({"type": "string"}, "42", "42"),
    ({"type": "string"}, "null", "null"),
    ({"type": "string"}, '"quoted"', '"quoted"'),
    ({"type": "string"}, "", ""),
    ({"type": "string"}, "<b>\n\n  two lines</b>", "<b>\n\n  two lines</b>"),
    (_NULLABLE, "hello world", "hello world"),
    (_NULLABLE, "nothing", "nothing"),
    (_NULLABLE, "42", "42"),
    (_NULLABLE, "null", None),
    (_NULLABLE, "None", None),
    ({"type": ["null", "string"]}, "hello world", "hello world"),
    (_UNIT, "celsius", "celsius"),
    (_UNIT, "null", None),
    ({"enum": ["a", "b c"]}, "b c", "b c"),
    ({"type": "boolean"}, "True", True),
    ({"type": "boolean"}, "false", False),
    ({"type": ["integer", "null"]}, "42", 42),
    ({"type": ["integer", "null"]}, "None", None),
    ({"type": "array", "items": {"type": "integer"}}, "[1, 2]", [1, 2]),
    ({"type": "object"}, '{"a": [true]}', {"a": [True]}),
    (_TEXT_OR_NUMBER, "2 dollars", "2 dollars"),
    (_TEXT_OR_NUMBER, "42", 42),
    (_TEXT_OR_OBJECT, '{"a": 1}', {"a": 1}),
    (_TEXT_OR_OBJECT, "a: 1", "a: 1"),
    ({"type": "string", "minLength": 2, "maxLength": 5}, "Paris", "Paris"),
    ({"type": "string", "pattern": "^[A-Z]{2}$"}, '"FR"', "FR"),
    ({}, "anything", "anything"),
    ({}, '{"a": 1}', {"a": 1}),
]
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"type": "string", "minLength": 2, "maxLength": 5}, "Pa ris"),
    ({"type": "string", "minLength": 2, "maxLength": 5}, "P"),
    ({"type": "string", "pattern": "^[A-Z]{2}$"}, "FR"),
    ({"type": "string", "pattern": "^[A-Z]{2}$"}, '"fr"'),
    ({"type": "integer", "minimum": 1}, "0"),
    ({"type": "boolean"}, "yes"),
    ({"enum": ["a", "b c"]}, "b"),
    (_UNIT, "kelvin"),
    (_TEXT_OR_OBJECT, '{"a": "x"}'),
]


def tools_with(schema: object) -> tuple[Tool, ...]:
    made = tool("note", {"value": schema, "more": {"type": "string"}}, ("value",))
    function: Any = made["function"]
    function["parameters"]["$defs"] = {"Unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}}
    return checked_tools([made])


SYNTAXES = [QWEN_CODER, GLM, MINIMAX, DSML]
_ids = pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)


def forms(syntax: TagSyntax, value: str, *, is_text: bool | None = None) -> list[str]:
    """A call with a value on lines of its own, where the syntax has that, and, where that is the same, right between
    the tags.

    Args:
        is_text: what a syntax that says so says of the value; None: both.
    """
    if syntax.typed and is_text is None:
        return [*forms(syntax, value, is_text=True), *forms(syntax, value, is_text=False)]
    begin = f"{syntax.begin}\n{syntax.function}note{syntax.name_end}\n" if syntax.function else f"{syntax.begin}note\n"
    begin += f"{syntax.parameter}value{syntax.key_end}"
    begin += syntax.typed[not is_text] if syntax.typed else ""
    begin += f"\n{syntax.value_begin}" if syntax.value_begin else ""
    end = f"{syntax.value_end}\n{syntax.function_end}" + (f"\n{syntax.end}" if syntax.end else "")
    beside = [] if value.startswith("\n") and syntax.on_lines else [f"{begin}{value}{end}"]
    return [f"{begin}\n{value}\n{end}", *beside] if syntax.on_lines else beside


def read_value(syntax: TagSyntax, tools: tuple[Tool, ...], text: str, size: int) -> object:
    """The arguments of the only call, read in pieces."""
    parser = TaggedCalls(syntax).parser(tools)
    said = [piece for at in range(0, len(text), size) for piece in parser.push(text[at : at + size])] + parser.finish()
    assert not any(isinstance(piece, str) for piece in said)
    return json.loads("".join(piece.arguments for piece in said if not isinstance(piece, str)))


def takes(syntax: TagSyntax, tools: tuple[Tool, ...], text: str) -> bool:
    matcher = LLMatcher(_BYTES, LLMatcher.grammar_from_lark(TaggedCalls(syntax).grammar(tools, Choice("auto"))))
    tokens = _BYTES.tokenize_str(text)
    return matcher.try_consume_tokens(tokens) == len(tokens) and bool(matcher.is_accepting())


def is_text(written: str, value: object) -> bool:
    return isinstance(value, str) and value == written


@_ids
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize(("schema", "written", "value"), READ)
def test_a_value_is_read_as_its_schema_means_it(
    schema: dict[str, Any], written: str, value: object, size: int, syntax: TagSyntax
) -> None:
    tools = tools_with(schema)
    for text in forms(syntax, written, is_text=is_text(written, value)):
        assert read_value(syntax, tools, text, size) == {"value": value}


@_ids
@pytest.mark.parametrize(("schema", "written", "value"), READ)
def test_a_value_may_be_written_as_it_is_read(
    schema: dict[str, Any], written: str, value: object, syntax: TagSyntax
) -> None:
    for text in forms(syntax, written, is_text=is_text(written, value)):
        assert takes(syntax, tools_with(schema), text)


@_ids
@pytest.mark.parametrize(("schema", "written"), REFUSED)
def test_a_value_that_its_schema_does_not_allow_cannot_be_written(
    schema: dict[str, Any], written: str, syntax: TagSyntax
) -> None:
    for text in forms(syntax, written, is_text=None if schema is not _TEXT_OR_OBJECT else False):
        assert not takes(syntax, tools_with(schema), text)


_PARTS = st.sampled_from(
    [*(written for _, written, _ in READ), "\n", "</parameter>", "<parameter=more>", "{", "[", "1", '"', " ", "x"]
)


@settings(deadline=None)
@given(data=st.data())
def test_whatever_can_be_written_is_valid(data: st.DataObject) -> None:
    schema = data.draw(st.sampled_from([schema for schema, *_ in READ]))
    value = "".join(data.draw(st.lists(_PARTS, min_size=1, max_size=3)))
    tools, syntax = tools_with(schema), data.draw(st.sampled_from(SYNTAXES))
    for text in forms(syntax, value):
        if takes(syntax, tools, text):
            assert jsonschema_rs.is_valid(dict(tools[0].parameters), read_value(syntax, tools, text, 3)), text


def test_required_arguments_must_come_and_none_comes_twice() -> None:
    tools = checked_tools([tool("pay", {"to": {"type": "string"}, "sum": {"type": "integer"}}, ("to", "sum"))])

    def call(*parameters: tuple[str, str]) -> str:
        body = "".join(f"<parameter={name}>\n{value}\n</parameter>\n" for name, value in parameters)
        return f"<tool_call>\n<function=pay>\n{body}</function>\n</tool_call>"

    assert takes(QWEN_CODER, tools, call(("to", "Ada"), ("sum", "3")))
    assert takes(QWEN_CODER, tools, call(("sum", "3"), ("to", "Ada")))
    assert not takes(QWEN_CODER, tools, call(("to", "Ada")))
    assert not takes(QWEN_CODER, tools, call(("to", "Ada"), ("sum", "3"), ("to", "Bob")))


def test_arguments_that_were_cut_come_as_far_as_they_came() -> None:
    tools = tools_with({"type": "string"})
    parser = TaggedCalls(QWEN_CODER).parser(tools)
    said = parser.push("<tool_call>\n<function=note>\n<parameter=value>\nHello wor") + parser.finish()
    assert "".join(piece.arguments for piece in said if not isinstance(piece, str)) == '{"value": "Hello wor'
