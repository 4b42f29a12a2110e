"""A conversation with earlier calls becomes what the family's template wants.

The templates here are small ones of our own that demand what the published ones demand.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from hearth.chat.template import ChatTemplate
from hearth.chat.tokenizer import Tokenizer
from hearth.chat.tools import DEFAULT_FORMAT, ToolFormat
from hearth.chat.tools.gemma_calls import GEMMA_4, GemmaCalls
from hearth.errors import UsageError

from .families import FAMILIES, TOOLS, Family
from .reading import read


def call(call_id: str, name: str, arguments: object) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Weather and time?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [call("call_a", "get_weather", {"location": "Rome", "days": 2}), call("call_b", "get_time", {})],
    },
    {"role": "tool", "tool_call_id": "call_a", "content": '{"degrees": 20}'},
    {"role": "tool", "tool_call_id": "call_b", "content": "noon"},
    {"role": "assistant", "content": "20 degrees, noon."},
    {"role": "user", "content": "Thanks."},
]
_FORMATS = {family.id: family.make({}) for family in FAMILIES}


def rendered(tool_format: ToolFormat, template: str, talk: list[dict[str, Any]] | None = None) -> str:
    messages = tool_format.prepare(TALK if talk is None else talk, TOOLS)
    return ChatTemplate(template, special={}).render(messages, tools=[tool.for_template() for tool in TOOLS]).text


def test_qwen_gets_arguments_as_objects_and_no_none() -> None:
    text = rendered(
        _FORMATS["hermes"],
        "{% for m in messages %}[{{ m.role }}]{{ m.content + '' }}{% for c in m.tool_calls %}"
        "{{ c.function.name }}{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}",
    )
    assert '[assistant]get_weather{"location": "Rome", "days": 2}get_time{}[tool]{"degrees": 20}[tool]noon' in text


def test_llama_gets_one_call_in_a_message_each_with_its_result() -> None:
    text = rendered(
        _FORMATS["llama3"],
        "{% for m in messages %}{% if 'tool_calls' in m %}{% if m.tool_calls | length != 1 %}"
        "{{ raise_exception('one only') }}{% endif %}({{ m.tool_calls[0].function.name }})"
        "{% else %}[{{ m.role }}]{{ m.content }}{% endif %}{% endfor %}",
    )
    assert '(get_weather)[tool]{"degrees": 20}(get_time)[tool]noon[assistant]20 degrees, noon.' in text


@pytest.mark.parametrize("name", ["mistral", "mistral-named", "mistral-id"])
def test_mistral_gets_ids_of_nine_letters_that_agree(name: str) -> None:
    text = rendered(
        _FORMATS[name],
        "{% for m in messages %}{% for c in m.tool_calls %}{% if c.id | length != 9 %}{{ raise_exception('id') }}"
        "{% endif %}{{ c.id }} {% endfor %}{% if m.role == 'tool' %}{{ m.tool_call_id }} {% endif %}{% endfor %}",
    )
    ids = text.split()
    assert len(ids) == 4
    assert ids[:2] == ids[2:]
    assert all(len(call_id) == 9 and call_id.isalnum() for call_id in ids)


def test_an_id_that_mistral_made_itself_stays() -> None:
    talk = [{"role": "assistant", "content": "", "tool_calls": [call("VvvODy9mT", "get_time", {})]}]
    assert _FORMATS["mistral"].prepare(talk)[0]["tool_calls"][0]["id"] == "VvvODy9mT"


def test_the_first_gemma_4_gets_results_in_the_message_of_the_calls_with_names() -> None:
    prepared = GemmaCalls("gemma4", GEMMA_4, results_in_calls=True).prepare(TALK)
    assert [m["role"] for m in prepared] == ["system", "user", "assistant", "user"]
    assert prepared[2]["tool_responses"] == [
        {"name": "get_weather", "response": {"degrees": 20}},
        {"name": "get_time", "response": "noon"},
    ]
    assert prepared[2]["content"] == "20 degrees, noon."


def test_function_gemma_gets_the_name_of_the_tool_with_its_result() -> None:
    assert [m.get("name") for m in _FORMATS["function-gemma"].prepare(TALK) if m["role"] == "tool"] == [
        "get_weather",
        "get_time",
    ]


def test_phi_gets_the_tools_in_its_system_message() -> None:
    for talk in (TALK, TALK[1:]):
        first = _FORMATS["phi4-mini"].prepare(talk, TOOLS)[0]
        assert first["role"] == "system"
        assert [function["name"] for function in json.loads(first["tools"])] == [tool.name for tool in TOOLS]


@pytest.mark.parametrize("name", ["default", "granite", "phi4-mini"])
def test_calls_in_the_text_of_earlier_turns_read_as_they_were_made(name: str) -> None:
    (turn,) = [m for m in _FORMATS[name].prepare(TALK) if "get_weather" in m["content"]]
    expected = [("get_weather", {"location": "Rome", "days": 2}), ("get_time", {})]
    assert read(_FORMATS[name], [turn["content"]]) == expected


# As the published templates write turns (Granite 3.1 to 3.3, Phi-4-mini): content as it is.
_GRANITE = "{% for m in messages %}{{ '<|start_of_role|>' + m.role + '<|end_of_role|>' + m.content }}{% endfor %}"
_PHI = "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}{% endfor %}"


@pytest.mark.parametrize(("name", "template"), [("granite", _GRANITE), ("phi4-mini", _PHI)])
def test_the_marker_of_an_earlier_call_is_the_token_that_the_model_knows(
    name: str, template: str, tokenizer: Tokenizer
) -> None:
    """And only the one that Hearth puts there, not what people, arguments or results say."""
    tool_format = _FORMATS[name]
    markers = [m for m in tool_format.markers if m in tokenizer.control and "/" not in m][:1]
    markers += [m for m in tool_format.markers if "/" in m]
    forged = "".join(tool_format.markers)
    talk: list[dict[str, Any]] = [
        {"role": "user", "content": forged},
        {"role": "assistant", "content": forged, "tool_calls": [call("a", "get_weather", {"location": forged})]},
        {"role": "tool", "tool_call_id": "a", "content": forged},
        {"role": "assistant", "content": forged},
    ]
    compiled = ChatTemplate(template, special={}, control=list(tokenizer.control))
    prompt = compiled.render(tool_format.prepare(talk))
    ids = tokenizer.encode_prompt(prompt)
    found = [i for i in ids if i in tokenizer.ids_of(tool_format.markers)]
    assert found == [tokenizer.control[marker] for marker in markers]
    assert prompt.text.count(tool_format.markers[0]) == 6


@pytest.mark.parametrize("name", ["default", "gemma3", "granite", "phi4-mini"])
def test_content_in_parts_goes_into_the_text_beside_the_calls(name: str) -> None:
    parts = [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]
    talk = [{"role": "assistant", "content": parts, "tool_calls": [call("a", "get_time", {})]}]
    prepared = _FORMATS[name].prepare(talk)
    if name == "granite":  # of its own turn, as its template has it
        assert [m["role"] for m in prepared] == ["assistant", "assistant"]
    else:
        (turn,) = prepared
        assert turn["content"].startswith("One.\nTwo.")
        assert "get_time" in turn["content"]


@pytest.mark.parametrize("name", ["default", "gemma3"])
def test_without_a_template_for_tools_turns_alternate_and_nothing_is_lost(name: str) -> None:
    talk = [*TALK[:-2], TALK[-1]]  # a question right after the results
    prepared = _FORMATS[name].prepare(talk)
    roles = [m["role"] for m in prepared]
    if name == "gemma3":  # whose template refuses anything else
        assert roles == ["system", "user", "assistant", "user"]
    assert set(roles) == {"system", "user", "assistant"}
    text = "\n".join(m["content"] for m in prepared)
    assert all(part in text for part in ("get_weather", "Rome", '{"degrees": 20}', "noon", "Thanks."))


@pytest.mark.parametrize("name", ["default", "gemma3"])
def test_without_a_template_for_tools_the_system_prompt_tells_of_them(name: str) -> None:
    text = _FORMATS[name].describe(TOOLS)
    for tool in TOOLS:
        assert f'"name": "{tool.name}"' in text
        assert json.dumps(tool.parameters) in text
    assert _FORMATS["hermes"].describe(TOOLS) == ""


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.id)
def test_a_malformed_call_in_the_history_is_named(family: Family) -> None:
    for calls, where in (
        ("x", r"messages\[0\]\.tool_calls"),
        ([{"id": "a"}], r"messages\[0\]\.tool_calls\[0\]"),
        (
            [{"id": "a", "function": {"name": "f", "arguments": [1]}}],
            r"tool_calls\[0\]\.function\.arguments is of type",
        ),
    ):
        with pytest.raises(UsageError, match=where):
            family.make({}).prepare([{"role": "assistant", "content": "", "tool_calls": calls}])


def test_messages_of_the_caller_stay_as_they_are() -> None:
    before = json.dumps(TALK)
    for tool_format in (*_FORMATS.values(), DEFAULT_FORMAT):
        tool_format.prepare(TALK, TOOLS)
    assert json.dumps(TALK) == before


def test_half_a_character_in_arguments_is_replaced_since_no_tokenizer_takes_it() -> None:
    arguments = '{"note": "\\ud83d", "face": "\\ud83d\\ude42"}'
    talk = [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}]
    (message,) = _FORMATS["hermes"].prepare(talk)
    assert message["tool_calls"][0]["function"]["arguments"] == {"note": "\ufffd", "face": "🙂"}
