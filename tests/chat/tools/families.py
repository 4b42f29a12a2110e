"""The families, and what their makers show of answers with calls: data for all tests of formats.

The examples are the published forms with the tools below put in.
"""

from __future__ import annotations

from hearth.chat.tools.detect import DEFAULT_FORMAT
from hearth.chat.tools.gemma import Gemma3
from hearth.chat.tools.gemma_calls import FUNCTION_GEMMA, GEMMA_4, GemmaCalls
from hearth.chat.tools.granite import Granite
from hearth.chat.tools.hermes import Hermes
from hearth.chat.tools.llama3 import Llama3
from hearth.chat.tools.mistral import MistralList, MistralNamed
from hearth.chat.tools.phi import Phi4Mini
from hearth.chat.tools.tagged import TaggedCalls
from hearth.chat.tools.tags import QWEN_CODER

from .families_marked import MARKED
from .family import (
    LIST_CALL,
    LIST_ITEM,
    LIST_TIME,
    LLAMA_CPP_TESTS,
    OSLO,
    PARIS,
    RAW_TOOLS,
    TIME,
    TOOLS,
    Example,
    Family,
    Read,
    template,
    tool,
)

__all__ = [
    "EXAMPLES",
    "FAMILIES",
    "OSLO",
    "PARIS",
    "RAW_TOOLS",
    "TIME",
    "TOOLS",
    "Example",
    "Family",
    "Read",
    "template",
    "tool",
]


# In a template of the family
HERMES_TEMPLATE = template('<tool_call>\n{{ {"name": f.name, "arguments": f.arguments} | tojson }}\n</tool_call>')
_NOTATION = (
    "%scall:{{ f.name }}{{ '{' }}{%% for k, v in f.arguments | items %%}{{ k }}:%s{{ v }}%s"
    "{%% if not loop.last %%},{%% endif %%}{%% endfor %%}{{ '}' }}%s"
)
_CODER = (
    "<tool_call>\n<function={{ f.name }}>\n{% for k, v in f.arguments | items %}"
    "<parameter={{ k }}>\n{{ v }}\n</parameter>\n{% endfor %}</function>\n</tool_call>"
)
_AS_TEXT = "{%% for m in messages %%}<|start_of_role|>{{ m.role }}<|end_of_role|>%s{{ m.content }}{%% endfor %%}"
GRANITE_TEMPLATE = (
    "{% if tools %}When you need a tool, respond with <|tool_call|> followed by a JSON list of calls."
    "{{ tools | tojson }}{% endif %}" + _AS_TEXT % ""
)
GRANITE_ROLES_TEMPLATE = "{% if tools %}{{ tools | tojson }}{% endif %}" + _AS_TEXT % (
    "{% if m.role == 'assistant_tool_call' %}<|tool_call|>{% endif %}"
)
PHI_TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}"
    "{% if m.tools %}<|tool|>{{ m.tools }}<|/tool|>{% endif %}<|end|>{% endfor %}"
)

_HERMES_CALL = (
    '<tool_call>\n{"name": "get_weather", "arguments": {"location": "Paris, France", "unit": "celsius"}}\n</tool_call>'
)
_HERMES_TIME = '<tool_call>\n{"name": "get_time", "arguments": {}}\n</tool_call>'
_LLAMA_CPP = "https://github.com/ggml-org/llama.cpp/blob/master/docs/function-calling.md"
_QWEN_DOCS = "https://qwen.readthedocs.io/en/latest/framework/function_call.html"
_HERMES = (
    Example(_HERMES_CALL, [PARIS], _QWEN_DOCS),
    Example(f"I look it up.\n{_HERMES_CALL}\n{_HERMES_TIME}", ["I look it up.", PARIS, TIME], _QWEN_DOCS),
    Example("It is 20 degrees.", ["It is 20 degrees."], _QWEN_DOCS),
    Example('<tool_call>{"name":"get_time","arguments":{}}</tool_call>', [TIME], _LLAMA_CPP),
    Example('<tool_call>\n{"name": "get_time", "arguments": null}\n</tool_call>', [TIME], _QWEN_DOCS),
    Example(
        '<tool_call>\n{"type": "function", "function": {"name": "get_time", "arguments": {}}}\n</tool_call>',
        [TIME],
        "https://platform.openai.com/docs/guides/function-calling",
    ),
    Example(
        '<tool_call>\n{"arguments": {}, "name": "get_time"}\n</tool_call>',
        [TIME],
        "https://github.com/NousResearch/Hermes-Function-Calling",
        strict=False,
    ),
)
_LLAMA_CALL = '{"name": "get_weather", "parameters": {"location": "Paris, France", "unit": "celsius"}}'
_LLAMA_TIME = '{"name": "get_time", "parameters": {}}'
_META = "https://www.llama.com/docs/model-cards-and-prompt-formats/llama3_1/"
_GOOGLE_3 = "https://ai.google.dev/gemma/docs/capabilities/function-calling"
_GOOGLE_F = "https://ai.google.dev/gemma/docs/functiongemma/formatting-and-best-practices"
_GOOGLE_4 = "https://ai.google.dev/gemma/docs/capabilities/text/function-calling-gemma4"
_MISTRAL = "https://github.com/mistralai/mistral-common"
_CODER_CALL = (
    "<tool_call>\n<function=get_weather>\n<parameter=location>\nParis, France\n</parameter>\n<parameter=unit>\n"
    "celsius\n</parameter>\n</function>\n</tool_call>"
)
_CODER_CALL_ALONE = _CODER_CALL.removeprefix("<tool_call>\n")

