"""Messages to channels, as gpt-oss writes them (OpenAI's Harmony response format): thoughts are told from what is said,
and only a turn's own end ends an answer.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from hearth.chat.completion import Completion
from hearth.chat.grammar_tokens import has_bit
from hearth.chat.request import Requests
from hearth.chat.tokenizer import Tokenizer as ChatTokenizer
from hearth.engine import TokenEvent

from .samples import make_spec

CONTROL = (
    "<|endoftext|>",
    "<|start|>",
    "<|end|>",
    "<|message|>",
    "<|channel|>",
    "<|constrain|>",
    "<|return|>",
    "<|call|>",
)
TEMPLATE = """{%- if tools -%}{{- '<|start|>developer<|message|>' + tools | tojson + '<|end|>' -}}{%- endif -%}
{%- for m in messages -%}
{%- if m.tool_calls -%}
{%- set f = m.tool_calls[0].function -%}
{%- if m.content and m.thinking -%}{{- raise_exception('one text only') -}}{%- endif -%}
{%- if m.content or m.thinking -%}
{{- '<|start|>assistant<|channel|>analysis<|message|>' + (m.content or m.thinking) + '<|end|>' -}}
{%- endif -%}
{{- '<|start|>assistant to=functions.' + f.name + '<|channel|>commentary json<|message|>' -}}
{{- f.arguments | tojson + '<|call|>' -}}
{%- elif m.role == 'tool' -%}
{{- '<|start|>functions to=assistant<|channel|>commentary<|message|>' + m.content | tojson + '<|end|>' -}}
{%- elif m.role == 'assistant' -%}
{%- if m.thinking and loop.last -%}
{{- '<|start|>assistant<|channel|>analysis<|message|>' + m.thinking + '<|end|>' -}}
{%- endif -%}
{{- '<|start|>assistant<|channel|>final<|message|>' + m.content -}}
{{- '<|return|>' if loop.last and not add_generation_prompt else '<|end|>' -}}
{%- else -%}
{{- '<|start|>' + m.role + '<|message|>' + m.content + '<|end|>' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|start|>assistant{%- endif -%}"""
ANALYSIS = "<|channel|>analysis<|message|>"
FINAL = "<|channel|>final<|message|>"
COMMENTARY = "<|channel|>commentary"
NEXT = "<|end|><|start|>assistant"
CALL = ' to=functions.get_weather <|constrain|>json<|message|>{"city": "Paris"}<|call|>'
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]
SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}


class GptOss:
    """A vocabulary of bytes and Harmony's control tokens, and the requests to a model that has it."""

    def __init__(self) -> None:
        raw = Tokenizer(models.BPE({c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, []))
        raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        raw.decoder = decoders.ByteLevel()
        raw.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in CONTROL])
        self.raw = raw
        ends = (raw.token_to_id("<|endoftext|>"),)  # as a file says that knows the end of a text alone
        self.tokenizer = ChatTokenizer(make_spec(raw, chat_template=TEMPLATE, eos_ids=ends))
        self.requests = Requests("made", self.tokenizer, published={}, vocab_size=raw.get_vocab_size())

    def answer(self, text: str, **settings: Any) -> tuple[Completion, str]:
        """The answer that a model's output makes, and what of it was not allowed to come; "" where all was."""
        prepared = self.requests.chat([{"role": "user", "content": "Hi"}], {}, **settings)
        ids = self.raw.encode(text, add_special_tokens=False).ids
        ends, constraint, refused = prepared.request.params.stop_token_ids, prepared.request.constraint, ""
        for at, token in enumerate(ids):
            if constraint is not None and not has_bit(constraint.mask(), token):
                refused = self.raw.decode(ids[at:], skip_special_tokens=False)
                break
            if token in ends:
                prepared.answer.push(TokenEvent(id=0, token=token, finish_reason="stop"))
                break
            if constraint is not None:
                constraint.accept(token)
            prepared.answer.push(TokenEvent(id=0, token=token))
        assert prepared.answer.completion is not None or refused
        return prepared.answer.completion, refused  # type: ignore[return-value]


@pytest.fixture(scope="module")
def model() -> GptOss:
    return GptOss()


def test_thoughts_are_told_from_what_is_said(model: GptOss) -> None:
    done, _ = model.answer(f"{ANALYSIS}They greet me.<|end|><|start|>assistant{FINAL}Hello!<|return|>more")
    assert (done.thinking, done.text, done.finish_reason) == ("They greet me.", "Hello!", "stop")


def test_an_answer_without_thoughts(model: GptOss) -> None:
    done, _ = model.answer(f"{FINAL}Hello!<|return|>")
    assert (done.thinking, done.text) == ("", "Hello!")


def test_a_message_to_another_channel_is_no_answer(model: GptOss) -> None:
    said = f"{ANALYSIS}Hm.<|end|><|start|>assistant<|channel|>commentary<|message|>I look.<|end|><|start|>assistant"
    done, _ = model.answer(f"{said}{FINAL}It is blue.<|return|>")
    assert (done.text, "I look." in done.thinking) == ("It is blue.", True)


def test_a_schema_holds_for_what_is_said(model: GptOss) -> None:
    how = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}}
    thought = f"{ANALYSIS}An object.<|end|><|start|>assistant{FINAL}"
    done, refused = model.answer(thought + '{"ok": true}<|return|>', **how)
    assert (refused, json.loads(done.text), done.thinking) == ("", {"ok": True}, "An object.")
    assert model.answer(thought + "Yes.<|return|>", **how)[1] == "Yes.<|return|>"


