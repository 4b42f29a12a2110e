"""`/v1/chat/completions` through OpenAI's own client, on the real starter model."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

import pytest
from openai import APIStatusError, AsyncOpenAI, BadRequestError, NotFoundError, OpenAI, pydantic_function_tool
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

from hearth import LLM
from hearth.server.openai.chat_schema import ChatRequest

from ..running import Running

FRANCE: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the capital of France?"}]
CREATIVE: dict[str, Any] = {"temperature": 1.5, "max_tokens": 24, "extra_body": {"ignore_eos": True}}
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Paris", "Rome"]}, "days": {"enum": [1, 2]}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}


class City(BaseModel):
    """What a structured answer is parsed into."""

    name: str
    big: bool


CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "big": {"type": "boolean"}},
    "required": ["name", "big"],
    "additionalProperties": False,
}


def test_the_answer_is_what_the_model_says(client: OpenAI, starter: LLM) -> None:
    expected = starter.chat(FRANCE)
    answer = client.chat.completions.create(model="starter", messages=FRANCE)
    assert answer.choices[0].message.content == expected.text
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "starter"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == expected.usage.prompt_tokens
    assert answer.usage.completion_tokens == expected.usage.completion_tokens
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_brings_the_same_text_and_ends_with_its_usage(client: OpenAI) -> None:
    whole = client.chat.completions.create(model="starter", messages=FRANCE)
    chunks = list(
        client.chat.completions.create(
            model="starter", messages=FRANCE, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert [c.choices[0].finish_reason for c in chunks[:-1]][-1] == "stop"
    assert len({c.id for c in chunks}) == 1
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert whole.usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    plain = list(client.chat.completions.create(model="starter", messages=FRANCE, stream=True))
    assert all(c.choices and c.usage is None for c in plain), "nobody asked for usage"


def test_the_clients_own_accumulator_understands_the_stream(client: OpenAI, starter: LLM) -> None:
    with client.chat.completions.stream(model="starter", messages=FRANCE) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert kinds.count("content.delta") > 1
    assert kinds[-1] == "content.done"
    assert final.choices[0].message.content == starter.chat(FRANCE).text


def test_same_seed_same_text(client: OpenAI, starter: LLM) -> None:
    def ask(seed: int) -> str | None:
        answer = client.chat.completions.create(model="starter", messages=FRANCE, seed=seed, **CREATIVE)
        return answer.choices[0].message.content

    assert ask(7) == ask(7) != ask(8)
    assert ask(7) == starter.chat(FRANCE, seed=7, temperature=1.5, max_tokens=24, ignore_eos=True).text


def test_several_answers_are_different_and_interleave_in_a_stream(client: OpenAI) -> None:
    whole = client.chat.completions.create(model="starter", messages=FRANCE, n=3, seed=1, **CREATIVE)
    texts = [choice.message.content for choice in whole.choices]
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    assert len(set(texts)) == 3
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 3 * 24
    stream = client.chat.completions.create(model="starter", messages=FRANCE, n=3, seed=1, stream=True, **CREATIVE)
    streamed = ["", "", ""]
    order = []
    for chunk in stream:
        streamed[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
        order.append(chunk.choices[0].index)
    assert streamed == texts
    assert order != sorted(order), "they come side by side, not one after the other"


def test_stop_strings_are_cut_off(client: OpenAI) -> None:
    full = client.chat.completions.create(model="starter", messages=FRANCE).choices[0].message.content or ""
    for stop in ("of Fra", ["nowhere", "of Fra"]):
        answer = client.chat.completions.create(model="starter", messages=FRANCE, stop=stop)
        assert answer.choices[0].message.content == full.split("of Fra")[0]
        assert answer.choices[0].finish_reason == "stop"


def test_max_tokens_in_both_spellings(client: OpenAI) -> None:
    for setting in ({"max_tokens": 3}, {"max_completion_tokens": 3}):
        answer = client.chat.completions.create(model="starter", messages=FRANCE, **setting)  # type: ignore[call-overload]
        assert answer.choices[0].finish_reason == "length"
        assert answer.usage.completion_tokens == 3


def test_logprobs_are_the_models(client: OpenAI, starter: LLM) -> None:
    expected = starter.chat(FRANCE, logprobs=2).logprobs
    assert expected is not None
    answer = client.chat.completions.create(model="starter", messages=FRANCE, logprobs=True, top_logprobs=2)
    told = answer.choices[0].logprobs
    assert told is not None
    assert told.content is not None
    assert [t.token for t in told.content] == [t.text for t in expected]
    assert [t.logprob for t in told.content] == pytest.approx([t.logprob for t in expected], abs=1e-3)
    for got, want in zip(told.content, expected, strict=True):
        assert [t.token for t in got.top_logprobs] == [text for _, text, _ in want.top]
    assert bytes(b for t in told.content for b in t.bytes or []).decode() == answer.choices[0].message.content
    stream = client.chat.completions.create(
        model="starter", messages=FRANCE, logprobs=True, top_logprobs=2, stream=True
    )
    parts = [c.choices[0].logprobs for c in stream]
    assert [t.token for p in parts if p for t in p.content or []] == [t.text for t in expected]


def test_logit_bias_forbids_a_token(client: OpenAI, starter: LLM) -> None:
    first = starter.chat(FRANCE, max_tokens=1).token_ids[0]
    answer = client.chat.completions.create(
        model="starter", messages=FRANCE, max_tokens=4, logit_bias={str(first): -100}, logprobs=True
    )
    other = starter.chat(FRANCE, max_tokens=4, logit_bias={first: -100}).text
    assert answer.choices[0].message.content == other
    assert not other.startswith(starter.detokenize([first]))


def test_a_repeated_prompt_is_found_in_the_cache(client: OpenAI) -> None:
    messages: list[ChatCompletionMessageParam] = [
        {"role": "user", "content": "Tell me about " + "the rivers and the cities of Europe, " * 12}
    ]
    for _ in range(2):
        answer = client.chat.completions.create(model="starter", messages=messages, max_tokens=2)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None
    cached = answer.usage.prompt_tokens_details.cached_tokens or 0
    assert answer.usage.prompt_tokens / 2 < cached < answer.usage.prompt_tokens


def test_a_long_prompt_is_computed_once_for_all_its_answers(served: Running, client: OpenAI) -> None:
    def cached() -> float:
        return served.metric("hearth_cached_prompt_tokens_total", model="starter")

    before = cached()
    messages: list[Any] = [{"role": "user", "content": "Tell me of " + "the mountains and lakes of Asia, " * 12}]
    stream = client.chat.completions.create(
        model="starter", messages=messages, n=4, seed=1, stream=True, stream_options={"include_usage": True}, **CREATIVE
    )
    chunks = list(stream)
    assert {c.choices[0].index for c in chunks if c.choices} == {0, 1, 2, 3}
    usage = chunks[-1].usage
    assert usage is not None
    assert cached() - before > 3 * usage.prompt_tokens / 2


def test_a_conversation_with_system_prompt_parts_and_history(client: OpenAI, starter: LLM) -> None:
    answer = client.chat.completions.create(
        model="starter",
        messages=[
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "What is the capital"}, {"type": "text", "text": "of Spain?"}],
            },
            {"role": "assistant", "content": "Madrid."},
            {"role": "user", "content": "And of Italy?"},
        ],
    )
    expected = starter.chat(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is the capital\nof Spain?"},
            {"role": "assistant", "content": "Madrid."},
            {"role": "user", "content": "And of Italy?"},
        ]
    )
    assert answer.choices[0].message.content == expected.text
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == expected.usage.prompt_tokens


def test_an_answer_follows_its_schema(client: OpenAI) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY, "strict": True}}
    answer = client.chat.completions.create(
        model="starter",
        messages=FRANCE,
        response_format=wanted,  # type: ignore[arg-type]
        seed=3,
        temperature=1.0,
        max_tokens=200,
    )
    City.model_validate_json(answer.choices[0].message.content or "", strict=True)


def test_any_json_object_and_a_grammar(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="starter", messages=FRANCE, response_format={"type": "json_object"}, max_tokens=400, temperature=0.0
    )
    content = answer.choices[0].message.content or ""
    assert content.lstrip().startswith("{")
    if answer.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(content), dict)
    answer = client.chat.completions.create(
        model="starter", messages=FRANCE, extra_body={"grammar": 'start: "yes" | "no"'}, max_tokens=8
    )
    assert answer.choices[0].message.content in ("yes", "no")


def test_a_required_tool_is_called_with_valid_arguments(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="starter",
        messages=FRANCE,
        tools=[WEATHER],
        tool_choice="required",
        max_tokens=200,  # type: ignore[list-item]
    )
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert choice.message.tool_calls
    for call in choice.message.tool_calls:
        assert call.type == "function"
        assert call.function.name == "weather"
        arguments = json.loads(call.function.arguments)
        assert arguments["city"] in ("Paris", "Rome")
        assert arguments["days"] in (1, 2)


def test_streamed_arguments_are_those_of_the_whole_answer(client: OpenAI) -> None:
    settings: dict[str, Any] = {
        "model": "starter",
        "messages": FRANCE,
        "tools": [WEATHER],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": False,
        "max_tokens": 200,
    }
    whole = client.chat.completions.create(**settings).choices[0].message.tool_calls
    assert whole
    assert len(whole) == 1
    parts = []
    for chunk in client.chat.completions.create(stream=True, **settings):
        parts += chunk.choices[0].delta.tool_calls or []
    assert parts[0].id
    assert parts[0].function.name == "weather"
    assert all(part.id is None and part.index == 0 for part in parts[1:])
    assert "".join(part.function.arguments or "" for part in parts) == whole[0].function.arguments
    with client.chat.completions.stream(**settings) as stream:
        calls = stream.get_final_completion().choices[0].message.tool_calls
    assert calls
    assert calls[0].function.arguments == whole[0].function.arguments


def test_a_call_and_its_result_are_read_back(client: OpenAI) -> None:
    called = (
        client.chat.completions.create(
            model="starter",
            messages=FRANCE,
            tools=[WEATHER],
            tool_choice="required",
            max_tokens=200,  # type: ignore[list-item]
        )
        .choices[0]
        .message
    )
    assert called.tool_calls
    messages: list[Any] = [*FRANCE, called.model_dump(exclude_none=True)]
    messages += [{"role": "tool", "tool_call_id": call.id, "content": "Sunny."} for call in called.tool_calls]
    answer = client.chat.completions.create(model="starter", messages=messages, tools=[WEATHER], max_tokens=4)  # type: ignore[list-item]
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0


def test_eight_clients_at_once_get_what_one_gets(served: Running, client: OpenAI) -> None:
    questions = [f"What is the capital of {c}?" for c in ("France", "Spain", "Italy", "Greece")] * 2

    async def ask_all() -> list[str | None]:
        async with AsyncOpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0) as one:
            answers = await asyncio.gather(
                *(
                    one.chat.completions.create(model="starter", messages=[{"role": "user", "content": q}])
                    for q in questions
                )
            )
            return [answer.choices[0].message.content for answer in answers]

    together = asyncio.run(ask_all())
    for question, text in zip(questions[:4], together[:4], strict=True):
        alone = client.chat.completions.create(model="starter", messages=[{"role": "user", "content": question}])
        assert text == alone.choices[0].message.content
    assert together[:4] == together[4:]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("modalities", ["text", "audio"]),
        ("web_search_options", {}),
        ("functions", [{"name": "f"}]),
        ("function_call", "auto"),
        ("reasoning_effort", "low"),
        ("n", 17),
        ("temperature", 2.5),
        ("temperature", "0.5"),
        ("top_p", -0.1),
        ("top_k", -2),
        ("seed", 2**63),
        ("logit_bias", {"x": 1}),
        ("logit_bias", {"5": 101}),
        ("top_logprobs", 21),
        ("stop", ["a"] * 65),
        ("reasoning_effort", "high"),
        ("max_tokens", 0),
        ("stream_options", {"include_usage": True}),
        ("response_format", {"type": "yaml"}),
        ("tool_choice", "sometimes"),
        ("mirostat", 2),
        ("typical_p", 0.5),
        ("use_beam_search", True),
        ("best_of", 3),
        ("min_tokens", 3),
        ("skip_special_tokens", False),
        ("samplers", "kpmt"),
        ("echo", True),
        ("truncate_prompt_tokens", 100),
        ("stop_sequences", ["a"]),
        ("system", "Be brief."),
        ("grammar", 'root ::= "yes" | "no"'),
        ("guided_grammar", "# answers\nroot ::= [a-z]+"),
        ("guided_json", "no JSON"),
        ("structured_outputs", {"regex": "a", "choice": ["b"]}),
        ("structured_outputs", {"structural_tag": "x"}),
        ("enable_thinking", True),
        ("think", "high"),
        ("thinking", {"type": "enabled"}),
        ("reasoning", {"effort": "high"}),
        ("chat_template", "{{ messages }}"),
        ("chat_template_kwargs", {"enable_magic": True}),
    ],
)
def test_what_is_not_supported_is_named(client: OpenAI, field: str, value: Any) -> None:
    with pytest.raises(BadRequestError) as error:
        client.chat.completions.create(model="starter", messages=FRANCE, extra_body={field: value})
    assert str(error.value.param).split(".")[0] == field
    assert field in error.value.message


def test_what_asks_for_nothing_is_accepted(client: OpenAI, starter: LLM) -> None:
    answer = client.chat.completions.create(
        model="starter",
        messages=FRANCE,
        n=1,
        store=False,
        user="someone",
        metadata={"a": "b"},
        service_tier="auto",
        modalities=["text"],
        presence_penalty=0,
        frequency_penalty=0,
        parallel_tool_calls=True,
        prompt_cache_key="k",
        safety_identifier="s",
        logit_bias={},
        stop=[],
        tools=[],
        tool_choice="auto",
        top_logprobs=0,
        reasoning_effort="none",
        extra_body={"functions": [], "function_call": "none", "prompt_cache_retention": "in-memory"},
    )
    assert answer.choices[0].message.content == starter.chat(FRANCE).text


def test_null_is_as_if_left_out(client: OpenAI, starter: LLM) -> None:
    fields = set(ChatRequest.model_fields) - {"model", "messages"}
    nothing: dict[str, Any] = dict.fromkeys(fields)
    answer = client.chat.completions.create(model="starter", messages=FRANCE, extra_body=nothing)
    assert answer.choices[0].message.content == starter.chat(FRANCE).text


def test_many_stop_strings_as_editors_send_them(client: OpenAI) -> None:
    stops = [*(f"<file_{i}>" for i in range(16)), "of Fra"]
    answer = client.chat.completions.create(model="starter", messages=FRANCE, stop=stops)
    assert answer.choices[0].message.content == "The capital "


def test_history_as_clients_keep_it(client: OpenAI, starter: LLM) -> None:
    """With the nulls, indices and parsed values that they put beside what the server said."""
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
    kept = {**call, "index": 0, "function": {**call["function"], "parsed_arguments": {"city": "Rome"}}}  # type: ignore[dict-item]
    nulls = dict.fromkeys(("refusal", "audio", "function_call", "annotations", "name", "reasoning_content", "parsed"))
    cached = {"type": "text", "text": "What is the capital of France?", "cache_control": {"type": "ephemeral"}}
    sent: list[Any] = [
        {"role": "system", "content": []},
        {"role": "user", "content": [cached]},
        {"role": "assistant", **nulls, "content": None, "tool_calls": [kept]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Sunny."},
        {"role": "assistant", **nulls, "content": None, "reasoning_content": "Hm.", "tool_calls": []},
        {"role": "assistant", **nulls, "content": "Sunny.", "tool_calls": None, "parsed": {"sky": "sunny"}},
        {"role": "user", "content": "And of Spain?"},
    ]
    plain: list[dict[str, Any]] = [
        {"role": "system", "content": ""},
        *FRANCE,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Sunny."},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": "Sunny."},
        {"role": "user", "content": "And of Spain?"},
    ]
    answer = client.chat.completions.create(model="starter", messages=sent, max_tokens=8)
    assert answer.choices[0].message.content == starter.chat(plain, max_tokens=8).text


def test_a_parsed_answer_is_sent_back_by_the_clients_own_means(client: OpenAI) -> None:
    class Weather(BaseModel):
        city: Literal["Paris", "Rome"]

    tool = pydantic_function_tool(Weather, name="weather")
    done = client.chat.completions.parse(
        model="starter", messages=FRANCE, tools=[tool], tool_choice="required", max_tokens=200
    )
    message = done.choices[0].message
    assert message.tool_calls
    results: list[Any] = [{"role": "tool", "tool_call_id": c.id, "content": "Sunny."} for c in message.tool_calls]
    again: list[Any] = [*FRANCE, message, *results]
    answer = client.chat.completions.create(model="starter", messages=again, tools=[tool], max_tokens=4)
    assert answer.choices[0].finish_reason


def test_a_picture_is_refused_by_its_place(client: OpenAI) -> None:
    picture: Any = {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}
    with pytest.raises(BadRequestError) as error:
        client.chat.completions.create(model="starter", messages=[{"role": "user", "content": [picture]}])
    assert error.value.param == "messages[0].content[0]"
    assert "image_url" in error.value.message


def test_an_unknown_model_and_a_prompt_past_the_context(client: OpenAI) -> None:
    with pytest.raises(NotFoundError) as missing:
        client.chat.completions.create(model="/etc/passwd", messages=FRANCE)
    assert missing.value.code == "model_not_found"
    for stream in (False, True):
        with pytest.raises(BadRequestError) as full:
            client.chat.completions.create(
                model="starter", messages=[{"role": "user", "content": "word " * 20_000}], stream=stream
            )
        assert full.value.code == "context_length_exceeded"


def test_text_that_is_no_unicode_is_refused(served: Running) -> None:
    body = '{"model": "starter", "messages": [{"role": "user", "content": "\\ud800"}]}'
    answer = served.http.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "messages[0].content"


def test_errors_are_the_clients_exceptions(client: OpenAI) -> None:
    with pytest.raises(APIStatusError) as error:
        client.chat.completions.create(model="starter", messages=[])
    assert error.value.status_code == 400
    assert error.value.type == "invalid_request_error"


def test_a_message_that_has_begun_is_continued_where_asked(client: OpenAI) -> None:
    whole = client.chat.completions.create(model="starter", messages=FRANCE).choices[0].message.content
    begun: ChatCompletionMessageParam = {"role": "assistant", "content": "The capital"}
    wish = {"continue_final_message": True, "add_generation_prompt": False}
    rest = client.chat.completions.create(model="starter", messages=[*FRANCE, begun], extra_body=wish)
    assert whole == f"The capital{rest.choices[0].message.content}"
    for wrong in ({"continue_final_message": True}, {"add_generation_prompt": False}):
        with pytest.raises(BadRequestError) as error:
            client.chat.completions.create(model="starter", messages=FRANCE, extra_body=wrong)
        assert error.value.param == next(iter(wrong))
