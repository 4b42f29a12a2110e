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

CONTROL = ("<|endoftext|>", "<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>")
TEMPLATE = """{%- for m in messages -%}
{%- if m.role == 'assistant' -%}
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
