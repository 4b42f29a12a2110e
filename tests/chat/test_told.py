"""Tools, earlier calls and results are in the prompt whatever the template leaves out."""

from __future__ import annotations

from typing import Any

import pytest

from hearth.chat.request import Requests
from hearth.chat.tokenizer import Tokenizer
from hearth.chat.told import untold

from .samples import byte_level, make_spec

USER = {"role": "user", "content": "Weather?"}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}]


def call(number: int, arguments: str) -> dict[str, Any]:
    return {
        "id": f"call0000{number}",
        "type": "function",
        "function": {"name": "get_weather", "arguments": arguments},
    }


def result(number: int, content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": f"call0000{number}", "content": content}


CALLED = {"role": "assistant", "content": "Let me look.", "tool_calls": [call(1, '{"city": "Paris"}')]}
BOTH = {
    "role": "assistant",
    "content": None,
    "tool_calls": [call(1, '{"city": "Paris"}'), call(2, '{"city": "Rome"}')],
}
HISTORY: dict[str, list[dict[str, Any]]] = {
    "a call": [USER, CALLED, result(1, "21 degrees")],
    "two calls": [USER, BOTH, result(1, "21 degrees"), result(2, '{"sky": "blue\\nand clear"}')],
    "parts": [USER, CALLED, result(1, [{"type": "text", "text": "21 degrees"}])],
}
SHOWS_TOOLS = (
    "{% if tools %}Your tools: {{ tools | tojson }}\n"
    'Write <tool_call>\n{"name": .., "arguments": ..}\n</tool_call>{% endif %}'
)
TURNS = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
FIRST_CALL = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% if m.tool_calls %}<tool_call>\n"
    "{{ {'name': m.tool_calls[0].function.name, 'arguments': m.tool_calls[0].function.arguments} | tojson }}\n"
    "</tool_call>{% endif %}{% endfor %}"
)
ONLY_ONE = (
    "{% for m in messages %}{% if m.tool_calls and m.tool_calls | length > 1 %}{{ raise_exception('one only') }}"
    "{% endif %}{% endfor %}"
)
TEMPLATES = {
    "no word of tools": TURNS,
    "tools, but no calls": SHOWS_TOOLS + TURNS,
    "the first call of each turn": SHOWS_TOOLS + FIRST_CALL,
    "refuses two calls": ONLY_ONE + SHOWS_TOOLS + FIRST_CALL,
    "under another name": SHOWS_TOOLS.replace("if tools", "if xml_tools").replace("{{ tools", "{{ xml_tools") + TURNS,
    "no turns of tools": SHOWS_TOOLS + FIRST_CALL.replace("in messages", "in messages if m.role != 'tool'"),
    "fails without a list": "{% for t in tools %}{{ t | tojson }}{% endfor %}" + TURNS,
}


def prompt(template: str, messages: list[dict[str, Any]], **settings: Any) -> str:
    tokenizer = Tokenizer(make_spec(byte_level(), **settings.pop("spec", {}), chat_template=template))
    ids = Requests("x", tokenizer, published={}, vocab_size=400).chat(messages, {}, **settings).request.prompt_ids
    return tokenizer.decode(ids, skip_special=False)


@pytest.mark.parametrize("kind", TEMPLATES)
@pytest.mark.parametrize("history", HISTORY)
@pytest.mark.parametrize("tools", [TOOLS, None], ids=["tools", "no tools"])
def test_everything_is_told(kind: str, history: str, tools: Any) -> None:
    told = prompt(TEMPLATES[kind], HISTORY[history], tools=tools)
    words = ["get_weather", "Paris", "21 degrees", "Weather?"]
    words += ["city"] if tools else []
    words += ["Rome", "blue", "clear"] if history == "two calls" else []
    assert [word for word in words if word not in told] == []
    assert ("Let me look." in told) == (history != "two calls")


def test_a_template_is_given_its_tools_under_its_own_name() -> None:
    told = prompt(TEMPLATES["under another name"], [USER], tools=TOOLS)
    assert told.startswith('Your tools: [{"type": "function"')
    assert told.endswith("</tool_call><user>Weather?")


def test_the_template_for_tools_is_used_where_its_calls_can_be_read() -> None:
    """Else the default one with a description: nobody may be taught one form and held to another."""
    readable = {"named_templates": {"tool_use": "FOR TOOLS " + SHOWS_TOOLS + FIRST_CALL}}
    assert prompt("DEFAULT " + TURNS, HISTORY["a call"], tools=TOOLS, spec=readable).startswith(
        "FOR TOOLS Your tools: [{"
    )
    assert prompt("DEFAULT " + TURNS, [USER], spec=readable) == "DEFAULT <user>Weather?"
    foreign = FIRST_CALL.replace("<tool_call>", "Action: ").replace("</tool_call>", "")
    unreadable = {"named_templates": {"tool_use": "FOR TOOLS {{ tools | tojson }}" + foreign}}
    described = prompt("DEFAULT " + TURNS, HISTORY["a call"], tools=TOOLS, spec=unreadable)
    assert described.startswith("DEFAULT <system>You can call tools")


def test_what_is_missing_is_found() -> None:
    text = 'get_weather {"city": "Paris"} 21 degrees'
    assert untold(text, HISTORY["a call"], ["get_weather"]) is None
    assert untold(text, HISTORY["two calls"], ["get_weather"]) == "'Rome' of message 2"
    assert untold(text, [], ["get_time"]) == "the tool 'get_time'"
    assert untold(text.replace("21 ", ""), HISTORY["a call"], []) is None, "the longest run stands for a text"
    assert untold(text.replace("degrees", ""), HISTORY["a call"], []) == "'degrees' of message 3"
