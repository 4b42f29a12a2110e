"""Thinking in each protocol: the starter with a template that opens a thinking block, as reasoning models have one.

The starter knows no closing tag, so that all it says is a thought; what follows a thought is shown on chunks.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from anthropic import Anthropic
from openai import BadRequestError, OpenAI

from hearth import LLM
from hearth.chat.answer import Chunk, Completion, Timings, Usage
from hearth.chat.template import ChatTemplate
from hearth.chat.tools.types import ToolCallDelta
from hearth.server.anthropic.convert import asked
from hearth.server.anthropic.messages import Blocks
from hearth.server.anthropic.schema import CountRequest
from hearth.server.errors import ApiError
from hearth.server.models import Models, ModelSettings
from hearth.server.openai.response_output import Output
from hearth.server.prompts import variables_of_thinking

from .running import Running, running

FRANCE: list[Any] = [{"role": "user", "content": "What is the capital of France?"}]
_SWITCH = "{%- if add_generation_prompt and enable_thinking is not false -%}{{- '<think>\\n' -}}{%- endif -%}"


class ThinkingModels(Models):
    """Models that are opened with a template of the test's."""

    template: str

    def _open_llm(self, *_: Any) -> LLM:
        return LLM("starter", threads=2, max_seqs=4, template=self.template)


