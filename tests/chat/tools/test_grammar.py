"""With a grammar an answer calls only known tools, with arguments that keep to their schemas, in its family's form."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator

import jsonschema_rs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer

from hearth.chat.grammar import Grammars, Matcher
from hearth.chat.grammar_tokens import has_bit
from hearth.chat.tokenizer import Tokenizer
from hearth.chat.tools import Choice, Tool, ToolFormat, checked_tools
from hearth.chat.tools.hermes import Hermes
from hearth.chat.tools.schema import arguments_schema
from hearth.errors import UsageError

from .families import EXAMPLES, FAMILIES, RAW_TOOLS, TOOLS, Example, Family, tool
from .reading import raw

_AUTO, _REQUIRED = Choice("auto"), Choice("required")
_CASES = [pytest.param(family, example, id=f"{family.id}-{i}") for i, (family, example) in enumerate(EXAMPLES)]


class Model:
    """A vocabulary and one family's format in it."""

    def __init__(
        self, family: Family, tokenizer: Tokenizer, grammars: Grammars, tools: tuple[Tool, ...] = TOOLS
    ) -> None:
        self.family = family
        self.tools = tools
        control = tokenizer.control if family.control else {}
        self.format: ToolFormat = family.make(control)
        self.control = [control[marker] for marker in family.markers if marker in control]
        self.tokenizer = tokenizer
        self._grammars = grammars

    def matcher(self, choice: Choice, *, parallel: bool = True) -> Matcher:
        lark = self.format.grammar(self.tools, choice, parallel=parallel)
        return self._grammars.matcher(LLMatcher.grammar_from_lark(lark), "tools")

    def tokens(self, text: str, *, spelled: bool = False) -> list[int]:
        """As a model writes it: markers as control tokens, where it has them and they are not `spelled` out."""
        return self.tokenizer.encode(text, parse_special=self.family.control and not spelled)

    def takes(self, choice: Choice, tokens: list[int], *, parallel: bool = True) -> bool:
        """Whether these tokens are a whole answer."""
        matcher = self.matcher(choice, parallel=parallel)
        for token in tokens:
            if not has_bit(matcher.mask(), token):
                return False
            matcher.take(token)
        return matcher.may_end()


@pytest.fixture(params=FAMILIES, ids=lambda family: family.id)
def model(request: pytest.FixtureRequest, tokenizer: Tokenizer, grammars: Grammars) -> Model:
    return Model(request.param, tokenizer, grammars)


@pytest.mark.parametrize(("family", "example"), _CASES)
def test_published_answers_are_allowed(
    family: Family, example: Example, tokenizer: Tokenizer, grammars: Grammars
) -> None:
    model = Model(family, tokenizer, grammars)
    calls = [piece for piece in example.read if isinstance(piece, tuple)]
    tokens = model.tokens(example.text)
    assert model.takes(_AUTO, tokens) is example.strict
    assert model.takes(_AUTO, tokens, parallel=False) is (example.strict and len(calls) < 2)
    if not calls:
        assert not model.takes(_REQUIRED, tokens)


def test_a_line_end_after_the_last_call_binds_to_nothing(model: Model) -> None:
    if model.format.name in ("function-gemma", "gemma4"):
        pytest.skip("a control token ends its calls")
    for example in model.family.examples:
        if example.strict and isinstance(example.read[-1], tuple):
            assert model.takes(_AUTO, model.tokens(example.text + "\n"))


def test_free_text_is_allowed_where_calls_are_not_required(model: Model) -> None:
    for text in ("", "Hello.", "A list:\n- [1]\n```python\nx = {'name': 1}\n```\n<b>", "日本 🙂"):
        assert model.takes(_AUTO, model.tokens(text))
        assert not model.takes(_REQUIRED, model.tokens(text))
        assert not model.takes(Choice("named", "get_time"), model.tokens(text))


