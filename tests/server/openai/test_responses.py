"""`/v1/responses` through OpenAI's own client, on the real starter model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from openai import BadRequestError, OpenAI
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage

from hearth import LLM
from hearth.chat.answer import Chunk
from hearth.server.answers import Answers, Piece
from hearth.server.models import OpenModel
from hearth.server.openai.response_tools import Toolbox
from hearth.server.openai.responses import Frame, events
from hearth.server.openai.responses_schema import Response, ResponseRequest

from .test_chat import CITY, WEATHER, City

QUESTION = "What is the capital of France?"
MESSAGES = [{"role": "user", "content": QUESTION}]
TOOL: dict[str, Any] = {"type": "function", "strict": True, **WEATHER["function"]}


def test_the_answer_is_what_the_model_says(client: OpenAI, starter: LLM) -> None:
    expected = starter.chat(MESSAGES)
    answer = client.responses.create(model="starter", input=QUESTION)
    assert answer.output_text == expected.text
    assert answer.status == "completed"
    assert answer.usage is not None
    assert answer.usage.input_tokens == expected.usage.prompt_tokens
    assert answer.usage.output_tokens == expected.usage.completion_tokens


def test_tokens_of_an_input_are_counted_as_they_will_be_used_and_beyond_the_context(client: OpenAI) -> None:
    shaped: dict[str, Any] = {"model": "starter", "input": QUESTION, "instructions": "Be brief.", "tools": [TOOL]}
    answer = client.responses.create(**shaped, max_output_tokens=1)
    assert answer.usage is not None
    assert client.responses.input_tokens.count(**shaped).input_tokens == answer.usage.input_tokens
    assert client.responses.input_tokens.count(model="starter", input="word " * 5000).input_tokens > 5000


def test_the_events_of_a_stream_in_their_order(client: OpenAI, starter: LLM) -> None:
    events = list(client.responses.create(model="starter", input=QUESTION, stream=True))
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert set(kinds[4:-4]) == {"response.output_text.delta"}
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == starter.chat(MESSAGES).text


def test_the_clients_own_accumulator_understands_the_stream(client: OpenAI, starter: LLM) -> None:
    with client.responses.stream(model="starter", input=QUESTION) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    assert final.output_text == starter.chat(MESSAGES).text


def test_an_answer_that_is_cut_says_so(client: OpenAI) -> None:
    answer = client.responses.create(model="starter", input=QUESTION, max_output_tokens=3)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"
    events = list(client.responses.create(model="starter", input=QUESTION, max_output_tokens=3, stream=True))
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.output_text == answer.output_text


def test_instructions_and_items(client: OpenAI, starter: LLM) -> None:
    items: Any = [
        {"role": "user", "content": [{"type": "input_text", "text": "What is the capital of Spain?"}]},
        {
            "type": "message",
            "role": "assistant",
            "id": "msg_1",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Madrid.", "annotations": []}],
        },
        {"role": "user", "content": "And of Italy?"},
    ]
    answer = client.responses.create(model="starter", input=items, instructions="Be brief.", store=False)
    expected = starter.chat(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is the capital of Spain?"},
            {"role": "assistant", "content": "Madrid."},
            {"role": "user", "content": "And of Italy?"},
        ]
    )
    assert answer.output_text == expected.text
    assert answer.usage is not None
    assert answer.usage.input_tokens == expected.usage.prompt_tokens


def test_an_earlier_answer_can_be_sent_back_as_it_came(client: OpenAI) -> None:
    first = client.responses.create(model="starter", input=QUESTION)
    items: Any = [{"role": "user", "content": QUESTION}, *(item.model_dump() for item in first.output)]
    answer = client.responses.create(model="starter", input=[*items, {"role": "user", "content": "And of Italy?"}])
    assert answer.status == "completed"


def test_a_required_tool_streamed_and_its_result(client: OpenAI) -> None:
    settings: dict[str, Any] = {
        "model": "starter",
        "tools": [TOOL],
        "tool_choice": {"type": "function", "name": "weather"},
        "parallel_tool_calls": False,
        "max_output_tokens": 200,
    }
    whole = client.responses.create(input=QUESTION, **settings)
    call = whole.output[0]
    assert isinstance(call, ResponseFunctionToolCall)
    assert json.loads(call.arguments)["city"] in ("Paris", "Rome")
    events = list(client.responses.create(input=QUESTION, stream=True, **settings))
    kinds = list(dict.fromkeys(event.type for event in events))
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    deltas = "".join(e.delta for e in events if e.type == "response.function_call_arguments.delta")
    assert deltas == call.arguments
    back: Any = [
        {"role": "user", "content": QUESTION},
        call.model_dump(),
        {"type": "function_call_output", "call_id": call.call_id, "output": "Sunny."},
    ]
    answer = client.responses.create(model="starter", input=back, tools=[TOOL], tool_choice="none", max_output_tokens=4)  # type: ignore[list-item]
    assert isinstance(answer.output[0], ResponseOutputMessage)


def test_an_answer_follows_its_schema(client: OpenAI) -> None:
    wanted: Any = {"format": {"type": "json_schema", "name": "city", "schema": CITY, "strict": True}}
    answer = client.responses.create(
        model="starter", input=QUESTION, text=wanted, max_output_tokens=200, temperature=1.0, extra_body={"seed": 3}
    )
    City.model_validate_json(answer.output_text, strict=True)


def test_logprobs(client: OpenAI, starter: LLM) -> None:
    answer = client.responses.create(
        model="starter", input=QUESTION, include=["message.output_text.logprobs"], top_logprobs=1
    )
    message = answer.output[0]
    assert isinstance(message, ResponseOutputMessage)
    part = message.content[0]
    assert part.type == "output_text"
    expected = starter.chat(MESSAGES, logprobs=1).logprobs
    assert part.logprobs is not None
    assert expected is not None
    assert [t.token for t in part.logprobs] == [t.text for t in expected]


def test_what_asks_for_nothing_is_accepted(client: OpenAI, starter: LLM) -> None:
    answer = client.responses.create(
        model="starter",
        input=[{"role": "user", "content": [{"type": "input_text", "text": QUESTION}]}],
        include=["reasoning.encrypted_content", "web_search_call.action.sources"],
        truncation="disabled",
        text={"verbosity": "medium"},
        prompt_cache_key="k",
        safety_identifier="s",
        background=False,
        store=False,
        tools=[],
        tool_choice="auto",
        parallel_tool_calls=True,
        reasoning={"effort": "none", "summary": "auto"},
    )
    assert answer.output_text == starter.chat(MESSAGES).text
    message = answer.output[0]
    assert isinstance(message, ResponseOutputMessage)
    assert message.content[0].logprobs == []  # type: ignore[union-attr]
    nothing: dict[str, Any] = dict.fromkeys(set(ResponseRequest.model_fields) - {"model", "input"})
    again = client.responses.create(model="starter", input=QUESTION, extra_body=nothing)
    assert again.output_text == answer.output_text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("previous_response_id", "resp_1"),
        ("conversation", "conv_1"),
        ("background", True),
        ("prompt", {"id": "p"}),
        ("reasoning", {"effort": "low"}),
        ("tool_choice", {"type": "web_search"}),
        ("messages", [{"role": "user", "content": "x"}]),
        ("response_format", {"type": "json_object"}),
        ("n", 2),
        ("input", [{"type": "item_reference", "id": "x"}]),
        ("input", [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]),
    ],
)
def test_what_is_not_supported_is_named(client: OpenAI, field: str, value: Any) -> None:
    with pytest.raises(BadRequestError) as error:
        client.responses.create(model="starter", input=QUESTION, extra_body={field: value})
    assert str(error.value.param).startswith(field)


def test_a_failure_in_the_middle_is_the_last_event(starter: LLM) -> None:
    class Failing(Answers):
        async def pieces(self) -> AsyncIterator[Piece]:
            yield Piece(0, [Chunk("The capital")])
            raise RuntimeError("a secret of the prompt")

    async def read() -> list[dict[str, Any]]:
        nothing: Any = None
        model = OpenModel("starter", starter, nothing, 0)
        answers = Failing(model, [starter.prepare_chat(MESSAGES)], nothing, AsyncExitStack())
        body = ResponseRequest(model="starter", input=QUESTION)
        return [event async for event in events(answers, Frame(body, answers, Toolbox((), None)), "/v1/responses")]

    told = asyncio.run(read())
    assert told[-1]["type"] == "response.failed"
    failed = Response.model_validate(told[-1]["response"])
    assert failed.status == "failed"
    assert failed.error is not None
    assert "secret" not in failed.error.message
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