@pytest.fixture(scope="module")
def thinker(starter: LLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    path = tmp_path_factory.mktemp("templates") / "thinking.jinja"
    path.write_text(starter.chat_template.source + _SWITCH)
    models = ThinkingModels(["starter"], ModelSettings(threads=2, offline=True))
    models.template = str(path)
    with running(models) as server:
        yield server


@pytest.fixture(scope="module")
def openai(thinker: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{thinker.url}/v1", api_key="any", max_retries=0) as one:
        yield one


@pytest.fixture(scope="module")
def claude(thinker: Running) -> Iterator[Anthropic]:
    with Anthropic(base_url=thinker.url, api_key="any", max_retries=0) as one:
        yield one


def test_a_thought_is_reasoning_content(openai: OpenAI) -> None:
    settings: dict[str, Any] = {"model": "starter", "messages": FRANCE, "max_tokens": 16}
    answer = openai.chat.completions.create(**settings)
    message: Any = answer.choices[0].message
    assert message.reasoning_content
    assert message.content == ""
    probed = openai.chat.completions.create(logprobs=True, **settings).choices[0].logprobs
    assert probed is not None
    assert probed.content == [], "they are the message's tokens"
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens
    deltas: list[Any] = [c.choices[0].delta for c in openai.chat.completions.create(stream=True, **settings)]
    assert "".join(getattr(d, "reasoning_content", None) or "" for d in deltas) == message.reasoning_content
    assert "".join(d.content or "" for d in deltas) == ""


def test_effort_and_template_variables_switch_it(openai: OpenAI, starter: LLM) -> None:
    expected = starter.chat(FRANCE).text
    for off in ({"reasoning_effort": "none"}, {"chat_template_kwargs": {"enable_thinking": False}}):
        answer = openai.chat.completions.create(model="starter", messages=FRANCE, extra_body=off)
        message: Any = answer.choices[0].message
        assert message.content == expected
        assert getattr(message, "reasoning_content", None) is None
    on = openai.chat.completions.create(model="starter", messages=FRANCE, reasoning_effort="high", max_tokens=8)
    assert on.choices[0].message.reasoning_content  # type: ignore[attr-defined]
    with pytest.raises(BadRequestError) as error:
        openai.chat.completions.create(
            model="starter", messages=FRANCE, extra_body={"chat_template_kwargs": {"messages": "x"}}
        )
    assert error.value.param == "chat_template_kwargs.messages"


def test_an_effort_reaches_a_template_that_knows_efforts_and_is_no_error_where_the_model_does_so_anyway() -> None:
    knows, thinks, plain = (
        ChatTemplate(source, special={}) for source in ("{{ reasoning_effort }}", "{{ '<think>' }}", "{{ messages }}")
    )
    body = CountRequest.model_validate(
        {"model": "m", "messages": FRANCE, "output_config": {"effort": "low"}, "thinking": {"type": "enabled"}}
    )
    for template, variables in ((knows, {"reasoning_effort": "low"}), (thinks, None), (plain, None)):
        assert (
            asked(cast("LLM", SimpleNamespace(chat_template=template, sees=False)), body)[1]["template_variables"]
            == variables
        )
    assert variables_of_thinking("low", knows, field="f") == ({"reasoning_effort": "low"}, None)
    assert (
        variables_of_thinking("low", thinks, field="f") == variables_of_thinking("none", plain, field="f") == ({}, None)
    )
    granite = ChatTemplate("{% if thinking %}<think>{% endif %}", special={})
    assert variables_of_thinking("none", granite, field="f") == ({"thinking": False}, None)
    assert variables_of_thinking("high", granite, field="f") == ({"thinking": True}, None)
    assert variables_of_thinking("xhigh", knows, field="f") == ({"reasoning_effort": "high"}, None)
    for effort, template in (("none", thinks), ("none", knows), ("low", plain)):
        with pytest.raises(ApiError, match="cannot switch"):
            variables_of_thinking(effort, template, field="f")


def test_a_thought_is_a_reasoning_item(openai: OpenAI, starter: LLM) -> None:
    answer = openai.responses.create(model="starter", input=FRANCE, max_output_tokens=16)
    item = answer.output[0]
    assert item.type == "reasoning"
    assert item.content
    events = list(openai.responses.create(model="starter", input=FRANCE, max_output_tokens=16, stream=True))
    thought = "".join(e.delta for e in events if e.type == "response.reasoning_text.delta")
    assert thought == item.content[0].text
    off = openai.responses.create(model="starter", input=FRANCE, reasoning={"effort": "none"})
    assert off.output_text == starter.chat(FRANCE).text
    back: Any = [*FRANCE, item.model_dump(exclude_none=True), {"role": "assistant", "content": "Paris."}, *FRANCE]
    assert openai.responses.create(model="starter", input=back, max_output_tokens=4).status == "incomplete"


def test_a_thought_is_a_thinking_block(claude: Anthropic, starter: LLM) -> None:
    on: dict[str, Any] = {"model": "starter", "max_tokens": 16, "messages": FRANCE}
    on["extra_body"] = {"thinking": {"type": "enabled", "budget_tokens": 8}}
    answer = claude.messages.create(**on)
    block = answer.content[0]
    assert block.type == "thinking"
    assert block.thinking
    with claude.messages.stream(**on) as stream:
        pieces = [event.thinking for event in stream if event.type == "thinking"]
        final = stream.get_final_message()
    assert "".join(pieces) == block.thinking
    assert final.content[0].type == "thinking"
    back = [*FRANCE, {"role": "assistant", "content": [block.model_dump()]}, *FRANCE]
    assert claude.messages.create(model="starter", max_tokens=4, messages=back).content
    for off in ({}, {"thinking": {"type": "disabled"}}):
        plain = claude.messages.create(model="starter", max_tokens=64, messages=FRANCE, extra_body=off)
        assert [b.type for b in plain.content] == ["text"], "off unless asked for"
        assert plain.content[0].text == starter.chat(FRANCE).text  # type: ignore[union-attr]


MIXED = (
    Chunk("Hm", "thinking"),
    Chunk("m.", "thinking"),
    Chunk("So"),
    Chunk(": "),
    Chunk("", "tool", ToolCallDelta(0, "call_1", "weather", "")),
    Chunk("", "tool", ToolCallDelta(0, "", "", '{"a":')),
    Chunk("", "tool", ToolCallDelta(0, "", "", "1}")),
    Chunk("", "tool", ToolCallDelta(1, "call_2", "weather", "")),
    Chunk("", "tool", ToolCallDelta(1, "", "", "{}")),
)
DONE = Completion("So: ", "Hmm.", (), "tool_calls", Usage(), Timings())


def test_blocks_follow_each_other() -> None:
    blocks = Blocks()
    events = [event for chunk in MIXED for event in blocks.push(chunk)] + blocks.end()
    opened = [(e["index"], e["content_block"]["type"]) for e in events if e["type"] == "content_block_start"]
    assert opened == [(0, "thinking"), (1, "text"), (2, "tool_use"), (3, "tool_use")]
    open_now: int | None = None
    for event in events:
        match event["type"]:
            case "content_block_start":
                assert open_now is None, "one block at a time"
                open_now = event["index"]
            case "content_block_delta":
                assert event["index"] == open_now
            case "content_block_stop":
                assert event["index"] == open_now
                open_now = None
    assert open_now is None


def test_output_items_follow_each_other() -> None:
    output = Output(lambda logprob: {})
    events = [event for chunk in MIXED for event in output.push(chunk)] + list(output.end(DONE))
    assert [item["type"] for item in output.items] == ["reasoning", "message", "function_call", "function_call"]
    assert [item["status"] for item in output.items] == ["completed"] * 4
    assert output.items[0]["content"][0]["text"] == "Hmm."
    assert output.items[1]["content"][0]["text"] == "So: "
    assert [item["arguments"] for item in output.items[2:]] == ['{"a":1}', "{}"]
    added = [e["output_index"] for e in events if e["type"] == "response.output_item.added"]
    done = [e["output_index"] for e in events if e["type"] == "response.output_item.done"]
    assert added == done == [0, 1, 2, 3]