FAMILIES = (
    Family("hermes", Hermes, _HERMES, HERMES_TEMPLATE),
    Family("default", lambda _: DEFAULT_FORMAT, _HERMES),
    Family(
        "llama3",
        Llama3,
        (
            Example(_LLAMA_CALL, [PARIS], _META),
            Example(f"<|python_tag|>{_LLAMA_CALL}", [PARIS], _META),
            Example(
                f"{_LLAMA_CALL}; {_LLAMA_TIME}", [PARIS, TIME], "https://docs.vllm.ai/en/latest/features/tool_calling"
            ),
            Example('{"a": 1}', ['{"a": 1}'], _META),
            Example('{"name": "get_time", "arguments": {}}', [TIME], "https://github.com/meta-llama/llama-models"),
            Example(f'{{"type": "function", {_LLAMA_CALL[1:]}', [PARIS], _LLAMA_CPP),
            Example(f'<|python_tag|>{{"type": "function", {_LLAMA_CALL[1:]}', [PARIS], _LLAMA_CPP),
            Example(f"{_LLAMA_CALL}\n{_LLAMA_TIME}", [PARIS, TIME], _LLAMA_CPP),
            Example(f"I look it up.\n\n{_LLAMA_CALL}", ["I look it up.", PARIS], _LLAMA_CPP),
            Example('{\n  "name": "get_time",\n  "parameters": {}\n}', [TIME], _META),
        ),
        template('{{ {"name": f.name, "parameters": f.arguments} | tojson }}'),
        control=True,
    ),
    Family(
        "mistral",
        MistralList,
        (
            Example(f"[TOOL_CALLS] [{LIST_CALL}]", [PARIS], _MISTRAL),
            Example(f"[TOOL_CALLS][{LIST_CALL}, {LIST_TIME}]", [PARIS, TIME], _MISTRAL),
            Example('[TOOL_CALLS] [{"name": "get_time", "arguments": {}, "id": "VvvODy9mT"}]', [TIME], _MISTRAL),
        ),
        template(LIST_ITEM, before="[TOOL_CALLS] [", after="]"),
        control=True,
    ),
    Family(
        "mistral-named",
        MistralNamed,
        (
            Example('[TOOL_CALLS]get_weather[ARGS]{"location": "Paris, France", "unit": "celsius"}', [PARIS], _MISTRAL),
            Example(
                'Both.[TOOL_CALLS]get_time[ARGS]{}[TOOL_CALLS]get_weather[ARGS]{"location": "Paris, France", "unit":'
                ' "celsius"}',
                ["Both.", TIME, PARIS],
                _MISTRAL,
            ),
            Example("[TOOL_CALLS]get_time{}", [TIME], _MISTRAL, strict=False),
            Example(f"[TOOL_CALLS][{LIST_CALL}, {LIST_TIME}]", [PARIS, TIME], _MISTRAL),
            Example(f"[TOOL_CALLS] [{LIST_TIME}]", [TIME], _MISTRAL),
        ),
        template("[TOOL_CALLS]{{ f.name }}[ARGS]{{ f.arguments | tojson }}"),
        control=True,
    ),
    Family(
        "mistral-id",
        lambda control: MistralNamed(control, with_id=True),
        (Example("[TOOL_CALLS]get_time[CALL_ID]VvvODy9mT[ARGS]{}", [TIME], _MISTRAL),),
        template("[TOOL_CALLS]{{ f.name }}[CALL_ID]{{ c.id }}[ARGS]{{ f.arguments | tojson }}"),
        control=True,
    ),
    Family(
        "granite",
        Granite,
        (
            Example(f"<|tool_call|>[{LIST_CALL}]", [PARIS], "https://www.ibm.com/granite/docs/models/granite"),
            Example(
                f"<tool_call>[{LIST_CALL}, {LIST_TIME}]",
                [PARIS, TIME],
                "https://docs.vllm.ai/en/latest/features/tool_calling",
            ),
        ),
        GRANITE_TEMPLATE,
        control=True,
    ),
    Family(
        "phi4-mini",
        Phi4Mini,
        (
            Example(
                f"<|tool_call|>[{LIST_CALL}, {LIST_TIME}]<|/tool_call|>",
                [PARIS, TIME],
                "https://github.com/guidance-ai/llguidance/blob/main/docs/toolcalls.md",
            ),
        ),
        PHI_TEMPLATE,
        control=True,
    ),
    Family(
        "gemma3",
        Gemma3,
        (
            Example(_LLAMA_CALL, [PARIS], _GOOGLE_3),
            Example(f"```tool_code\n{_LLAMA_CALL}\n```", [PARIS], _GOOGLE_3),
            Example(f"```json\n[{_LLAMA_CALL}, {_LLAMA_TIME}]\n```", [PARIS, TIME], _GOOGLE_3),
            Example(f"Let me see.\n```\n{_LLAMA_TIME}\n```", ["Let me see.", TIME], _GOOGLE_3),
            Example('```tool_code\nget_weather(location="Paris, France", unit="celsius")\n```', [PARIS], _GOOGLE_3),
            Example('```tool_code\nprint(get_weather(unit="celsius", location="Oslo"))\n```', [OSLO], _GOOGLE_3),
            Example("```tool_code\nget_weather('Oslo', unit='celsius')\n```", [OSLO], _GOOGLE_3, strict=False),
            Example("```python\nget_time()\n```", ["```python\nget_time()\n```"], _GOOGLE_3),
            Example("```json\n[1, 2]\n```", ["```json\n[1, 2]\n```"], _GOOGLE_3),
        ),
        "{% for m in messages %}<start_of_turn>{{ m.role }}{{ m.content }}<end_of_turn>{% endfor %}",
    ),
    Family(
        "function-gemma",
        lambda control: GemmaCalls("function-gemma", FUNCTION_GEMMA, control),
        (
            Example(
                "<start_function_call>call:get_weather{location:<escape>Paris, France<escape>,unit:<escape>celsius"
                "<escape>}<end_function_call>",
                [PARIS],
                _GOOGLE_F,
            ),
            Example(
                "<start_function_call>call:get_time{}<end_function_call><start_function_call>call:get{deep:true,ids:[1,2]}"
                "<end_function_call>",
                [TIME, ("get", {"deep": True, "ids": [1, 2]})],
                _GOOGLE_F,
            ),
        ),
        template(_NOTATION % ("<start_function_call>", "<escape>", "<escape>", "<end_function_call>")),
        control=True,
    ),
    Family(
        "gemma4",
        lambda control: GemmaCalls("gemma4", GEMMA_4, control),
        (
            Example(
                '<|tool_call>call:get_weather{location:<|"|>Paris, France<|"|>,unit:<|"|>celsius<|"|>}<tool_call|>',
                [PARIS],
                _GOOGLE_4,
            ),
        ),
        template(_NOTATION % ("<|tool_call>", '<|"|>', '<|"|>', "<tool_call|>")),
        control=True,
    ),
    Family(
        "qwen-coder",
        lambda control: TaggedCalls(QWEN_CODER, control),
        (
            Example(_CODER_CALL, [PARIS], "https://huggingface.co/Qwen/Qwen3-Coder-30B-A3B-Instruct"),
            Example(
                "<tool_call>\n<function=get>\n<parameter=ids>\n[1]\n</parameter>\n</function>\n</tool_call>\n<tool_call>\n"
                "<function=get_time>\n</function>\n</tool_call>",
                [("get", {"ids": [1]}), TIME],
                "https://huggingface.co/Qwen/Qwen3-Coder-30B-A3B-Instruct",
            ),
            Example(_CODER_CALL.removeprefix("<tool_call>\n"), [PARIS], LLAMA_CPP_TESTS),
            Example(
                f"I look.\n{_CODER_CALL.removeprefix('<tool_call>' + chr(10))}", ["I look.", PARIS], LLAMA_CPP_TESTS
            ),
            Example(
                "<tool_call>\n<function=get_weather>\n<parameter=location>Oslo</parameter>\n<parameter=unit>celsius"
                "</parameter>\n</function>\n</tool_call>",
                [OSLO],
                LLAMA_CPP_TESTS,
            ),
            Example(
                "<tool_call>\n<function=get_weather>\n<parameter=days>\n3\n</parameter>\n<parameter=location>\nOslo\n"
                "</parameter>\n</function>\n</tool_call>",
                [("get_weather", {"days": 3, "location": "Oslo"})],
                LLAMA_CPP_TESTS,
            ),
            Example("See <function=get_time> in the list.", ["See <function=get_time> in the list."], LLAMA_CPP_TESTS),
        ),
        template(_CODER),
    ),
    *MARKED,
)
EXAMPLES = [(family, example) for family in FAMILIES for example in family.examples]
