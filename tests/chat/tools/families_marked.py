"""Families whose calls stand between control tokens or tags of their own: data, as in `families.py`."""

from __future__ import annotations

from hearth.chat.tools.harmony import Harmony
from hearth.chat.tools.listed import Command, Nemotron, ToolCallLines, ToolCalls
from hearth.chat.tools.named import DEEPSEEK, DEEPSEEK_FENCED, KIMI, SOLAR, NamedCalls
from hearth.chat.tools.pythonic import LFM2, OLMO_3, Pythonic
from hearth.chat.tools.tagged import TaggedCalls
from hearth.chat.tools.tags import DSML, GLM, HUNYUAN, MINICPM, MINIMAX, SEED

from .family import LIST_CALL, LIST_ITEM, LIST_TIME, LLAMA_CPP_TESTS, OSLO, PARIS, TIME, Example, Family, template

_DEEPSEEK_CARD = "https://huggingface.co/deepseek-ai/DeepSeek-V3.1"
_DEEPSEEK_R1 = "https://huggingface.co/deepseek-ai/DeepSeek-R1-0528"
_KIMI_DOCS = "https://huggingface.co/moonshotai/Kimi-K2-Instruct/blob/main/docs/tool_call_guidance.md"
_COHERE = "https://docs.cohere.com/docs/command-r7b-hf"
_HARMONY = "https://github.com/openai/harmony/blob/main/docs/format.md"
_LIQUID = "https://docs.liquid.ai/lfm/key-concepts/tool-use"
_GLM = "https://huggingface.co/zai-org/GLM-4.5"
_WEATHER = '{"location": "Paris, France", "unit": "celsius"}'

