"""What callers pass in is checked, and a message says which tool and field is wrong."""

from __future__ import annotations

import re
from typing import Any

import pytest
from llguidance import LLMatcher

from hearth.chat.tools import Choice, checked_choice, checked_tools, new_call_id
from hearth.chat.tools.types import MAX_DEPTH, MAX_SCHEMA_CHARS, MAX_TOOLS
from hearth.errors import UsageError

from .families import FAMILIES, RAW_TOOLS, TIME, TOOLS, Family, tool


def test_a_tool_without_parameters_takes_none() -> None:
    (made,) = checked_tools([{"type": "function", "function": {"name": "now"}}])
    assert made.parameters == {"type": "object", "properties": {}, "additionalProperties": False}
    assert made.for_template()["function"]["description"] == ""


def test_a_schema_cannot_be_changed_from_outside_after_the_check() -> None:
    raw = tool("f", {"x": {"type": "string"}})
    (made,) = checked_tools([raw])
    raw["function"]["parameters"]["properties"].clear()  # type: ignore[index]
    assert made.parameters["properties"] == {"x": {"type": "string"}}


def _nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"x": schema}}
    return schema


def _function(**fields: Any) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": "f", **fields}}]


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ("tools", "tools is of type str"),
        ({"a": 1}, "tools is of type dict"),
        ([1], r"tools\[0\] is of type int"),
        ([{"type": "web_search"}], r"tools\[0\]\.type is 'web_search'"),
        ([{"type": "function"}], r"tools\[0\]\.function is missing"),
        ([{"type": "function", "function": {"name": "a b"}}], r"tools\[0\]\.function\.name is 'a b'"),
        ([{"type": "function", "function": {"name": "x" * 129}}], r"function\.name"),
        ([{"type": "function", "function": {"name": "name\n"}}], r"function\.name"),
        ([{"type": "function", "function": {"name": "f"}, "x": 1}], r"tools\[0\] has a field 'x'"),
        (_function(returns={}), r"tools\[0\]\.function \(f\) has a field 'returns'"),
        (_function(description=3), r"\(f\)\.description is of type int"),
        (_function(strict="yes"), r"\(f\)\.strict is of type str"),
        (_function(parameters=[]), r"\(f\)\.parameters is of type list"),
        (_function(parameters={"type": "string"}), r"\(f\)\.parameters\.type is 'string'"),
        (_function(parameters={"type": "object", "properties": []}), r"\(f\)\.parameters\.properties is of type list"),
        (_function(parameters={"type": "object", "required": [1]}), r"\(f\)\.parameters\.required"),
        (_function(parameters={"type": "object", "minimum": float("nan")}), r"\(f\)\.parameters is not JSON"),
        (_function(parameters=_nested(MAX_DEPTH)), r"\(f\)\.parameters is nested deeper"),
        (_function(parameters={"type": "object", "description": "x" * MAX_SCHEMA_CHARS}), "characters long"),
        ([*RAW_TOOLS, RAW_TOOLS[0]], r"tools\[3\]\.function\.name: there are two tools named 'get_weather'"),
        ([tool(f"f{i}", {}) for i in range(MAX_TOOLS + 1)], f"{MAX_TOOLS + 1} tools"),
        ([tool(f"f{i}", {"x": {"description": "x" * 60_000}}) for i in range(9)], "together"),
    ],
)
def test_a_wrong_tool_is_refused_by_name_and_field(raw: object, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        checked_tools(raw)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.id)
def test_a_name_may_hold_dots_which_every_format_carries(family: Family) -> None:
    tools = checked_tools([tool("Calendar.create_event", {})])
    lark = family.make({}).grammar(tools, Choice("required"))
    for example in family.examples:
        if example.read == [TIME]:
            parser = family.make({}).parser(tools)
            said = [*parser.push(example.text.replace("get_time", "Calendar.create_event")), *parser.finish()]
            names = [piece.name for piece in said if not isinstance(piece, str) and piece.name]
            assert names == ["Calendar.create_event"]
    assert LLMatcher.validate_grammar(LLMatcher.grammar_from_lark(lark)) == ""


def test_choices() -> None:
    assert checked_choice(None, TOOLS) == checked_choice("auto", TOOLS) == Choice("auto")
    assert checked_choice(None, ()) == checked_choice("auto", ()) == Choice("none")
    assert checked_choice("none", TOOLS) == Choice("none")
    assert checked_choice("required", TOOLS) == Choice("required")
    named = {"type": "function", "function": {"name": "get_time"}}
    assert checked_choice(named, TOOLS) == Choice("named", "get_time")


@pytest.mark.parametrize(
    ("raw", "tools", "named"),
    [
        ("required", (), "there are no tools"),
        ("any", TOOLS, "tool_choice is 'any'"),
        (3, TOOLS, "tool_choice is 3"),
        ({"type": "function"}, TOOLS, "tool_choice is"),
        ({"type": "function", "function": {"name": "rm"}}, TOOLS, "tool_choice names 'rm'"),
    ],
)
def test_a_wrong_choice_is_refused(raw: object, tools: Any, named: str) -> None:
    with pytest.raises(UsageError, match=re.escape(named)):
        checked_choice(raw, tools)


def test_ids_of_calls_are_unlike_and_url_safe() -> None:
    ids = {new_call_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(r"call_[A-Za-z0-9_-]{24}", call_id) for call_id in ids)
