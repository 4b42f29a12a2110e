"""Fields that Hearth does not have: null is absent, what changes nothing is ignored with a warning, others refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai import OpenAI

from hearth import LLM
from hearth.server.models import Models, ModelSettings

from .running import Running, running

FRANCE = [{"role": "user", "content": "What is the capital of France?"}]
CHAT = {"model": "starter", "messages": FRANCE, "max_tokens": 4}
REQUESTS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": {"model": "starter", "prompt": "Once", "max_tokens": 4},
    "/v1/responses": {"model": "starter", "input": "Hello", "max_output_tokens": 4},
    "/v1/responses/input_tokens": {"model": "starter", "input": "Hello"},
    "/v1/messages": CHAT,
    "/v1/messages/count_tokens": {"model": "starter", "messages": FRANCE},
    "/v1/embeddings": {"model": "starter", "input": "Hello"},
    "/tokenize": {"content": "Hello"},
    "/detokenize": {"tokens": [1]},
}
WARNING = "x-hearth-warning"


def ask(served: Running, path: str, **fields: Any) -> Any:
    return served.http.post(path, json={**REQUESTS[path], **fields})


@pytest.mark.parametrize("path", REQUESTS)
def test_an_unknown_field_is_ignored_with_a_warning_and_null_without(served: Running, path: str) -> None:
    plain = ask(served, path)
    assert WARNING not in plain.headers
    nulls = ask(served, path, newer=None, other_field=None)
    assert nulls.status_code == 200
    assert WARNING not in nulls.headers
    odd = ask(served, path, newer={"deep": [1]}, session_id="s")
    assert odd.status_code == 200
    assert odd.headers[WARNING] == "ignored: newer, session_id"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"])
def test_a_stream_carries_the_warning_too(served: Running, path: str) -> None:
    answer = ask(served, path, stream=True, session_id="s")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers[WARNING] == "ignored: session_id"


def test_fields_inside_of_messages_tools_and_parts_go_by_the_same_rule(served: Running) -> None:
    part = {"type": "text", "text": "Hello", "odd": 1, "cache_control": {"type": "ephemeral"}, "nothing": None}
    tool = {"type": "function", "function": {"name": "f", "odd": 3}, "odd": 2, "nothing": None}
    messages = [{"role": "user", "content": [part], "timestamp": 5, "id": None}] * 3
    answer = ask(served, "/v1/chat/completions", messages=messages, tools=[tool])
    assert answer.status_code == 200
    told = answer.headers[WARNING]
    assert told.count("messages[].timestamp") == 1, "each name once"
    for name in ("content[].odd", "tools[].odd"):
        assert name in told
    assert "nothing" not in told
    refused = ask(served, "/v1/chat/completions", messages=[{"role": "assistant", "content": "I", "prefix": True}])
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "messages[0].prefix"


def test_what_would_change_the_answer_is_refused_by_its_name_and_the_value_that_asks_for_nothing_taken(
    served: Running,
) -> None:
    for path in ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"):
        neutral = ask(served, path, mirostat=0, typical_p=1.0, use_beam_search=False, samplers=[], best_of=1)
        assert neutral.status_code == 200, neutral.text
        assert WARNING not in neutral.headers
        for name, value in (("mirostat", 2), ("typical_p", 0.9), ("use_beam_search", True), ("min_tokens", 2)):
            answer = ask(served, path, **{name: value})
            assert answer.status_code == 400
            assert answer.json()["error"]["message"].startswith(f"{name} is not supported: ")
    both = ask(served, "/v1/chat/completions", mirostat=1, dry_multiplier=0.8)
    assert both.json()["error"]["param"] == "mirostat"
    assert both.json()["error"]["code"] == "unsupported_parameter"
    assert "dry_multiplier" in both.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("/v1/chat/completions", "response_format"),
        ("/v1/completions", "response_format"),
        ("/v1/responses", "text.format"),
        ("/v1/messages", "output_config.format"),
    ],
)
def test_a_form_of_the_answer_is_never_passed_over_whatever_its_name(served: Running, path: str, ours: str) -> None:
    schema = {"type": "object"}
    asked: dict[str, Any] = {
        "output_format": {"type": "json_schema", "schema": schema},
        "format": "json",
        "regex": "a+",
        "ebnf": "a",
    }
    for name, value in {
        **asked,
        "json_mode": True,
        "response_schema": schema,
        "guided_decoding": {"regex": "a"},
    }.items():
        answer = ask(served, path, **{name: value})
        assert answer.status_code == 400
        assert answer.json()["error"]["message"] == f"{name} is not supported: use {ours}."
    for name, value in {"guided_regex": "I", "json_schema": schema, "structured_outputs": {"regex": "I"}}.items():
        answer = ask(served, path, **{name: value})
        assert answer.status_code == 200 if ours == "response_format" else ours in answer.json()["error"]["message"]
    assert ask(served, path, format="", json_mode=False, guided_decoding={}).status_code == 200


def test_other_servers_names_mean_the_same(client: OpenAI, starter: LLM) -> None:
    wanted = starter.chat(FRANCE, max_tokens=5, repetition_penalty=1.5).text
    for fields in (
        {"n_predict": 5, "repeat_penalty": 1.5},
        {"max_output_tokens": 5, "repetition_penalty": 1.5},
        {"max_new_tokens": 5, "max_tokens": -1, "repeat_penalty": 1.5, "repetition_penalty": 1.5, "top_k": None},
    ):
        answer = client.chat.completions.create(model="starter", messages=FRANCE, extra_body=fields)  # type: ignore[arg-type]
        assert answer.choices[0].message.content == wanted


def test_a_token_may_end_an_answer(client: OpenAI, starter: LLM) -> None:
    ids = starter.chat(FRANCE).token_ids
    answer = client.chat.completions.create(
        model="starter",
        messages=FRANCE,  # type: ignore[arg-type]
        extra_body={"stop_token_ids": [ids[3]]},
    )
    assert answer.choices[0].message.content == starter.detokenize(ids[:3])
    assert answer.choices[0].finish_reason == "stop"


def test_the_same_form_under_every_name(client: OpenAI) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": ["x"]}}, "required": ["a"], "additionalProperties": False}
    text = "a+b (c) [d]/e-f#g"
    for fields, wanted in (
        ({"json_schema": schema}, {"a": "x"}),
        ({"guided_json": schema}, {"a": "x"}),
        ({"guided_json": json.dumps(schema)}, {"a": "x"}),
        ({"structured_outputs": {"json": schema}}, {"a": "x"}),
        ({"response_format": {"type": "json_object", "schema": schema}}, {"a": "x"}),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}, {"a": "x"}),
        ({"guided_choice": [text]}, text),
        ({"structured_outputs": {"choice": [text]}}, text),
        ({"guided_regex": "ok"}, "ok"),
        ({"structured_outputs": {"regex": "ok"}}, "ok"),
        ({"guided_grammar": 'start: "ok"'}, "ok"),
        ({"structured_outputs": {"grammar": 'start: "ok"'}}, "ok"),
    ):
        answer = client.chat.completions.create(
            model="starter",
            messages=FRANCE,  # type: ignore[arg-type]
            max_tokens=60,
            extra_body=fields,
        )
        said = answer.choices[0].message.content or ""
        assert (said if isinstance(wanted, str) else json.loads(said)) == wanted, fields


def test_an_error_names_a_field_as_the_client_did(served: Running) -> None:
    wrong = ask(served, "/v1/chat/completions", repeat_penalty="much")
    assert wrong.json()["error"]["param"] == "repeat_penalty"
    differs = ask(served, "/v1/chat/completions", n_predict=7)
    assert differs.json()["error"]["param"] == "n_predict"
    assert "max_tokens" in differs.json()["error"]["message"]


def test_the_warning_is_one_short_line_of_ascii_whatever_the_names(served: Running) -> None:
    fields = dict.fromkeys(("", " ", "a\r\nx-evil: 1", "naïve", "long" * 500, "\x00"), 1)
    answer = ask(served, "/v1/chat/completions", **fields, **{f"unknown_field_number_{i}": i for i in range(90)})
    assert answer.status_code == 200
    assert "x-evil" not in answer.headers
    told = answer.headers[WARNING]
    assert told.isascii()
    assert len(told) <= 1000
    assert told.endswith(", ...")


def test_more_than_a_hundred_unknown_fields_are_one_error(served: Running) -> None:
    answer = ask(served, "/v1/chat/completions", **{f"f{i}": 1 for i in range(101)})
    assert answer.status_code == 400
    assert "more than 100" in answer.json()["error"]["message"]
    inside = [{"role": "user", "content": "Hello", **{f"f{i}": 1 for i in range(101)}}]
    assert ask(served, "/v1/chat/completions", messages=inside).json()["error"]["param"] == "messages[0]"


def test_strict_fields_refuse_what_would_be_ignored(starter: LLM) -> None:
    models = Models(["starter"], ModelSettings(threads=2, offline=True))
    with running(models, strict_fields=True) as served:
        for name, value in (("foo", 1), ("verbosity", "low"), ("store", True)):
            refused = ask(served, "/v1/chat/completions", **{name: value})
            assert refused.status_code == 400
            assert refused.json()["error"]["param"] == name
        odd = [{"role": "user", "content": "Hello", "timestamp": 5}]
        assert ask(served, "/v1/messages", messages=odd).status_code == 400
        quiet = ask(served, "/v1/chat/completions", user="u", metadata={}, store=False, foo=None)
        assert quiet.status_code == 200


def test_a_name_is_left_out_where_the_template_has_no_place_for_it(served: Running, starter: LLM) -> None:
    named = [{**FRANCE[0], "name": "someone"}]
    answer = ask(served, "/v1/chat/completions", messages=named)
    assert answer.json()["choices"][0]["message"]["content"] == starter.chat(FRANCE, max_tokens=4).text
    assert answer.headers[WARNING] == "ignored: messages[].name"


def test_a_picture_that_a_tool_returned_becomes_a_line_of_text_and_one_that_the_user_sends_is_refused(
    served: Running, starter: LLM
) -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "A map:"}, picture]}
    history = [
        *FRANCE,
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "read", "input": {}}]},
        {"role": "user", "content": [result]},
    ]
    answer = ask(served, "/v1/messages", messages=history)
    assert answer.status_code == 200
    assert answer.headers[WARNING] == "left out: picture in a tool result"
    asked = ask(served, "/v1/messages", messages=[{"role": "user", "content": [picture]}])
    assert asked.status_code == 400
