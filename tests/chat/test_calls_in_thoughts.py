"""A model that calls without having closed its thinking has called: the call ends it, and may end the answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from hearth.chat.completion import Completion
from hearth.chat.grammar_tokens import has_bit
from hearth.chat.request import Requests
from hearth.chat.tokenizer import Tokenizer as ChatTokenizer
from hearth.engine import TokenEvent

from .samples import make_spec

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]
_TURNS = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}%s<|im_end|>\n{% endfor %}"
_OPENED = "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
_TOOLS = "{% if tools %}{{ tools | tojson }}{% endif %}"
_CALLS = "{% for c in m.tool_calls or [] %}{% set f = c.function %}%s{% endfor %}"


def template(call: str) -> str:
    return _TOOLS + _TURNS.replace("%s", _CALLS.replace("%s", call)) + _OPENED


@dataclass(frozen=True)
class Family:
    """A template that opens the block itself, the call that its models write, whether its tag is a control token."""

    template: str
    call: str
    marker: str
    control: bool = False


_HERMES = template('<tool_call>\n{{ {"name": f.name, "arguments": f.arguments} | tojson }}\n</tool_call>')
_HERMES_CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
FAMILIES = {
    "hermes": Family(_HERMES, _HERMES_CALL, "<tool_call>"),
    "hermes, a control token": Family(_HERMES, _HERMES_CALL, "<tool_call>", control=True),
    "qwen-coder": Family(
        template(
            "<tool_call>\n<function={{ f.name }}>\n{% for k, v in f.arguments | items %}<parameter={{ k }}>\n{{ v }}\n"
            "</parameter>\n{% endfor %}</function>\n</tool_call>"
        ),
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>",
        "<tool_call>",
    ),
    "mistral-named": Family(
        template("[TOOL_CALLS]{{ f.name }}[ARGS]{{ f.arguments | tojson }}"),
        '[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}',
        "[TOOL_CALLS]",
        control=True,
    ),
}


class Model:
    """A vocabulary of bytes and tags, and the requests to a model that has it."""

    def __init__(self, family: Family, *, tags_are_tokens: bool = True, control: tuple[str, ...] = ()) -> None:
        raw = Tokenizer(models.BPE({c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, []))
        raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        raw.decoder = decoders.ByteLevel()
        special = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "[ARGS]", *control]
        special += [family.marker] if family.control else []
        raw.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in special])
        plain = ["<think>", "</think>", "</tool_call>", "tool_call"]
        plain += [] if family.control or control else [family.marker]
        if tags_are_tokens:
            raw.add_tokens([AddedToken(text, normalized=False) for text in plain])
        self.raw = raw
        self.tokenizer = ChatTokenizer(make_spec(raw, chat_template=family.template))
        self.requests = Requests("made", self.tokenizer, published={}, vocab_size=raw.get_vocab_size())

    def answer(self, text: str, **settings: Any) -> tuple[Completion, str]:
        """The answer that a model's output makes, and what of it was not allowed to come; "" where all was."""
        prepared = self.requests.chat([{"role": "user", "content": "Hi"}], {}, tools=TOOLS, **settings)
        constraint, end = prepared.request.constraint, min(self.tokenizer.eos_ids)
        assert constraint is not None
        ids = self.raw.encode(text, add_special_tokens=False).ids
        refused = ""
        for at, token in enumerate([*ids, end]):
            if not has_bit(constraint.mask(), token):
                refused = self.raw.decode(ids[at:], skip_special_tokens=False) or "the end"
                break
            if at < len(ids):
                constraint.accept(token)
        for token in ids:
            prepared.answer.push(TokenEvent(id=0, token=token))
        prepared.answer.push(TokenEvent(id=0, token=end, finish_reason="stop"))
        assert prepared.answer.completion is not None
        return prepared.answer.completion, refused


@pytest.fixture(params=[(name, tokens) for name in FAMILIES for tokens in (True, False)], ids=str)
def family(request: pytest.FixtureRequest) -> tuple[Family, Model]:
    name, tokens = request.param
    return FAMILIES[name], Model(FAMILIES[name], tags_are_tokens=tokens)


def calls(done: Completion) -> list[tuple[str, Any]]:
    return [(call.name, json.loads(call.arguments)) for call in done.tool_calls]


@pytest.mark.parametrize("before", ["I call it.\n", "", "I call it. ", "I call it.", "One.\n\nTwo.\n\n"])
def test_a_call_ends_the_thinking(family: tuple[Family, Model], before: str) -> None:
    kind, model = family
    done, refused = model.answer(before + kind.call)
    assert refused == ""
    assert (done.text, done.thinking, done.finish_reason) == ("", before.strip(), "tool_calls")
    assert calls(done) == [("get_weather", {"city": "Paris"})]


def test_several_calls_do_as_well(family: tuple[Family, Model]) -> None:
    kind, model = family
    between = "" if kind.marker == "[TOOL_CALLS]" else "\n"
    done, refused = model.answer(f"Both.\n{kind.call}{between}{kind.call.replace('Paris', 'Rome')}")
    assert refused == ""
    assert (done.text, done.thinking) == ("", "Both.")
    assert [arguments["city"] for _, arguments in calls(done)] == ["Paris", "Rome"]


