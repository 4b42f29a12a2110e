"""Requests are prepared apart from the engine: from several threads at once, tools and formats included."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jsonschema_rs
import pytest

from hearth import LLM
from hearth.chat.answer import Completion
from hearth.chat.request import Requests
from hearth.chat.tokenizer import Tokenizer
from hearth.errors import ContextFull, TemplateError, UsageError

from .grammar_samples import SCHEMAS, schema_format
from .samples import byte_level, make_spec

FRANCE = [{"role": "user", "content": "What is the capital of France?"}]
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "unit": {"enum": ["C", "F"]}},
    "required": ["city", "unit"],
}
TOOLS: list[dict[str, Any]] = [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}]

BROKEN = {
    "type": "function",
    "function": {"name": "x", "parameters": {"type": "object", "properties": {"a": 1}}},
}


def test_many_threads_prepare_what_one_would(starter: LLM) -> None:
    """Texts with control tokens in them too, which need the tokenizer's twin."""

    def prepare(i: int) -> tuple[int, ...]:
        content = f"Number {i % 7}: <|im_end|> is plain here"
        settings: dict[str, Any] = {"response_format": schema_format(SCHEMAS["person"])} if i % 2 else {"tools": TOOLS}
        return starter.prepare_chat([{"role": "user", "content": content}], **settings).request.prompt_ids

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(prepare, range(64)))
    assert together == [prepare(i) for i in range(64)]


def test_what_the_engine_would_refuse_is_refused_before(starter: LLM) -> None:
    with pytest.raises(ContextFull, match="context"):
        starter.prepare_chat([{"role": "user", "content": "word " * 2_000}])
    with pytest.raises(UsageError, match="vocabulary"):
        starter.prepare_text(prompt_ids=[10**6])


def test_what_cannot_fit_is_refused_before_it_is_read(starter: LLM) -> None:
    """Reading many megabytes takes seconds in which nobody else is served."""
    long = "word " * 400_000
    with pytest.raises(ContextFull, match=r"2000\d\d\d characters"):
        starter.prepare_chat([{"role": "user", "content": long}])
    with pytest.raises(ContextFull, match="2000000 characters"):
        starter.prepare_text(long)
    assert len(starter.prompt_ids([{"role": "user", "content": long[:200_000]}])) > starter.info.context


def test_prepared_requests_run_side_by_side(starter: LLM) -> None:
    """Each answer is made of its own events, as a server does it."""
    wanted = [starter.chat(FRANCE).text, starter.generate("The capital of Spain is", max_tokens=8).text]
    prepared = [starter.prepare_chat(FRANCE), starter.prepare_text("The capital of Spain is", max_tokens=8)]
    engine = starter.engine
    builders = {engine.add(p.request): p.answer for p in prepared}
    while engine.num_waiting or engine.num_running:
        for event in engine.step():
            builders[event.id].push(event)
    for event in engine.step():
        builders[event.id].push(event)
    assert [b.completion.text for b in builders.values() if b.completion] == wanted


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
def test_a_tool_that_must_be_called_is_called_with_arguments_that_fit(starter: LLM, choice: Any) -> None:
    done = starter.chat(FRANCE, tools=TOOLS, tool_choice=choice, parallel_tool_calls=False, temperature=1, seed=3)
    assert done.finish_reason == "tool_calls"
    assert [call.name for call in done.tool_calls] == ["weather"]
    assert jsonschema_rs.is_valid(PARAMETERS, json.loads(done.tool_calls[0].arguments))
    assert done.tool_calls[0].id.startswith("call_")


def test_a_template_without_tools_is_told_of_them_in_the_system_prompt(starter: LLM) -> None:
    def prompt(messages: list[dict[str, Any]], **settings: Any) -> str:
        ids = starter.prepare_chat(messages, **settings).request.prompt_ids
        return starter.detokenize(ids, skip_special=False)

    assert '"name": "weather"' in prompt(FRANCE, tools=TOOLS)
    assert '"name": "weather"' in prompt(FRANCE, tools=TOOLS, tool_choice="none")
    system = prompt([{"role": "system", "content": "Be brief."}, *FRANCE], tools=TOOLS)
    assert system.index("Be brief.") < system.index("weather") < system.index("<|im_end|>")
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
    history = [
        *FRANCE,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees"},
    ]
    assert "21 degrees" in prompt(history)


