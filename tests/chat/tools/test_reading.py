"""Calls are found in streamed answers of every family, whatever the pieces, and nothing else is taken for one."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.chat.tools import ToolCallDelta
from hearth.chat.tools.hermes import Hermes
from hearth.chat.tools.jsonscan import JsonScanner
from hearth.chat.tools.llama3 import Llama3

from .families import EXAMPLES, FAMILIES, PARIS, TIME, TOOLS, Example, Family
from .reading import pieces, raw, read

_CASES = [pytest.param(family, example, id=f"{family.id}-{i}") for i, (family, example) in enumerate(EXAMPLES)]


@pytest.mark.parametrize(("family", "example"), _CASES)
def test_published_answers_are_read(family: Family, example: Example) -> None:
    assert read(family.make({}), [example.text]) == example.read


@pytest.mark.parametrize(("family", "example"), _CASES)
def test_every_split_in_two_and_single_characters_give_the_same(family: Family, example: Example) -> None:
    whole = raw(family.make({}), [example.text])
    assert raw(family.make({}), example.text) == whole
    for at in range(1, len(example.text)):
        assert raw(family.make({}), pieces(example.text, [at])) == whole


_FRAGMENTS = sorted(
    {part for _, example in EXAMPLES for part in re.split(r"(?<=[\s{}\[\]<>:,;|])", example.text) if part}
)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.id)
@settings(deadline=None)
@given(data=st.data())
def test_any_text_in_any_pieces_gives_the_same_and_loses_nothing(family: Family, data: st.DataObject) -> None:
    example = data.draw(st.sampled_from(family.examples)).text
    fragments = st.sampled_from([*_FRAGMENTS, *family.markers]) | st.text(max_size=3) | st.just(example)
    text = "".join(data.draw(st.lists(fragments, max_size=12)))
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=8))
    whole = raw(family.make({}), [text])
    assert raw(family.make({}), pieces(text, cuts)) == whole
    if all(isinstance(piece, str) for piece in whole):
        assert "".join(map(str, whole)) == text


def test_text_before_a_call_is_not_held_back() -> None:
    parser = Hermes().parser(TOOLS)
    assert parser.push("I will look") == ["I will look"]
    assert parser.push(" it up <b") == [" it up <b"]
    assert parser.push(" <tool") == []
    assert parser.push("box>") == [" <toolbox>"]


def test_arguments_come_as_the_model_writes_them() -> None:
    parser = Hermes().parser(TOOLS)
    begin = parser.push('<tool_call>\n{"name": "get_weather", "arguments": {"loc')
    assert isinstance(begin[0], ToolCallDelta)
    assert (begin[0].name, begin[0].arguments) == ("get_weather", "")
    assert begin[1:] == [ToolCallDelta(0, arguments='{"loc')]
    assert parser.push('ation": "Pa') == [ToolCallDelta(0, arguments='ation": "Pa')]
    assert parser.push('ris"}}\n</tool') == [ToolCallDelta(0, arguments='ris"}')]
    assert parser.push("_call>") == []
    assert parser.finish() == []


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>\n{"name": "delete_all", "arguments": {}}\n</tool_call>',
        "<tool_call>\nget_time()\n</tool_call>",
        '<tool_call>\n{"name": "get_time", "argu',
        '<tool_call>{"arguments": {}}</tool_call>',
        '<tool_call>\n{"name": "get_time", "arguments": [1]}\n</tool_call>',
        "Write <tool_call> before a call.",
        "<tool_call",
    ],
)
def test_what_only_looks_like_a_call_is_given_back_as_text(text: str) -> None:
    assert read(Hermes(), [text]) == [text]


def test_a_call_after_a_broken_one_is_found() -> None:
    good = '<tool_call>\n{"name": "get_time", "arguments": {}}\n</tool_call>'
    assert read(Hermes(), [f"<tool_call>\n{{{good}"]) == ["<tool_call>\n{", TIME]


def test_a_call_that_breaks_off_keeps_what_came_and_the_rest_is_text() -> None:
    call, rest = raw(Hermes(), ['<tool_call>\n{"name": "get", "arguments": {"ids": [1, oops]}}'])
    assert (call[0], call[1] + str(rest)) == ("get", '{"ids": [1, oops]}}')
    assert call[1].startswith('{"ids": [1, ')


def test_arguments_as_a_json_string_are_unpacked() -> None:
    text = json.dumps({"name": "get_weather", "arguments": json.dumps(PARIS[1])})
    assert read(Hermes(), [f"<tool_call>{text}</tool_call>"]) == [PARIS]


def test_llamas_bare_json_is_a_call_only_at_the_beginning() -> None:
    call = '{"name": "get_time", "parameters": {}}'
    assert read(Llama3(), [call]) == [TIME]
    assert read(Llama3(), [f"For example: {call}"]) == [f"For example: {call}"]


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(value=_JSON, indent=st.sampled_from([None, 1]), ascii_only=st.booleans(), tail=st.sampled_from([" x", "}", ","]))
def test_the_end_of_a_json_value_is_found(value: object, indent: int | None, ascii_only: bool, tail: str) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    scanner = JsonScanner()
    taken = 0
    while taken < len(text + tail) and not scanner.done and scanner.push((text + tail)[taken]):
        taken += 1
    assert (scanner.done, scanner.broken, taken) == (True, False, len(text)) or (
        isinstance(value, int | float) and taken
    )


@given(text=st.text(alphabet='{}[]",:0e-.tru \\n', max_size=20).map(str.strip))
def test_only_json_is_taken_for_json(text: str) -> None:
    scanner = JsonScanner()
    taken = all(scanner.push(char) for char in text)
    scanner.finish()
    try:
        json.loads(text)
    except ValueError:
        assert not (taken and scanner.done)
    else:
        assert taken
        assert scanner.done
