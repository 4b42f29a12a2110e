"""Tools of `/v1/responses` that are more than functions: in namespaces, with text as input, or run by a server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai import OpenAI

from hearth.chat.answer import Chunk, Completion, Timings, Usage
from hearth.chat.tools.types import ToolCallDelta
from hearth.server.openai.response_output import Output
from hearth.server.openai.response_tools import Toolbox, custom_input
from hearth.server.openai.responses import as_messages
from hearth.server.openai.responses_schema import ResponseRequest

from ..running import Running

ONE_OF = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": False}
AGENTS: dict[str, Any] = {
    "type": "namespace",
    "name": "agents",
    "description": "Others.",
    "tools": [{"type": "function", "name": "wait", "parameters": ONE_OF}, {"type": "web_search"}],
}
PATCH: dict[str, Any] = {"type": "custom", "name": "patch", "description": "Patches."}
CUT = Completion("", "", (), "length", Usage(), Timings())


def toolbox(*tools: dict[str, Any], choice: Any = None) -> Toolbox:
    body = ResponseRequest.model_validate({"model": "m", "input": "x", "tools": list(tools), "tool_choice": choice})
    return Toolbox(body.tools or (), body.tool_choice)


def test_a_function_in_a_namespace_is_called_under_both_names(client: OpenAI) -> None:
    """Codex runs a call by its namespace and name, and sends both back."""
    settings: dict[str, Any] = {
        "model": "starter",
        "tools": [AGENTS],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "max_output_tokens": 100,
    }
    call: Any = client.responses.create(input="Wait.", **settings).output[0]
    assert (call.type, call.name, call.namespace) == ("function_call", "wait", "agents")
    assert json.loads(call.arguments)["n"] in (1, 2)
    events: list[Any] = list(client.responses.create(input="Wait.", stream=True, **settings))
    done = next(event.item for event in events if event.type == "response.output_item.done")
    assert (done.name, done.namespace, done.arguments) == ("wait", "agents", call.arguments)
    back: Any = [
        {"role": "user", "content": "Wait."},
        call.model_dump(exclude_none=True),
        {"type": "function_call_output", "call_id": call.call_id, "output": "Done."},
    ]
    again = client.responses.create(**(settings | {"input": back, "tool_choice": "none", "max_output_tokens": 4}))
    assert again.output[0].type == "message"


def test_what_the_model_called_in_a_namespace_stands_under_one_name_in_its_history() -> None:
    calls: list[Any] = [
        {"type": "function_call", "call_id": "c1", "name": "wait", "namespace": "agents", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "patch", "input": 'a "b"\n'},
    ]
    body = ResponseRequest.model_validate({"model": "m", "input": calls})
    told = [call["function"] for call in as_messages(body, sees=False)[0]["tool_calls"]]
    assert told[0] == {"name": toolbox(AGENTS).functions[0]["function"]["name"], "arguments": "{}"}
    assert (told[1]["name"], json.loads(told[1]["arguments"])) == ("patch", {"input": 'a "b"\n'})


def test_a_custom_tool_is_called_with_text(client: OpenAI) -> None:
    call: Any = client.responses.create(
        model="starter",
        input="Patch.",
        tools=[PATCH],
        tool_choice={"type": "custom", "name": "patch"},
        max_output_tokens=200,
    ).output[0]
    assert (call.type, call.name) == ("custom_tool_call", "patch")
    assert isinstance(call.input, str)


def test_the_events_of_a_custom_call() -> None:
    output = Output(lambda one: {}, toolbox(PATCH).called)
    pieces = [
        ToolCallDelta(0, "call_1", "patch"),
        ToolCallDelta(0, "", "", '{"inp'),
        ToolCallDelta(0, "", "", 'ut": "a\\nb"}'),
    ]
    events = [event for piece in pieces for event in output.push(Chunk("", "tool", piece))]
    events += output.end(Completion("", "", (), "tool_calls", Usage(), Timings()))
    assert [event["type"] for event in events] == [
        "response.output_item.added",
        "response.custom_tool_call_input.delta",
        "response.custom_tool_call_input.done",
        "response.output_item.done",
    ]
    assert events[0]["item"]["input"] == ""
    assert events[1]["delta"] == events[2]["input"] == events[3]["item"]["input"] == "a\nb"
    assert {event.get("item_id", events[0]["item"]["id"]) for event in events} == {events[3]["item"]["id"]}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"input": "a"}', "a"),
        ('{"input": "a\\nb', "a\nb"),
        ('{"input": "a\\', "a\\"),
        ('{"input": "', ""),
        ('{"inp', ""),
        ("", ""),
        ("[1]", ""),
        ('{"input": 5}', ""),
    ],
)
def test_of_a_call_that_was_cut_the_text_is_what_is_there(arguments: str, text: str) -> None:
    assert custom_input(arguments) == text


def test_the_model_is_told_which_grammar_the_text_keeps_to() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": 'start: "x"'}
    description = toolbox({**PATCH, "format": grammar}).functions[0]["function"]["description"]
    assert description.startswith("Patches.")
    assert 'start: "x"' in description


def test_tools_that_a_server_would_run_are_left_out_with_a_warning(served: Running) -> None:
    body = {"model": "starter", "input": "Hello", "max_output_tokens": 4}
    tools = [{"type": "web_search", "external_web_access": False}, {"type": "mcp", "server_url": "http://x"}, AGENTS]
    answer = served.http.post("/v1/responses", json={**body, "tools": tools})
    assert answer.status_code == 200
    assert answer.headers["x-hearth-warning"] == "left out: a tool of type web_search, a tool of type mcp"
    assert [tool["type"] for tool in answer.json()["tools"]] == ["namespace"]
    only = served.http.post("/v1/responses", json={**body, "tools": tools[:2], "tool_choice": "required"})
    assert only.status_code == 400


def test_only_allowed_tools_may_be_called() -> None:
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "patch"}]}
    box = toolbox(AGENTS, PATCH, choice=allowed)
    assert [tool["function"]["name"] for tool in box.functions] == ["patch"]
    assert box.choice == "required"
    assert toolbox(AGENTS, PATCH, choice="any").choice == "required"
    named = toolbox(AGENTS, choice={"type": "function", "name": "wait", "namespace": "agents"})
    assert named.choice["function"]["name"] == named.functions[0]["function"]["name"]  # type: ignore[index]