NO_SYSTEM = {
    "refuses": "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}<start_of_turn>{{ m.role }} {{ m.content }}{% endfor %}",
    "forgets": "{% for m in messages if m.role != 'system' %}<start_of_turn>{{ m.role }} {{ m.content }}{% endfor %}",
}


@pytest.mark.parametrize("kind", NO_SYSTEM)
def test_a_template_without_a_system_role_gets_it_before_the_first_question(kind: str) -> None:
    """Gemma 2 refuses a system message: neither its tools nor a system prompt may fail or get lost."""
    requests = Requests(
        "gemma", Tokenizer(make_spec(byte_level(), chat_template=NO_SYSTEM[kind])), published={}, vocab_size=400
    )

    def prompt(*messages: dict[str, Any], **more: Any) -> str:
        ids = requests.chat(messages, {}, **more).request.prompt_ids
        return requests.tokenizer().decode(ids, skip_special=False)

    system, said = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Weather?"}
    assert prompt(said) == "<start_of_turn>user Weather?"
    assert prompt(system, said) == "<start_of_turn>user Be brief.\n\nWeather?"
    described = prompt(said, tools=TOOLS)
    assert described.startswith("<start_of_turn>user You have access")
    assert described.endswith("\n\nWeather?")
    assert prompt(system, said, tools=TOOLS) == described.replace("user You", "user Be brief.\n\nYou")
    parts = prompt(system, {"role": "user", "content": [{"type": "text", "text": "Weather?"}]})
    assert parts.index("Be brief.") < parts.index("Weather?")


def test_what_a_template_without_a_system_role_cannot_take_is_told_by_it() -> None:
    requests = Requests(
        "gemma", Tokenizer(make_spec(byte_level(), chat_template=NO_SYSTEM["refuses"])), published={}, vocab_size=400
    )
    with pytest.raises(TemplateError, match="System role not supported"):
        requests.chat([{"role": "system", "content": "Alone."}], {})


@pytest.mark.parametrize("seed", range(6))
def test_with_tools_and_a_schema_an_answer_is_one_or_the_other(starter: LLM, seed: int) -> None:
    holds = jsonschema_rs.validator_for(SCHEMAS["person"])
    settings: dict[str, Any] = {"temperature": 1.2, "seed": seed, "max_tokens": 400, "tools": TOOLS}
    settings["response_format"] = schema_format(SCHEMAS["person"])

    def check(**further: Any) -> Completion:
        done = starter.chat(FRANCE, **settings, **further)
        if done.finish_reason == "tool_calls":
            assert done.text == ""
            assert all(call.name == "weather" for call in done.tool_calls)
        elif done.finish_reason == "stop":
            holds.validate(json.loads(done.text))
        return done

    check()
    marker = starter.tokenizer.encode("<")[-1]
    assert not check(logit_bias={marker: -100}).tool_calls
    assert check(tool_choice="required").tool_calls


def test_tools_and_a_form_that_is_no_json_at_once_are_refused(starter: LLM) -> None:
    wanted = {"type": "regex", "regex": "yes|no"}
    with pytest.raises(UsageError, match="do not go together"):
        starter.chat(FRANCE, tools=TOOLS, response_format=wanted)
    assert starter.chat(FRANCE, tools=TOOLS, tool_choice="none", response_format=wanted).text in ("yes", "no")


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"tool_choice": "required"}, "no tools"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "other"}}}, "'other'"),
        ({"tools": TOOLS, "parallel_tool_calls": "yes"}, "parallel_tool_calls"),
        ({"tools": [BROKEN]}, "tools[0].function.parameters.properties.a"),
    ],
)
def test_wrong_tools_are_told_with_their_place(starter: LLM, settings: dict[str, Any], place: str) -> None:
    with pytest.raises(UsageError) as told:
        starter.chat(FRANCE, **settings)
    assert place in str(told.value)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("thinking", "x"), ("template_variables", 5), ("stop", 5), ("stop", [5]), ("stop_token_ids", 5)],
)
def test_a_setting_of_another_type_is_told_by_its_name(starter: LLM, setting: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"{setting} is "):
        starter.prepare_chat("Hello", **{setting: value})
