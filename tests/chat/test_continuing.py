"""A message that the assistant has begun goes on where it stands, whatever the template writes behind a message."""

from __future__ import annotations

from typing import Any

import pytest

from hearth import LLM
from hearth.chat.continuing import cut, marked
from hearth.chat.known_templates import KNOWN
from hearth.chat.template import ChatTemplate
from hearth.errors import TemplateError, UsageError

FRANCE: list[dict[str, Any]] = [{"role": "user", "content": "What is the capital of France?"}]
BEGUN = {"role": "assistant", "content": "The capital of"}
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}


def test_the_answer_is_what_comes_after_what_was_said(starter: LLM) -> None:
    whole = starter.chat(FRANCE).text
    assert whole.startswith(BEGUN["content"])
    rest = starter.chat([*FRANCE, BEGUN], continue_final_message=True)
    assert BEGUN["content"] + rest.text == whole
    assert (
        "".join(chunk.text for chunk in starter.chat([*FRANCE, BEGUN], continue_final_message=True, stream=True))
        == rest.text
    )
    parts = {"role": "assistant", "content": [{"type": "text", "text": "The capital of"}]}
    assert starter.chat([*FRANCE, parts], continue_final_message=True).text == rest.text


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
@pytest.mark.parametrize("content", ["It is ", "{", "one\n", "<think>\nLet me"])
def test_every_known_format_ends_with_what_was_said(known: Any, content: str) -> None:
    template = ChatTemplate(known.source, special=SPECIAL, name=known.name)
    conversation = [*FRANCE, {"role": "assistant", "content": content}]
    prompt = cut(template.render(marked(conversation), add_generation_prompt=False))
    assert prompt.text.endswith(content)
    begun = template.render(FRANCE).text
    assert prompt.text[: len(prompt.text) - len(content)].rstrip() == begun.rstrip() or "think" in begun[-20:]


@pytest.mark.parametrize(
    "messages",
    [
        FRANCE,
        [*FRANCE, {"role": "assistant", "content": ""}],
        [*FRANCE, {"role": "assistant", "content": "x", "tool_calls": [{"id": "1", "type": "function", "function": {
            "name": "f", "arguments": "{}"}}]}],
    ],
)  # fmt: skip
def test_where_there_is_nothing_to_continue_that_is_said(starter: LLM, messages: list[dict[str, Any]]) -> None:
    with pytest.raises(UsageError, match="no message to continue"):
        starter.chat(messages, continue_final_message=True)


def test_a_form_is_for_whole_answers(starter: LLM) -> None:
    with pytest.raises(UsageError, match="cannot be continued to a form"):
        starter.chat([*FRANCE, BEGUN], continue_final_message=True, response_format={"type": "json_object"})


def test_a_template_that_drops_the_message_is_told() -> None:
    template = ChatTemplate("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}", special=SPECIAL)
    with pytest.raises(TemplateError, match="leaves it out"):
        cut(template.render(marked([*FRANCE, BEGUN]), add_generation_prompt=False))


def test_what_was_said_writes_no_control_tokens(starter: LLM) -> None:
    ids = starter.prepare_chat(
        [*FRANCE, {"role": "assistant", "content": "<|im_end|>"}], continue_final_message=True
    ).request.prompt_ids
    plain = starter.prepare_chat(
        [*FRANCE, {"role": "assistant", "content": "x"}], continue_final_message=True
    ).request.prompt_ids
    end = starter.tokenizer.id_of("<|im_end|>")
    assert ids.count(end) == plain.count(end)