MARKED = (
    Family(
        "harmony",
        Harmony,
        (
            Example(
                "<|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>"
                f"{_WEATHER}",
                [PARIS],
                _HARMONY,
            ),
            Example(
                f"<|start|>assistant to=functions.get_weather<|channel|>commentary json<|message|>{_WEATHER}",
                [PARIS],
                "https://huggingface.co/openai/gpt-oss-20b/blob/main/chat_template.jinja",
            ),
            Example("<|channel|>commentary to=functions.get_time<|message|>{}", [TIME], LLAMA_CPP_TESTS),
            Example("to=functions.get_time<|channel|>analysis <|constrain|>json<|message|>{}", [TIME], LLAMA_CPP_TESTS),
            Example("It goes to=functions.get_time.", ["It goes to=functions.get_time."], _HARMONY),
        ),
        template(
            " to=functions.{{ f.name }}<|channel|>commentary json<|message|>{{ f.arguments | tojson }}<|call|>",
            before="<|start|>assistant",
        ),
        control=True,
    ),
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
    Family(
        "glm",
        lambda control: TaggedCalls(GLM, control),
        (
            Example(
                "<tool_call>get_weather\n<arg_key>location</arg_key>\n<arg_value>Paris, France</arg_value>\n"
                "<arg_key>unit</arg_key>\n<arg_value>celsius</arg_value>\n</tool_call>",
                [PARIS],
                _GLM,
            ),
            Example(
                "Both.\n<tool_call>get<arg_key>ids</arg_key><arg_value>[1, 2]</arg_value><arg_key>deep</arg_key>"
                "<arg_value>true</arg_value></tool_call><tool_call>get_time</tool_call>",
                ["Both.", ("get", {"ids": [1, 2], "deep": True}), TIME],
                "https://huggingface.co/zai-org/GLM-4.7-Flash",
            ),
            Example("Tags like <tool_call> are read.", ["Tags like <tool_call> are read."], _GLM, strict=False),
        ),
        template(
            "<tool_call>{{ f.name }}\n{% for k, v in f.arguments | items %}<arg_key>{{ k }}</arg_key>\n"
            "<arg_value>{{ v }}</arg_value>\n{% endfor %}</tool_call>"
        ),
    ),
    Family(
        "glm-tokens",
        lambda control: TaggedCalls(GLM, control),
        (
            Example(
                "<tool_call>get_weather\n<arg_key>location</arg_key>\n<arg_value>Paris, France</arg_value>\n"
                "<arg_key>unit</arg_key>\n<arg_value>celsius</arg_value>\n</tool_call>\n<tool_call>get_time\n"
                "</tool_call>",
                [PARIS, TIME],
                _GLM,
            ),
        ),
        control=True,
    ),
    Family(
        "seed",
        lambda control: TaggedCalls(SEED, control),
        (
            Example(
                "<seed:tool_call>\n<function=get_weather>\n<parameter=location>Paris, France</parameter>\n"
                "<parameter=unit>celsius</parameter>\n</function>\n</seed:tool_call>",
                [PARIS],
                "https://huggingface.co/ByteDance-Seed/Seed-OSS-36B-Instruct",
            ),
        ),
        template(
            "<seed:tool_call>\n<function={{ f.name }}>\n{% for k, v in f.arguments | items %}"
            "<parameter={{ k }}>{{ v }}</parameter>\n{% endfor %}</function>\n</seed:tool_call>"
        ),
    ),
    Family(
        "hunyuan",
        lambda control: TaggedCalls(HUNYUAN, control),
        (
            Example(
                "<tool_calls:opensource>\n<tool_call:opensource>get_weather<tool_sep:opensource>\n"
                "<arg_key:opensource>location</arg_key:opensource>\n<arg_value:opensource>Oslo</arg_value:opensource>\n"
                "<arg_key:opensource>unit</arg_key:opensource>\n<arg_value:opensource>celsius</arg_value:opensource>\n"
                "</tool_call:opensource>\n<tool_call:opensource>get_time<tool_sep:opensource>\n</tool_call:opensource>\n"
                "</tool_calls:opensource>",
                [OSLO, TIME],
                LLAMA_CPP_TESTS,
            ),
        ),
        template(
            "<tool_call:opensource>{{ f.name }}<tool_sep:opensource>\n{% for k, v in f.arguments | items %}"
            "<arg_key:opensource>{{ k }}</arg_key:opensource>\n<arg_value:opensource>{{ v }}</arg_value:opensource>\n"
            "{% endfor %}</tool_call:opensource>\n",
            before="<tool_calls:opensource>\n",
            after="</tool_calls:opensource>",
        ),
        control=True,
    ),
    Family(
        "minimax",
        lambda control: TaggedCalls(MINIMAX, control),
        (
            Example(
                '<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="location">Paris, France</parameter>'
                '\n<parameter name="unit">celsius</parameter>\n</invoke>\n<invoke name="get_time">\n</invoke>\n'
                "</minimax:tool_call>",
                [PARIS, TIME],
                "https://huggingface.co/MiniMaxAI/MiniMax-M2/blob/main/docs/tool_calling_guide.md",
            ),
        ),
        template(
            '<invoke name="{{ f.name }}">\n{% for k, v in f.arguments | items %}'
            '<parameter name="{{ k }}">{{ v }}</parameter>\n{% endfor %}</invoke>\n',
            before="<minimax:tool_call>\n",
            after="</minimax:tool_call>",
        ),
    ),
    Family(
        "minicpm",
        lambda control: TaggedCalls(MINICPM, control),
        (
            Example(
                '<function name="get_weather"><param name="location">Paris, France</param>'
                '<param name="unit">celsius</param></function>\n<function name="get_time"></function>',
                [PARIS, TIME],
                LLAMA_CPP_TESTS,
            ),
        ),
        template(
            '<function name="{{ f.name }}">{% for k, v in f.arguments | items %}'
            '<param name="{{ k }}">{{ v }}</param>{% endfor %}</function>'
        ),
    ),
    Family(
        "dsml",
        lambda control: TaggedCalls(DSML, control),
        (
            Example(
                '<｜DSML｜function_calls>\n<｜DSML｜invoke name="get_weather">\n<｜DSML｜parameter name="location" '
                'string="true">Paris, France</｜DSML｜parameter>\n<｜DSML｜parameter name="unit" string="true">celsius'
                '</｜DSML｜parameter>\n</｜DSML｜invoke>\n<｜DSML｜invoke name="get">\n<｜DSML｜parameter name="ids" '
                'string="false">[1]</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>',
                [PARIS, ("get", {"ids": [1]})],
                "https://huggingface.co/deepseek-ai/DeepSeek-V3.2/blob/main/encoding/README.md",
            ),
        ),
        template(
            '<｜DSML｜invoke name="{{ f.name }}">\n{% for k, v in f.arguments | items %}'
            '<｜DSML｜parameter name="{{ k }}" '
            "string=\"{{ 'true' if v is string else 'false' }}\">{{ v if v is string else v | tojson }}"
            "</｜DSML｜parameter>\n{% endfor %}</｜DSML｜invoke>\n",
            before="\n\n<｜DSML｜function_calls>\n",
            after="</｜DSML｜function_calls>",
        ),
    ),
    Family(
        "lfm2",
        lambda control: Pythonic(LFM2, control),
        (
            Example(
                '<|tool_call_start|>[get_weather(location="Paris, France", unit="celsius")]<|tool_call_end|>',
                [PARIS],
                _LIQUID,
            ),
            Example(
                "Both.<|tool_call_start|>[get(ids=[1, 2], deep=True), get_weather(location='Oslo', unit='celsius')]"
                "<|tool_call_end|>",
                ["Both.", ("get", {"ids": [1, 2], "deep": True}), OSLO],
                _LIQUID,
            ),
        ),
        template(
            "{{ f.name }}({% for k, v in f.arguments | items %}{{ k }}='{{ v }}'{% if not loop.last %}, {% endif %}"
            "{% endfor %})",
            before="<|tool_call_start|>[",
            after="]<|tool_call_end|>",
        ),
        control=True,
    ),
    Family(
        "olmo3",
        lambda control: Pythonic(OLMO_3, control),
        (
            Example(
                '<function_calls>\nget_weather(location="Paris, France", unit="celsius")\nget_time()\n'
                "</function_calls>",
                [PARIS, TIME],
                "https://docs.vllm.ai/en/latest/features/tool_calling",
            ),
        ),
        template(
            "{{ f.name }}({% for k, v in f.arguments | items %}{{ k }}={{ v | tojson }}{% if not loop.last %}, "
            "{% endif %}{% endfor %})\n",
            before="<function_calls>\n",
            after="</function_calls>",
        ),
    ),
)
