"""Families whose calls stand between control tokens or tags of their own: data, as in `families.py`."""

from __future__ import annotations

from hearth.chat.tools.listed import Command, Nemotron, ToolCallLines, ToolCalls
from hearth.chat.tools.named import DEEPSEEK, DEEPSEEK_FENCED, KIMI, SOLAR, NamedCalls

from .family import LIST_CALL, LIST_ITEM, LIST_TIME, LLAMA_CPP_TESTS, PARIS, TIME, Example, Family, template

_DEEPSEEK_CARD = "https://huggingface.co/deepseek-ai/DeepSeek-V3.1"
_DEEPSEEK_R1 = "https://huggingface.co/deepseek-ai/DeepSeek-R1-0528"
_KIMI_DOCS = "https://huggingface.co/moonshotai/Kimi-K2-Instruct/blob/main/docs/tool_call_guidance.md"
_COHERE = "https://docs.cohere.com/docs/command-r7b-hf"
_WEATHER = '{"location": "Paris, France", "unit": "celsius"}'

MARKED = (
    Family(
        "deepseek",
        lambda control: NamedCalls("deepseek", DEEPSEEK, control),
        (
            Example(
                f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{_WEATHER}<｜tool▁call▁end｜>"
                "<｜tool▁calls▁end｜>",
                [PARIS],
                _DEEPSEEK_CARD,
            ),
            Example(
                "Both.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_time<｜tool▁sep｜>{}<｜tool▁call▁end｜>"
                f"<｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{_WEATHER}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
                ["Both.", TIME, PARIS],
                _DEEPSEEK_CARD,
            ),
            Example(
                "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_time<｜tool▁sep｜>{}",
                [TIME],
                LLAMA_CPP_TESTS,
                strict=False,
            ),
        ),
        template(
            "<｜tool▁call▁begin｜>{{ f.name }}<｜tool▁sep｜>{{ f.arguments | tojson }}<｜tool▁call▁end｜>",
            before="<｜tool▁calls▁begin｜>",
            after="<｜tool▁calls▁end｜>",
        ),
        control=True,
    ),
    Family(
        "deepseek-fenced",
        lambda control: NamedCalls("deepseek-fenced", DEEPSEEK_FENCED, control),
        (
            Example(
                "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n"
                f"{_WEATHER}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_time\n```json\n{{}}\n"
                "```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
                [PARIS, TIME],
                _DEEPSEEK_R1,
            ),
        ),
        template(
            "<｜tool▁call▁begin｜>{{ c.type }}<｜tool▁sep｜>{{ f.name }}\n```json\n{{ f.arguments | tojson }}\n```"
            "<｜tool▁call▁end｜>",
            before="<｜tool▁calls▁begin｜>",
            after="<｜tool▁calls▁end｜>",
        ),
        control=True,
    ),
    Family(
        "kimi",
        lambda control: NamedCalls("kimi", KIMI, control),
        (
            Example(
                "I look.<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0"
                f"<|tool_call_argument_begin|>{_WEATHER}<|tool_call_end|><|tool_call_begin|>functions.get_time:1"
                "<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>",
                ["I look.", PARIS, TIME],
                _KIMI_DOCS,
            ),
            Example(
                "<|tool_calls_section_begin|><|tool_call_begin|>get_time:0<|tool_call_argument_begin|>{}"
                "<|tool_call_end|><|tool_calls_section_end|>",
                [TIME],
                LLAMA_CPP_TESTS,
                strict=False,
            ),
        ),
        template(
            "<|tool_call_begin|>{{ c.id }}<|tool_call_argument_begin|>{{ f.arguments | tojson }}<|tool_call_end|>",
            before="<|tool_calls_section_begin|>",
            after="<|tool_calls_section_end|>",
        ),
        control=True,
    ),
    Family(
        "solar",
        lambda control: NamedCalls("solar", SOLAR, control),
        (
            Example(
                f"<|tool_calls|><|tool_call:begin|>x1<|tool_call:name|>get_weather<|tool_call:args|>{_WEATHER}"
                "<|tool_call:end|><|calls|>",
                [PARIS],
                LLAMA_CPP_TESTS,
            ),
        ),
        template(
            "<|tool_call:begin|>{{ c.id }}<|tool_call:name|>{{ f.name }}<|tool_call:args|>{{ f.arguments | tojson }}"
            "<|tool_call:end|>",
            before="<|tool_calls|>",
            after="<|calls|>",
        ),
        control=True,
    ),
    Family(
        "nemotron",
        Nemotron,
        (
            Example(f"<TOOLCALL>[{LIST_CALL}]</TOOLCALL>", [PARIS], LLAMA_CPP_TESTS),
            Example(
                f"I look.\n<TOOLCALL>[{LIST_CALL}, {LIST_TIME}]</TOOLCALL>",
                ["I look.", PARIS, TIME],
                LLAMA_CPP_TESTS,
            ),
        ),
        template(LIST_ITEM, before="<TOOLCALL>[", after="]</TOOLCALL>"),
    ),
    Family(
        "tool-calls",
        ToolCalls,
        (Example(f"<tool_calls>[{LIST_CALL}, {LIST_TIME}]</tool_calls>", [PARIS, TIME], LLAMA_CPP_TESTS),),
        template(LIST_ITEM, before="<tool_calls>[", after="]</tool_calls>"),
    ),
    Family(
        "tool-call-lines",
        ToolCallLines,
        (
            Example(
                f"<tool_calls>\n{LIST_CALL}\n{LIST_TIME}\n</tool_calls>",
                [PARIS, TIME],
                "https://huggingface.co/MiniMaxAI/MiniMax-M1-80k/blob/main/docs/function_call_guide.md",
            ),
        ),
        template(
            '{{ {"name": f.name, "arguments": f.arguments} | tojson }}\n',
            before="<tool_calls>\n",
            after="</tool_calls>",
        ),
    ),
    Family(
        "command",
        Command,
        (
            Example(
                '<|START_ACTION|>[\n    {"tool_call_id": "0", "tool_name": "get_weather", "parameters": '
                f"{_WEATHER}}},\n"
                '    {"tool_call_id": "1", "tool_name": "get_time", "parameters": {}}\n]<|END_ACTION|>',
                [PARIS, TIME],
                _COHERE,
            ),
        ),
        template(
            '{"tool_call_id": "{{ loop.index0 }}", "tool_name": "{{ f.name }}", "parameters": '
            "{{ f.arguments | tojson }}}{% if not loop.last %},{% endif %}\n",
            before="<|START_ACTION|>[\n",
            after="]<|END_ACTION|>",
        ),
        control=True,
    ),
)
