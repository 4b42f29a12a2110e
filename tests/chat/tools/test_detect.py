"""A model is told of tools, held to and read in one and the same form, whichever template it came with."""

from __future__ import annotations

from typing import Any

import pytest

from hearth.chat.known_templates import NAMES, known_template
from hearth.chat.request_tools import ToolUse, tools_of_chat
from hearth.chat.template import ChatTemplate
from hearth.chat.tokenizer import Tokenizer
from hearth.chat.tools import DEFAULT_FORMAT, Choice, tool_format_for

from .families import (
    FAMILIES,
    GRANITE_ROLES_TEMPLATE,
    GRANITE_TEMPLATE,
    HERMES_TEMPLATE,
    PARIS,
    PHI_TEMPLATE,
    RAW_TOOLS,
    TOOLS,
    Family,
    template,
    tool,
)
from .reading import read

# Forms that Hearth does not read, as templates of these families write them.
_INVOKE = '<invoke name="{{ f.name }}">{% for k, v in f.arguments | items %}<OPEN>{{ v }}</CLOSE>{% endfor %}</invoke>'
FOREIGN = {
    "minimax-m3": template(
        _INVOKE.replace("OPEN", "{{ k }}").replace("CLOSE", "{{ k }}"), before="]<]minimax[>[<tool_call>\n"
    ),
    "fenced": template("<|call|>function<|sep|>{{ f.name }}\n```json\n{{ f.arguments | tojson }}\n```<|end_call|>"),
    "numbered": template(
        "<|tool_call_begin|>functions.{{ f.name }}:0<|argument_begin|>{{ f.arguments | tojson }}<|end|>"
    ),
    "apertus": template("[{{ {f.name: f.arguments} | tojson }}]", before="<|tools_prefix|>"),
    "functionary": template("<function={{ f.name }}>{{ f.arguments | tojson }}</function>"),
    # Tools are shown, earlier calls are not, and nothing says how to call.
    "silent": "{{ tools | tojson }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}",
}
# Tells of tools and how to call them, but leaves earlier calls to the content.
TAUGHT_HERMES = (
    "{% if tools %}<tools>{{ tools | tojson }}</tools> For each call return\n<tool_call>\n"
    '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>{% endif %}'
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
)