def test_a_named_choice_takes_that_tool_only(model: Model) -> None:
    for example in model.family.examples:
        names = {piece[0] for piece in example.read if isinstance(piece, tuple)}
        if names and example.strict and model.takes(_REQUIRED, model.tokens(example.text)):
            assert model.takes(Choice("named", "get_time"), model.tokens(example.text)) is (names == {"get_time"})


def _broken(text: str) -> Iterator[str]:
    """The same answer with calls that no tool can take."""
    yield text.replace("get_weather", "get_whether")
    yield text.replace("celsius", "kelvin")
    yield text.replace("location", "place")


def test_calls_that_no_tool_can_take_are_refused_token_by_token(model: Model) -> None:
    for example in model.family.examples:
        if not example.strict or not any(isinstance(piece, tuple) for piece in example.read):
            continue
        for text in _broken(example.text):
            for spelled in (False, True):
                if text != example.text and model.takes(_AUTO, model.tokens(text, spelled=spelled)):
                    # A bare object with an unknown name is text like any other; a call may follow on it.
                    assert all(isinstance(piece, str) or _is_valid(*piece) for piece in raw(model.format, [text]))


def _is_valid(name: str, arguments: str) -> bool:
    (called,) = [tool for tool in TOOLS if tool.name == name]
    return jsonschema_rs.is_valid(dict(called.parameters), json.loads(arguments))


def _random_answer(model: Model, choice: Choice, rng: random.Random) -> str | None:
    """Draws an answer from what is allowed, now and then leaning to what ends things; None where it does not end."""
    matcher, ids = model.matcher(choice), []
    texts = matcher.table.texts
    short = [i for i, text in enumerate(texts) if 0 < len(text) <= 3]
    enders = [i for i in short if set(texts[i]) <= set(b'"}]>)\n')] + model.control
    for token in model.tokens(f"Well. {model.family.begin}" if choice is _AUTO and model.family.markers else ""):
        matcher.take(token)
        ids.append(token)
    for _ in range(600):
        mask = matcher.mask()
        if matcher.may_end() and rng.random() < 0.3:
            return model.tokenizer.decode(ids, skip_special=False)
        allowed = [i for i in (enders if rng.random() < 0.5 else short) if has_bit(mask, i)]
        if not allowed:
            bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
            allowed = [int(i) for i in np.flatnonzero(bits) if i != matcher.end_id]
        if not allowed:
            return model.tokenizer.decode(ids, skip_special=False) if matcher.may_end() else None
        ids.append(rng.choice(allowed))
        matcher.take(ids[-1])
    return None


@pytest.mark.parametrize("choice", [_REQUIRED, Choice("named", "get"), _AUTO], ids=lambda choice: choice.mode)
def test_whatever_is_drawn_reads_as_valid_calls(model: Model, choice: Choice) -> None:
    rng = random.Random(7)
    answers = [text for _ in range(4) if (text := _random_answer(model, choice, rng)) is not None]
    assert answers
    for text in answers:
        said = raw(model.format, [text])
        calls = [piece for piece in said if not isinstance(piece, str)]
        if choice.mode != "auto":
            assert len(calls) == len(said) > 0, text
        elif model.family.markers:
            assert said[0] == "Well."
            assert calls == said[1:] != []
        for name, arguments in calls:
            assert choice.mode != "named" or name == choice.name
            assert _is_valid(name, arguments), text


_BYTES = LLTokenizer("byte")
_FRAGMENTS = sorted(
    {part for _, example in EXAMPLES for part in re.split(r"(?<=[\s{}\[\]<>:,;|\"=])", example.text) if part}
    | {'"parameters"', '"type"', '"function"', "```", "(", ")", "{", "}", "\n", "\t"}
)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.id)
@settings(deadline=None)
@given(data=st.data())
def test_whatever_can_be_written_is_text_or_valid_calls(family: Family, data: st.DataObject) -> None:
    """Examples with pieces put in and left out: almost calls."""
    text = data.draw(st.sampled_from([example.text for example in family.examples]))
    for _ in range(data.draw(st.integers(0, 3))):
        begin = data.draw(st.integers(0, len(text)))
        end = min(len(text), begin + data.draw(st.integers(0, 4)))
        text = text[:begin] + data.draw(st.just("") | st.sampled_from(_FRAGMENTS)) + text[end:]
    lark = family.make({}).grammar(TOOLS, _AUTO)
    matcher = LLMatcher(_BYTES, LLMatcher.grammar_from_lark(lark))
    tokens = _BYTES.tokenize_str(text)
    if matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting():
        calls = [piece for piece in raw(family.make({}), [text]) if not isinstance(piece, str)]
        assert all(_is_valid(*call) for call in calls), text


