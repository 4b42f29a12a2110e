"""A family whose notation cannot say all of a schema keeps to the rest and tells it: one tool refuses no others."""

from __future__ import annotations

from typing import Any

import pytest
from llguidance import LLMatcher

from hearth.chat.tools import Choice, Tool, ToolFormat
from hearth.chat.tools.gemma_calls import FUNCTION_GEMMA, GEMMA_4, GemmaCalls
from hearth.chat.tools.hermes import Hermes
from hearth.chat.tools.pythonic import LFM2, Pythonic
from hearth.chat.tools.tagged import TaggedCalls
from hearth.chat.tools.tags import QWEN_CODER

FORMATS: dict[str, ToolFormat] = {
    "qwen-coder": TaggedCalls(QWEN_CODER),
    "function-gemma": GemmaCalls("function-gemma", FUNCTION_GEMMA),
    "gemma4": GemmaCalls("gemma4", GEMMA_4),
    "hermes": Hermes(),
    "lfm2": Pythonic(LFM2),
}
TEXT = {"type": "string"}
# Schema -> the keywords that each format leaves out.
SCHEMAS: dict[str, tuple[dict[str, Any], dict[str, list[str]]]] = {
    "joined": (
        {"type": "object", "properties": {"a": TEXT}, "allOf": [{"required": ["a"]}]},
        {"qwen-coder": [".allOf"], "lfm2": [".allOf"], "function-gemma": [".allOf"], "gemma4": [".allOf"]},
    ),
    "one of": (
        {"type": "object", "oneOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"a": {"const": 2}}}]},
        {"qwen-coder": [".anyOf"], "lfm2": [".anyOf"]},  # any branch is taken: they may hold together
    ),
    "a pattern": (
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "^x+$"}}},
        {"function-gemma": [".a.pattern"], "gemma4": [".a.pattern"]},
    ),
    "a name that the notation cannot write": (
        {"type": "object", "properties": {"a b": TEXT, "c": TEXT}, "required": ["a b"]},
        {"function-gemma": [".properties.a b"], "gemma4": [".properties.a b"], "lfm2": [".properties.a b"]},
    ),
    "required and not described": ({"type": "object", "properties": {"a": TEXT}, "required": ["b"]}, {}),
    "nothing special": ({"type": "object", "properties": {"a": TEXT, "b": {"type": "integer"}}}, {}),
}


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("name", SCHEMAS)
def test_what_a_notation_cannot_say_is_told_and_the_tool_stays_callable(name: str, format_name: str) -> None:
    schema, left_out = SCHEMAS[name]
    told, tool = FORMATS[format_name], Tool("f", parameters=schema)
    expected = left_out.get(format_name, [])
    places = [gap.place for gap in told.gaps(tool, "p")]
    if expected or format_name in ("qwen-coder", "hermes", "lfm2"):
        assert places == [f"p{key}" for key in expected]
    plain = Tool("g", parameters={"type": "object", "properties": {"x": TEXT}})
    for mode in ("auto", "required"):
        lark = told.grammar([tool, plain], Choice(mode))  # type: ignore[arg-type]
        fault = LLMatcher.validate_grammar(LLMatcher.grammar_from_lark(lark))
        assert not fault or fault.startswith("WARNING"), fault