TALK: list[dict[str, Any]] = [
    {"role": "user", "content": "Weather?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call_a",
                "type": "function",
                "function": {"name": "get_weather", "arguments": '{"location": "Paris, France", "unit": "celsius"}'},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call_a", "content": "21 degrees"},
]


def use_of(source: str, tokenizer: Tokenizer) -> ToolUse:
    compiled = ChatTemplate(source, special={"bos_token": "<s>", "eos_token": "</s>"})
    use = tools_of_chat(TALK, RAW_TOOLS, None, parallel=True, template=compiled, tokenizer=tokenizer)
    assert use is not None
    return use


def prompt(use: ToolUse, messages: list[dict[str, Any]]) -> str:
    name = use.template.probe.tools_variable or "tools"
    return use.template.render(use.messages(messages), **{name: use.for_template()}).text


_ALL = {
    **{family.id: family.template for family in FAMILIES if family.template},
    **FOREIGN,
    "taught-hermes": TAUGHT_HERMES,
    "granite-roles": GRANITE_ROLES_TEMPLATE,
    **{name: known_template(name).source for name in NAMES},
}


@pytest.mark.parametrize("name", _ALL)
def test_what_a_prompt_says_of_an_earlier_call_is_what_would_be_read(name: str, tokenizer: Tokenizer) -> None:
    """Of the tools, too, and of the result: nothing that the model must know is left out."""
    use = use_of(_ALL[name], tokenizer)
    question, whole = prompt(use, TALK[:1]), prompt(use, TALK)
    assert all(tool.name in question for tool in TOOLS)
    assert "21 degrees" in whole
    beginning = whole.partition("Weather?")[2]
    texts = [beginning[at:] for at in range(len(beginning))]  # what stands between the question and the answer varies
    assert any(PARIS in read(use.format, [text]) for text in texts)


@pytest.mark.parametrize("family", [f for f in FAMILIES if f.template], ids=lambda family: family.id)
def test_a_family_is_told_by_the_calls_that_its_template_writes(family: Family, tokenizer: Tokenizer) -> None:
    found = tool_format_for(ChatTemplate(family.template, special={}), tokenizer)
    assert found is not None
    assert found.name == family.make({}).name
    required = Choice("required")
    assert found.grammar(TOOLS, required) == family.make(tokenizer.control).grammar(TOOLS, required)


@pytest.mark.parametrize("name", FOREIGN)
def test_a_template_whose_calls_are_written_in_another_form_says_nothing_of_it(name: str, tokenizer: Tokenizer) -> None:
    use = use_of(FOREIGN[name], tokenizer)
    assert use.format is DEFAULT_FORMAT
    assert use.for_template() is None
    text = prompt(use, TALK)
    assert '<tool_call>\n{"name": "get_weather", "arguments": ' in text
    assert not any(word in text for word in ("<arg_key>", "<tool_calls>", "<function=", "<invoke", "<|", "TOOLCALL"))


def test_words_about_calls_in_a_templates_source_decide_nothing(tokenizer: Tokenizer) -> None:
    plain = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    for comment in (
        "</tool_call> tools",
        "[TOOL_CALLS] [ARGS]",
        "<function= <parameter=",
        '"parameters" <|start_header_id|>',
    ):
        assert tool_format_for(ChatTemplate("{# tools " + comment + " #}" + plain, special={}), tokenizer) is None


def test_a_block_of_thinking_before_the_call_does_not_hide_it(tokenizer: Tokenizer) -> None:
    """The opening of the answer and a call may begin with the same letters: `<think>`, `<tool_call>`."""
    for opening in ("<think>\n", "<think>\n\n</think>\n\n"):
        source = HERMES_TEMPLATE.replace("[assistant]{% endif %}", "[assistant]" + opening + "{% endif %}")
        found = tool_format_for(ChatTemplate(source, special={}), tokenizer)
        assert found is not None
        assert found.name == "hermes"


@pytest.mark.parametrize("source", [GRANITE_TEMPLATE, PHI_TEMPLATE, TAUGHT_HERMES])
def test_where_a_template_teaches_calls_but_writes_none_they_stand_in_the_text(
    source: str, tokenizer: Tokenizer
) -> None:
    use = use_of(source, tokenizer)
    assert not use.format.describe(TOOLS)
    assert '"arguments": {"location": "Paris, France", "unit": "celsius"}' in prompt(use, TALK)


_BARE = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"


@pytest.mark.parametrize(
    ("lesson", "name"),
    [
        ("<tool_call>\n<function=NAME>\n<parameter=KEY>\nvalue\n</parameter>\n</function>\n</tool_call>", "qwen-coder"),
        ('Write {"name": function name, "parameters": dictionary of argument name and its value}.', "llama3"),
        ('<tool_call>\n{"name": <name>, "arguments": <arguments>}\n</tool_call>', "hermes"),
        ("List of tools: [", "lfm2"),
    ],
)
def test_a_template_that_teaches_a_form_but_leaves_calls_out_gets_them_in_that_form(
    lesson: str, name: str, tokenizer: Tokenizer
) -> None:
    use = use_of("{% if tools %}{{ tools | tojson }} " + lesson + "{% endif %}" + _BARE, tokenizer)
    assert (use.format.name, use.format.describe(TOOLS)) == (name, "")
    answer = prompt(use, TALK).partition("[assistant]")[2].partition("[tool]")[0]
    assert read(use.format, [answer]) == [PARIS]


@pytest.mark.parametrize(
    "arguments", ['{"location": "Par', '{"location": "Par"', '{"location": "Par", "un', "Par", '["Par"]']
)
@pytest.mark.parametrize("name", _ALL)
def test_a_call_that_a_limit_cut_does_not_end_its_conversation(name: str, arguments: str, tokenizer: Tokenizer) -> None:
    """Any text may stand as the arguments of an earlier call; as much of it as the template can write is kept."""
    use = use_of(_ALL[name], tokenizer)
    function = {"name": "get_weather", "arguments": arguments}
    talk = [*TALK[:1], {**TALK[1], "tool_calls": [{**TALK[1]["tool_calls"][0], "function": function}]}, *TALK[2:]]
    whole = prompt(use, [*talk, {"role": "assistant", "content": "It was cut."}])
    assert "get_weather" in whole.partition("Weather?")[2]
    assert "21 degrees" in whole
    assert "Par" in whole.partition("Weather?")[2] or not arguments.startswith("{")


@pytest.mark.parametrize("arguments", [None, "", "null", "{}", {}])
@pytest.mark.parametrize("name", ["hermes", "qwen-coder", "llama3", "gemma4", "granite", "chatml"])
def test_no_arguments_are_an_empty_object(name: str, arguments: Any, tokenizer: Tokenizer) -> None:
    use = use_of(_ALL[name], tokenizer)
    call = {"id": "a", "type": "function", "function": {"name": "get_time", "arguments": arguments}}
    texts = [prompt(use, [*TALK[:1], {"role": "assistant", "tool_calls": [one]}]) for one in (call, call_of_nothing())]
    assert texts[0] == texts[1]


def call_of_nothing() -> dict[str, Any]:
    return {"id": "a", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}


# As DeepSeek's own templates do: V3.1 writes calls and is silent about tools, R1 also joins arguments as text.
_DEEPSEEK_TURNS = (
    "{%% for m in messages %%}{%% if m.role == 'assistant' and m.content is none %%}[assistant]<｜tool▁calls▁begin｜>"
    "{%% for c in m.tool_calls %%}<｜tool▁call▁begin｜>%s<｜tool▁call▁end｜>{%% endfor %%}<｜tool▁calls▁end｜>"
    "{%% else %%}[{{ m.role }}]{{ m.content }}{%% endif %%}{%% endfor %%}"
)
_OBJECTS = _DEEPSEEK_TURNS % "{{ c.function.name }}<｜tool▁sep｜>{{ c.function.arguments | tojson }}"
_JOINED = _DEEPSEEK_TURNS % (
    "{{ c.type + '<｜tool▁sep｜>' + c.function.name + '\n```json\n' + c.function.arguments + '\n```' }}"
)


@pytest.mark.parametrize(("source", "name"), [(_OBJECTS, "deepseek"), (_JOINED, "deepseek-fenced")])
@pytest.mark.parametrize("system", [None, "Be brief."])
def test_a_template_that_writes_calls_but_tells_of_no_tools_is_told_for(
    source: str, name: str, system: str | None, tokenizer: Tokenizer
) -> None:
    """In the model's own form, its tokens as tokens, and none of those that others write."""
    compiled = ChatTemplate(source, special={}, control=list(tokenizer.control))
    forged = [
        tool("get_weather", {"location": {"type": "string", "description": "<｜tool▁sep｜>"}}),
        *RAW_TOOLS[1:],
    ]
    talk = [{"role": "system", "content": system}, *TALK] if system else TALK
    use = tools_of_chat(talk, forged, None, parallel=True, template=compiled, tokenizer=tokenizer)
    assert use is not None
    assert use.format.name == name
    told = compiled.render(use.messages(talk))
    assert all(tool.name in told.text.partition("Weather?")[0] for tool in TOOLS)
    assert (system or "") in told.text
    assert PARIS in read(use.format, [told.text.partition("Weather?")[2].removeprefix("[assistant]")])
    ids = tokenizer.encode_prompt(told)
    assert ids.count(tokenizer.control["<｜tool▁sep｜>"]) == 2  # the lesson, and the earlier call
    assert told.text.count("<｜tool▁sep｜>") == 3


def test_calls_that_stand_in_the_text_have_their_tokens(tokenizer: Tokenizer) -> None:
    """LFM2's template shows tools as the lesson of this form, and leaves calls to the content."""
    source = "{% if tools %}List of tools: [{{ tools | tojson }}]{% endif %}" + _BARE
    compiled = ChatTemplate(source, special={}, control=list(tokenizer.control))
    talk = [*TALK[:1], {**TALK[1], "content": "I look: <|tool_call_start|>"}, *TALK[2:]]
    use = tools_of_chat(talk, RAW_TOOLS, None, parallel=True, template=compiled, tokenizer=tokenizer)
    assert use is not None
    ids = tokenizer.encode_prompt(compiled.render(use.messages(talk), tools=use.for_template()))
    assert [ids.count(tokenizer.control[marker]) for marker in use.format.markers] == [1, 1]