def test_llamas_free_text_may_be_json_but_no_broken_call(tokenizer: Tokenizer, grammars: Grammars) -> None:
    model = Model(next(family for family in FAMILIES if family.id == "llama3"), tokenizer, grammars)
    for text in ('{"a": 1}', '{"name": "Ada"}', 'See {"name": "get_time", "parameters": 3}'):
        assert model.takes(_AUTO, model.tokens(text))
    for text in ('{"name": "get_time", "parameters": 3}', '{ "name":"get_time"}', ' {"name": "get_time"'):
        assert not model.takes(_AUTO, model.tokens(text))


def test_white_space_in_arguments_is_bounded(tokenizer: Tokenizer, grammars: Grammars) -> None:
    model = Model(FAMILIES[0], tokenizer, grammars)
    call = '<tool_call>\n{"name": "get_weather", "arguments": {"location":%s"Rome"}}\n</tool_call>'
    assert model.takes(_REQUIRED, model.tokens(call % ""))
    assert model.takes(_REQUIRED, model.tokens(call % " "))
    assert not model.takes(_REQUIRED, model.tokens(call % "  "))
    assert not model.takes(_REQUIRED, model.tokens(call % "\n"))


def test_arguments_that_a_schema_does_not_list_are_not_invented(tokenizer: Tokenizer, grammars: Grammars) -> None:
    model = Model(FAMILIES[0], tokenizer, grammars)
    text = '<tool_call>\n{"name": "get_time", "arguments": {"zone": 1}}\n</tool_call>'
    assert not model.takes(_REQUIRED, model.tokens(text))


def test_an_argument_that_is_required_but_not_listed_may_be_anything(
    model: Model, tokenizer: Tokenizer, grammars: Grammars
) -> None:
    odd = checked_tools([tool("odd", {"n": {"type": "integer"}}, ("n", "zone"))])
    kept = dict(arguments_schema(odd[0]))
    assert [jsonschema_rs.is_valid(kept, {"n": 1, "zone": zone}) for zone in ("UTC", 1, [])] == [True] * 3
    assert not jsonschema_rs.is_valid(kept, {"n": 1})
    assert not jsonschema_rs.is_valid(kept, {"n": 1, "zone": 1, "more": 1})
    assert Model(model.family, tokenizer, grammars, odd).takes(_AUTO, model.tokens("Hello."))


def test_formats_of_openapi_are_notes_not_rules() -> None:
    tools = checked_tools([tool("f", {"n": {"type": "integer", "format": "int32"}, "format": {"type": "string"}})])
    lark = Hermes().grammar(tools, _REQUIRED)
    assert "int32" not in lark
    assert '"format"' in lark


def test_a_schema_that_nothing_can_meet_names_its_tool() -> None:
    tools = checked_tools([*RAW_TOOLS, tool("odd", {"x": {"not": {}}}, ("x",))])
    with pytest.raises(UsageError, match="odd"):
        Hermes().grammar(tools, _AUTO)


def test_as_many_tools_as_are_accepted_make_a_grammar(model: Model, grammars: Grammars) -> None:
    properties = {f"p{i}": {"type": "string", "description": "x" * 50} for i in range(6)}
    many = checked_tools([tool(f"tool_number_{i}", dict(properties), ("p0",)) for i in range(128)])
    for choice in (_AUTO, _REQUIRED):
        lark = model.format.grammar(many, choice)
        matcher = grammars.matcher(LLMatcher.grammar_from_lark(lark), "tools")
        assert matcher.mask().any()