def test_a_thought_about_the_tag_is_a_thought(family: tuple[Family, Model]) -> None:
    kind, model = family
    if kind.control:
        pytest.skip("a control token is nothing that one writes about")
    thought = f"I write {kind.marker} tags, or `{kind.marker}`: no, {kind.marker}\nis not needed."
    done, refused = model.answer(f"{thought}\n</think>\n\nHello.")
    assert refused == ""
    assert (done.text, done.thinking, done.tool_calls) == ("Hello.", thought, ())


def test_the_end_is_not_allowed_within_thoughts(family: tuple[Family, Model]) -> None:
    kind, model = family
    for text in ("I think", f"I think of {'a call' if kind.control else kind.marker}"):
        assert model.answer(text)[1] == "the end"


def test_a_call_among_thoughts_follows_the_schema_as_any_other(family: tuple[Family, Model]) -> None:
    kind, model = family
    for broken in (kind.call.replace("get_weather", "get_whether"), kind.call.replace("city", "town")):
        assert model.answer(f"I call it.\n{broken}")[1] not in ("", "the end")


def test_a_call_after_the_closed_block_is_read_as_ever(family: tuple[Family, Model]) -> None:
    kind, model = family
    done, refused = model.answer(f"I think.\n</think>\n\nNow:\n{kind.call}")
    assert refused == ""
    assert (done.text, done.thinking) == ("Now:", "I think.")
    assert calls(done) == [("get_weather", {"city": "Paris"})]


def test_where_nothing_may_be_called_thoughts_are_thoughts(family: tuple[Family, Model]) -> None:
    kind, model = family
    prepared = model.requests.chat([{"role": "user", "content": "Hi"}], {}, tools=TOOLS, tool_choice="none")
    for token in model.raw.encode(f"I call it.\n{kind.call}", add_special_tokens=False).ids:
        prepared.answer.push(TokenEvent(id=0, token=token))
    prepared.answer.cancel()
    assert prepared.answer.completion is not None
    assert prepared.answer.completion.tool_calls == ()
    assert prepared.answer.completion.thinking.startswith("I call it.")


def test_a_required_call_may_come_among_thoughts(family: tuple[Family, Model]) -> None:
    kind, model = family
    done, refused = model.answer(f"I call it.\n{kind.call}", tool_choice="required")
    assert (refused, len(done.tool_calls)) == ("", 1)


def test_a_block_that_a_control_token_and_a_word_open_is_thinking() -> None:
    """As Gemma 4 has it; also before a call that must come."""
    values = """{% for k, v in f.arguments | items %}{{ k }}:<|"|>{{ v }}<|"|>{% endfor %}"""
    turns = template("<|tool_call>call:{{ f.name }}{{ '{' }}" + values + "{{ '}' }}<tool_call|>")
    source = turns.replace("<think>\n", "") + "{# <|channel>thought <channel|> #}"
    control = ("<|tool_call>", "<tool_call|>", '<|"|>', "<|channel>", "<channel|>")
    model = Model(Family(source, "", ""), control=control)
    done, refused = model.answer("<|channel>thought\nHm, hm.\n<channel|>Hello")
    assert (refused, done.thinking, done.text) == ("", "Hm, hm.", "Hello")
    call = '<|tool_call>call:get_weather{city:<|"|>Paris<|"|>}<tool_call|>'
    done, refused = model.answer(f"<|channel>thought\nHm, hm.\n<channel|>{call}", tool_choice="required")
    assert (refused, done.thinking, calls(done)) == ("", "Hm, hm.", [("get_weather", {"city": "Paris"})])
    done, refused = model.answer(f"<|channel>thought\nHm, hm.\n{call}")
    assert (refused, done.thinking, calls(done)) == ("", "Hm, hm.", [("get_weather", {"city": "Paris"})])


_COMMAND = (
    _TOOLS
    + _TURNS.replace(
        "%s",
        '{% for c in m.tool_calls or [] %}<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "{{ c.function.name }}", '
        '"parameters": {{ c.function.arguments | tojson }}}]<|END_ACTION|>{% endfor %}',
    )
    + "{% if add_generation_prompt %}<|im_start|>assistant\n{% if not reasoning %}<|START_THINKING|><|END_THINKING|>"
    "{% endif %}{% endif %}"
)
_COMMAND_TOKENS = ("THINKING", "RESPONSE", "ACTION")


@pytest.mark.parametrize("thinking", [True, False])
def test_a_token_that_stands_before_an_answer_may_come(thinking: bool) -> None:
    """Command writes one before what it says; without it a grammar would drive the model to call."""
    family = Family(_COMMAND, "", "<|START_ACTION|>", control=True)
    tokens = [f"<|{edge}_{name}|>" for name in _COMMAND_TOKENS for edge in ("START", "END")]
    model = Model(family, control=tuple(token for token in tokens if token != family.marker))
    before = "<|START_THINKING|>Hm.<|END_THINKING|>" if thinking else ""
    done, refused = model.answer(f"{before}<|START_RESPONSE|>Hello!", thinking=thinking)
    assert (refused, done.text, done.thinking) == ("", "Hello!", "Hm." if thinking else "")
    call = (
        '<|START_ACTION|>[\n    {"tool_call_id": "0", "tool_name": "get_weather", "parameters": {"city": "Paris"}}\n]'
    )
    done, refused = model.answer(f"{before}{call}<|END_ACTION|>", thinking=thinking)
    assert (refused, calls(done)) == ("", [("get_weather", {"city": "Paris"})])
