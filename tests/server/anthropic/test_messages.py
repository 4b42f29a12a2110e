"""`/v1/messages` through Anthropic's own client, on the real starter model."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from anthropic import Anthropic, AsyncAnthropic, BadRequestError, NotFoundError
from anthropic.types import MessageParam, TextBlock, ToolUseBlock

from hearth import LLM

from ..openai.test_chat import CITY, WEATHER, City
from ..running import Running

FRANCE: list[MessageParam] = [{"role": "user", "content": "What is the capital of France?"}]
TOOL: Any = {"name": "weather", "description": "Weather.", "input_schema": WEATHER["function"]["parameters"]}


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if isinstance(block, TextBlock) or block.type == "text")


def test_the_answer_is_what_the_model_says(anthropic: Anthropic, starter: LLM) -> None:
    expected = starter.chat(list(FRANCE))
    answer = anthropic.messages.create(model="starter", max_tokens=64, messages=FRANCE)
    assert text_of(answer) == expected.text
    assert answer.stop_reason == "end_turn"
    usage = answer.usage
    assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == expected.usage.prompt_tokens
    assert usage.output_tokens == expected.usage.completion_tokens


def test_the_events_of_a_stream_in_their_order(served: Running, starter: LLM) -> None:
    body = {"model": "starter", "max_tokens": 64, "messages": FRANCE, "stream": True}
    names = []
    with served.http.stream("POST", "/v1/messages", json=body) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        names = [line.removeprefix("event: ") for line in answer.iter_lines() if line.startswith("event: ")]
    assert names[:3] == ["message_start", "ping", "content_block_start"]
    assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(names[3:-3]) == {"content_block_delta"}


def test_the_clients_own_accumulator_understands_the_stream(anthropic: Anthropic, starter: LLM) -> None:
    expected = starter.chat(list(FRANCE))
    with anthropic.messages.stream(model="starter", max_tokens=64, messages=FRANCE) as stream:
        texts = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(texts) > 1
    assert "".join(texts) == text_of(final) == expected.text
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens == expected.usage.completion_tokens


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_messages_that_hold_nothing_are_none(served: Running, path: str) -> None:
    nothing = [{"role": "system", "content": []}, {"role": "system", "content": []}]
    answer = served.http.post(path, json={"model": "starter", "max_tokens": 4, "messages": nothing})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert "There are no messages" in answer.json()["error"]["message"]


def test_stop_sequences_and_max_tokens(anthropic: Anthropic) -> None:
    answer = anthropic.messages.create(model="starter", max_tokens=64, messages=FRANCE, stop_sequences=["Paris"])
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "Paris")
    assert "Paris" not in text_of(answer)
    answer = anthropic.messages.create(model="starter", max_tokens=3, messages=FRANCE)
    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 3)


def test_system_blocks_and_turns_of_one_role(anthropic: Anthropic, starter: LLM) -> None:
    answer = anthropic.messages.create(
        model="starter",
        max_tokens=16,
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        messages=[
            {"role": "user", "content": "Hello."},
            {"role": "user", "content": [{"type": "text", "text": "What is the capital of Spain?"}]},
        ],
        metadata={"user_id": "someone"},
        extra_headers={"anthropic-beta": "anything"},
    )
    expected = starter.chat(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello.\nWhat is the capital of Spain?"},
        ],
        max_tokens=16,
    )
    assert text_of(answer) == expected.text


def test_a_required_tool_whole_streamed_and_its_result(anthropic: Anthropic) -> None:
    settings: dict[str, Any] = {
        "model": "starter",
        "max_tokens": 200,
        "tools": [TOOL],
        "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
    }
    answer = anthropic.messages.create(messages=FRANCE, **settings)
    assert answer.stop_reason == "tool_use"
    call = answer.content[0]
    assert isinstance(call, ToolUseBlock)
    assert call.name == "weather"
    assert call.input["city"] in ("Paris", "Rome")
    with anthropic.messages.stream(messages=FRANCE, **settings) as stream:
        pieces = [event.partial_json for event in stream if event.type == "input_json"]
        final = stream.get_final_message()
    assert pieces
    streamed = final.content[0]
    assert isinstance(streamed, ToolUseBlock)
    assert (streamed.name, streamed.input) == (call.name, call.input)
    result: Any = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "Sunny."}]}
    back: list[Any] = [
        *FRANCE,
        {"role": "assistant", "content": [block.model_dump() for block in answer.content]},
        {"role": "user", "content": [result, {"type": "text", "text": "And now?"}]},
    ]
    settings["tool_choice"] = {"type": "none"}
    assert anthropic.messages.create(messages=back, **(settings | {"max_tokens": 4})).stop_reason == "max_tokens"


def test_any_tool(anthropic: Anthropic) -> None:
    answer = anthropic.messages.create(
        model="starter", max_tokens=200, messages=FRANCE, tools=[TOOL], tool_choice={"type": "any"}
    )
    assert {block.type for block in answer.content} == {"tool_use"}


def test_an_answer_follows_its_schema(anthropic: Anthropic) -> None:
    answer = anthropic.messages.create(
        model="starter",
        max_tokens=200,
        messages=FRANCE,
        output_config={"format": {"type": "json_schema", "schema": CITY}},
    )
    City.model_validate_json(text_of(answer), strict=True)


def test_tokens_are_counted_as_they_will_be_used(anthropic: Anthropic) -> None:
    counted = anthropic.messages.count_tokens(model="starter", messages=FRANCE, system="Be brief.", tools=[TOOL])
    answer = anthropic.messages.create(model="starter", messages=FRANCE, system="Be brief.", tools=[TOOL], max_tokens=1)
    assert counted.input_tokens == answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)


def test_a_prompt_that_is_too_long_is_counted_and_then_refused(anthropic: Anthropic) -> None:
    """A client counts to find out whether it must shorten a conversation."""
    long: list[MessageParam] = [{"role": "user", "content": "word " * 20_000}]
    assert anthropic.messages.count_tokens(model="starter", messages=long).input_tokens > 20_000
    with pytest.raises(BadRequestError, match=r"prompt is too long: \d+ tokens > 512 maximum"):
        anthropic.messages.create(model="starter", messages=long, max_tokens=1)


def test_a_conversation_that_ends_with_an_answer_is_counted(anthropic: Anthropic) -> None:
    said: MessageParam = {"role": "assistant", "content": "Paris."}
    both = anthropic.messages.count_tokens(model="starter", messages=[*FRANCE, said]).input_tokens
    assert both > anthropic.messages.count_tokens(model="starter", messages=FRANCE).input_tokens


def test_what_coding_agents_send_to_every_model(anthropic: Anthropic, starter: LLM) -> None:
    """Claude Code: thinking, efforts, caching, edits that clear nothing, long names of tools, a large max_tokens."""
    cached = {"type": "ephemeral", "ttl": "1h", "scope": "global"}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"path": {"type": "string", "description": "A file"}},
        "required": ["path"],
        "additionalProperties": False,
    }
    tool = {"name": "mcp__" + "x" * 100, "description": "Reads.", "input_schema": schema, "cache_control": cached}
    blocks = [{"type": "text", "text": "What is the capital of France?", "cache_control": cached}]
    history = [
        {"role": "user", "content": [{"type": "text", "text": "Hello."}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                {"type": "text", "text": "Hello!", "citations": None},
            ],
        },
    ]
    body: dict[str, Any] = {
        "system": [{"type": "text", "text": "Be brief.", "cache_control": cached}],
        "metadata": {"user_id": "user_" + "0" * 64},
        "tools": [tool],
        "tool_choice": {"type": "none"},
        "thinking": {"type": "enabled", "budget_tokens": 31_999},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high"},
        "temperature": 1,
        "top_p": None,
        "top_k": None,
        "stop_sequences": None,
    }
    answer = anthropic.messages.create(
        model="starter",
        max_tokens=32_000,
        messages=[*history, {"role": "user", "content": blocks}],  # type: ignore[list-item]
        extra_body=body,
        extra_query={"beta": "true"},
        timeout=60,  # else the client insists on a stream
        extra_headers={"anthropic-beta": "interleaved-thinking-2025-05-14,context-management-2025-06-27"},
    )
    assert text_of(answer)
    assert {block.type for block in answer.content} == {"text"}


def test_eight_clients_at_once(served: Running, starter: LLM) -> None:
    async def ask_all() -> list[str]:
        async with AsyncAnthropic(base_url=served.url, api_key="any", max_retries=0) as one:
            answers = await asyncio.gather(
                *(one.messages.create(model="starter", max_tokens=64, messages=FRANCE) for _ in range(8))
            )
            return [text_of(answer) for answer in answers]

    assert set(asyncio.run(ask_all())) == {starter.chat(list(FRANCE)).text}


def test_an_answer_that_has_begun_goes_on(anthropic: Anthropic) -> None:
    whole = anthropic.messages.create(model="starter", max_tokens=30, messages=FRANCE)
    begun: MessageParam = {"role": "assistant", "content": "The capital"}
    rest = anthropic.messages.create(model="starter", max_tokens=30, messages=[*FRANCE, begun])
    assert "The capital" + text_of(rest) == text_of(whole)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("output_config", {"effort": "enormous"}),
        ("container", "c"),
        ("mcp_servers", [{"name": "x", "url": "http://localhost"}]),
        ("temperature", 3),
        ("top_k", -2),
        ("stop", ["a"]),
        ("response_format", {"type": "json_object"}),
        ("n", 2),
        ("tools", [{"type": "web_search_20250305", "name": "web_search"}]),
        ("messages", [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "http://x"}}]}]),
    ],
)
def test_what_is_not_supported_is_named(anthropic: Anthropic, field: str, value: Any) -> None:
    with pytest.raises(BadRequestError) as error:
        anthropic.messages.create(model="starter", max_tokens=2048, messages=FRANCE, extra_body={field: value})
    body: Any = error.value.body
    assert body["type"] == "error"
    assert body["error"]["type"] == "invalid_request_error"
    assert field in body["error"]["message"]


def test_an_unknown_model_is_told_in_the_clients_form(anthropic: Anthropic) -> None:
    with pytest.raises(NotFoundError) as error:
        anthropic.messages.create(model="claude", max_tokens=4, messages=FRANCE)
    assert error.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]