def test_an_earlier_answer_is_a_message_to_the_user(model: GptOss) -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
    prepared = model.requests.chat([*messages, {"role": "user", "content": "Well?"}], {})
    prompt = model.raw.decode(list(prepared.request.prompt_ids), skip_special_tokens=False)
    assert f"<|start|>assistant{FINAL}Hello!<|end|>" in prompt
    assert prompt.endswith("<|start|>user<|message|>Well?<|end|><|start|>assistant")


def _calls(done: Completion) -> list[tuple[str, Any]]:
    return [(call.name, json.loads(call.arguments)) for call in done.tool_calls]


_PARIS = ("get_weather", {"city": "Paris"})
_BY_ROLE = ' to=functions.get_weather<|channel|>commentary json<|message|>{"city": "Paris"}<|call|>'


@pytest.mark.parametrize("choice", ["auto", "required"])
@pytest.mark.parametrize(
    ("said", "thought", "text"),
    [
        (f"{ANALYSIS}I call.{NEXT}{COMMENTARY}{CALL}", "I call.", ""),
        (f"{ANALYSIS}I call.{NEXT}{_BY_ROLE}", "I call.", ""),
        (f"{ANALYSIS}I call.{NEXT}{ANALYSIS}Now.{NEXT}{COMMENTARY}{CALL}", "I call.\n\nNow.", ""),
        (f"{ANALYSIS}Hm.{NEXT}{COMMENTARY}<|message|>I look.{NEXT}{COMMENTARY}{CALL}", "Hm.", "I look."),
        (f"{COMMENTARY}<|message|>I look.{NEXT}{_BY_ROLE}", "", "I look."),
        (f"{COMMENTARY}{CALL}", "", ""),
        (_BY_ROLE, "", ""),
    ],
)
def test_a_call_is_a_message_to_a_recipient(model: GptOss, choice: str, said: str, thought: str, text: str) -> None:
    done, refused = model.answer(said, tools=TOOLS, tool_choice=choice)
    assert refused == ""
    assert _calls(done) == [_PARIS]
    assert (done.thinking, done.text, done.finish_reason) == (thought, text, "tool_calls")


def test_what_is_said_before_an_answer_stands_before_it(model: GptOss) -> None:
    said = f"{ANALYSIS}Hm.{NEXT}{COMMENTARY}<|message|>I think.{NEXT}{FINAL}It is blue.<|return|>"
    done, refused = model.answer(said, tools=TOOLS)
    assert (refused, done.thinking, done.text) == ("", "Hm.", "I think.\n\nIt is blue.")


@pytest.mark.parametrize(
    "said", [f"{ANALYSIS}Hm.{NEXT}{FINAL}Hello!<|return|>", f"{FINAL}Hello!<|return|>"], ids=["thought", "at once"]
)
def test_with_tools_a_model_may_just_answer_unless_it_must_call(model: GptOss, said: str) -> None:
    done, refused = model.answer(said, tools=TOOLS)
    assert (refused, done.text, done.finish_reason) == ("", "Hello!", "stop")
    assert model.answer(said, tools=TOOLS, tool_choice="required")[1]


def test_unknown_recipients_and_broken_arguments_are_not_allowed(model: GptOss) -> None:
    for good, bad in (("get_weather", "get_whether"), ("city", "town"), ('"Paris"', "3")):
        for said in (f"{ANALYSIS}I call.{NEXT}{COMMENTARY}{CALL}", f"{COMMENTARY}{CALL}", _BY_ROLE):
            _, refused = model.answer(said.replace(good, bad), tools=TOOLS, tool_choice="required")
            assert refused


def test_a_call_that_nobody_reads_is_no_answer(model: GptOss) -> None:
    done, _ = model.answer(f"{ANALYSIS}Hm.{NEXT}{COMMENTARY}{CALL}")
    assert (done.text, done.tool_calls) == ("", ())


def test_a_form_or_a_call(model: GptOss) -> None:
    how = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}, "tools": TOOLS}
    done, refused = model.answer(f'{ANALYSIS}Hm.{NEXT}{FINAL}{{"ok": true}}<|return|>', **how)
    assert (refused, json.loads(done.text)) == ("", {"ok": True})
    done, refused = model.answer(f"{ANALYSIS}Hm.{NEXT}{COMMENTARY}{CALL}", **how)
    assert (refused, _calls(done), done.text) == ("", [_PARIS], "")
    done, refused = model.answer(f'{FINAL}{{"ok": false}}<|return|>', **how)
    assert (refused, json.loads(done.text), done.thinking) == ("", {"ok": False}, "")


def test_an_earlier_call_is_told_with_what_was_thought_and_said(model: GptOss) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
    turn = {"role": "assistant", "content": "I look.", "reasoning_content": "They ask.", "tool_calls": [call]}
    talk = [{"role": "user", "content": "Hi"}, turn, {"role": "tool", "tool_call_id": "a", "content": "20 degrees"}]
    prepared = model.requests.chat(talk, {}, tools=TOOLS)
    prompt = model.raw.decode(list(prepared.request.prompt_ids), skip_special_tokens=False)
    assert f"<|start|>assistant{ANALYSIS}They ask.\n\nI look.{NEXT}{_BY_ROLE}" in prompt
    assert "20 degrees" in prompt
