"""Well-known chat formats, for models that come without a template (most often a GGUF file whose maker left it out).

Each is written here from its published description. Which one a model wants is told by the control tokens in its
vocabulary, else by its name; a guess is always said aloud, and `--template NAME` decides otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from hearth.errors import TemplateError, UsageError


@dataclass(frozen=True)
class KnownTemplate:
    """One chat format.

    Attributes:
        name: as `--template` takes it.
        source: Jinja.
        tokens: a vocabulary with all of these was made for this format; () where tokens tell nothing.
        names: pattern of the (lower-case) names of models that use it; "" for none.
        stops: texts with which a model ends its turn where it has no token for that.
    """

    name: str
    source: str
    tokens: tuple[str, ...] = ()
    names: str = ""
    stops: tuple[str, ...] = ()


# Formats without a system role put the system prompt before the first user message. `system` and `turns` after this:
_SPLIT_SYSTEM = """
{%- if messages[0].role == 'system' -%}
  {%- set system = messages[0].content -%}
  {%- set turns = messages[1:] -%}
{%- else -%}
  {%- set system = '' -%}
  {%- set turns = messages -%}
{%- endif -%}
"""


def _plain(turn: str, opening: str, start: str = "") -> str:
    """A format in which all turns look alike: `turn` for each message `m`, then the opening of the answer."""
    loop = "{%- for m in messages -%}" + turn + "{%- endfor -%}"
    return start + loop + "{%- if add_generation_prompt -%}" + opening + "{%- endif -%}"


def _inst(user: str, assistant: str, system: str = "") -> str:
    """The `[INST]` formats. With no `system` turn of its own, the system prompt opens the first instruction."""
    own = "{%- if system -%}" + system + "{%- set system = '' -%}{%- endif -%}" if system else ""
    return (
        _SPLIT_SYSTEM
        + "{{- bos_token -}}"
        + own
        + "{%- for m in turns -%}{%- if m.role == 'assistant' -%}"
        + assistant
        + "{%- else -%}{%- set text = system + '\\n\\n' + m.content if system and loop.first else m.content -%}"
        + user
        + "{%- endif -%}{%- endfor -%}"
    )


def _tekken(tools_before: str, call: str, result: str, calls: tuple[str, str] = ("", "")) -> str:
    """Mistral's formats from v7 on, as mistral-common writes them where the vocabulary is a tekken.json: no spaces.

    Args:
        tools_before: which of the user's messages the tools stand before: "first" or "last".
        call: one of a turn's calls `c`, of the function `f`.
        result: a message `m` with a result.
        calls: what stands around all calls of a turn.
    """
    first = "{%- if at.user < 0 -%}" if tools_before == "first" else "{%- if true -%}"
    return (
        _SPLIT_SYSTEM
        + "{{- bos_token -}}{%- if system -%}{{- '[SYSTEM_PROMPT]' + system + '[/SYSTEM_PROMPT]' -}}{%- endif -%}"
        + "{%- set at = namespace(user=-1) -%}{%- for m in turns -%}{%- if m.role == 'user' -%}"
        + first
        + "{%- set at.user = loop.index0 -%}{%- endif -%}{%- endif -%}{%- endfor -%}"
        + "{%- for m in turns -%}{%- if m.role == 'user' -%}{%- if tools and loop.index0 == at.user -%}"
        + "{{- '[AVAILABLE_TOOLS]' + tools | tojson + '[/AVAILABLE_TOOLS]' -}}{%- endif -%}"
        + "{{- '[INST]' + m.content + '[/INST]' -}}{%- elif m.role == 'tool' -%}"
        + result
        + "{%- else -%}{{- m.content -}}{%- if m.tool_calls -%}"
        + calls[0]
        + "{%- for c in m.tool_calls -%}{%- set f = c.function -%}"
        + call
        + "{%- endfor -%}"
        + calls[1]
        + "{%- endif -%}{{- eos_token -}}{%- endif -%}{%- endfor -%}"
    )


_RESULT_BY_ID = "{{- '[TOOL_RESULTS]' + m.tool_call_id + '[TOOL_CONTENT]' + m.content + '[/TOOL_RESULTS]' -}}"
_LLAMA2 = _SPLIT_SYSTEM + (
    "{%- for m in turns -%}{%- if m.role == 'assistant' -%}{{- ' ' + m.content | trim + ' ' + eos_token -}}{%- else -%}"
    "{%- set text = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + m.content if system and loop.first else m.content -%}"
    "{{- bos_token + '[INST] ' + text | trim + ' [/INST]' -}}{%- endif -%}{%- endfor -%}"
)
_GEMMA = (
    _SPLIT_SYSTEM
    + "{{- bos_token -}}{%- for m in turns -%}"
    + "{%- set text = system + '\\n\\n' + m.content if system and loop.first else m.content -%}"
    + "{{- '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' + text | trim"
    + " + '<end_of_turn>\\n' -}}{%- endfor -%}"
    + "{%- if add_generation_prompt -%}{{- '<start_of_turn>model\\n' -}}{%- endif -%}"
)
_VICUNA = _SPLIT_SYSTEM + (
    "{{- system or 'A chat between a curious user and an artificial intelligence assistant. The assistant gives"
    " helpful, detailed, and polite answers to the user\\'s questions.' -}}{{- ' ' -}}"
    "{%- for m in turns -%}{%- if m.role == 'assistant' -%}{{- 'ASSISTANT: ' + m.content + eos_token -}}"
    "{%- else -%}{{- 'USER: ' + m.content + ' ' -}}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- 'ASSISTANT:' -}}{%- endif -%}"
)
_ALPACA = _SPLIT_SYSTEM + (
    "{{- (system or 'Below is an instruction that describes a task. Write a response that appropriately completes the"
    " request.') + '\\n\\n' -}}"
    "{%- for m in turns -%}{%- if m.role == 'assistant' -%}"
    "{{- '### Response:\\n' + m.content + eos_token + '\\n\\n' -}}"
    "{%- else -%}{{- '### Instruction:\\n' + m.content + '\\n\\n' -}}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '### Response:\\n' -}}{%- endif -%}"
)
_DEEPSEEK2 = (
    "{{- bos_token -}}{%- for m in messages -%}{%- if m.role == 'user' -%}{{- 'User: ' + m.content + '\\n\\n' -}}"
    "{%- elif m.role == 'assistant' -%}{{- 'Assistant: ' + m.content + eos_token -}}"
    "{%- else -%}{{- m.content + '\\n\\n' -}}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- 'Assistant:' -}}{%- endif -%}"
)
_DEEPSEEK3 = (
    _SPLIT_SYSTEM
    + "{{- bos_token + system -}}{%- for m in turns -%}{%- if m.role == 'assistant' -%}"
    + "{{- '<｜Assistant｜>' + m.content + eos_token -}}{%- else -%}{{- '<｜User｜>' + m.content -}}{%- endif -%}"
    + "{%- endfor -%}{%- if add_generation_prompt -%}{{- '<｜Assistant｜>' -}}{%- endif -%}"
)
_COMMAND_R = (
    "{{- bos_token -}}{%- for m in messages -%}"
    "{%- set who = {'user': 'USER', 'assistant': 'CHATBOT'}.get(m.role, 'SYSTEM') -%}"
    "{{- '<|START_OF_TURN_TOKEN|><|' + who + '_TOKEN|>' + m.content | trim + '<|END_OF_TURN_TOKEN|>' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' -}}{%- endif -%}"
)

# In the order in which they are tried: the more particular vocabulary first.
KNOWN: tuple[KnownTemplate, ...] = (
    KnownTemplate(
        "llama3",
        _plain(
            "{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content | trim + '<|eot_id|>' -}}",
            "{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}",
            "{{- bos_token -}}",
        ),
        tokens=("<|start_header_id|>", "<|eot_id|>"),
    ),
    KnownTemplate(
        "phi4",
        _plain(
            "{{- '<|im_start|>' + m.role + '<|im_sep|>' + m.content + '<|im_end|>' -}}",
            "{{- '<|im_start|>assistant<|im_sep|>' -}}",
        ),
        tokens=("<|im_start|>", "<|im_sep|>"),
    ),
    KnownTemplate(
        "chatml",
        _plain(
            "{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' -}}",
            "{{- '<|im_start|>assistant\\n' -}}",
        ),
        tokens=("<|im_start|>", "<|im_end|>"),
        names=r"chatml|smollm|qwen",
        stops=("<|im_end|>",),
    ),
    KnownTemplate("gemma", _GEMMA, tokens=("<start_of_turn>", "<end_of_turn>")),
    KnownTemplate(
        "granite",
        _plain(
            "{{- '<|start_of_role|>' + m.role + '<|end_of_role|>' + m.content + '<|end_of_text|>\\n' -}}",
            "{{- '<|start_of_role|>assistant<|end_of_role|>' -}}",
        ),
        tokens=("<|start_of_role|>", "<|end_of_role|>"),
    ),
    KnownTemplate("command-r", _COMMAND_R, tokens=("<|START_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>")),
    KnownTemplate("deepseek3", _DEEPSEEK3, tokens=("<｜User｜>", "<｜Assistant｜>")),
    KnownTemplate(
        "phi3",
        _plain("{{- '<|' + m.role + '|>\\n' + m.content + '<|end|>\\n' -}}", "{{- '<|assistant|>\\n' -}}"),
        tokens=("<|user|>", "<|assistant|>", "<|end|>"),
    ),
    KnownTemplate(
        "mistral-v7",
        _inst(
            "{{- '[INST] ' + text + '[/INST]' -}}",
            "{{- ' ' + m.content + eos_token -}}",
            "{{- '[SYSTEM_PROMPT] ' + system + '[/SYSTEM_PROMPT]' -}}",
        ),
        tokens=("[SYSTEM_PROMPT]", "[INST]", "▁the"),
    ),
    KnownTemplate(
        "mistral-v13-tekken",
        _tekken(
            "first",
            "{{- '[TOOL_CALLS]' + f.name + '[ARGS]' + f.arguments | tojson -}}",
            "{{- '[TOOL_RESULTS]' + m.content + '[/TOOL_RESULTS]' -}}",
        ),
        tokens=("[SYSTEM_PROMPT]", "[INST]", "[ARGS]", "[THINK]"),
    ),
    KnownTemplate(
        "mistral-v11-tekken",
        _tekken(
            "last",
            "{{- '[TOOL_CALLS]' + f.name + '[CALL_ID]' + c.id + '[ARGS]' + f.arguments | tojson -}}",
            _RESULT_BY_ID,
        ),
        tokens=("[SYSTEM_PROMPT]", "[INST]", "[ARGS]", "[CALL_ID]"),
    ),
    KnownTemplate(
        "mistral-v7-tekken",
        _tekken(
            "last",
            "{{- {'name': f.name, 'arguments': f.arguments, 'id': c.id} | tojson -}}"
            "{%- if not loop.last -%}{{- ', ' -}}{%- endif -%}",
            _RESULT_BY_ID,
            ("{{- '[TOOL_CALLS][' -}}", "{{- ']' -}}"),
        ),
        tokens=("[SYSTEM_PROMPT]", "[INST]"),
    ),
    KnownTemplate(
        "mistral-v3",
        _inst("{{- '[INST] ' + text + '[/INST]' -}}", "{{- ' ' + m.content + eos_token -}}"),
        tokens=("[INST]", "[/INST]", "▁the"),
    ),
    KnownTemplate(
        "mistral-v3-tekken",
        _inst("{{- '[INST]' + text + '[/INST]' -}}", "{{- m.content + eos_token -}}"),
        tokens=("[INST]", "[/INST]"),
    ),
    # From here on the vocabulary tells nothing, only the name does.
    KnownTemplate(
        "zephyr",
        _plain("{{- '<|' + m.role + '|>\\n' + m.content + eos_token + '\\n' -}}", "{{- '<|assistant|>\\n' -}}"),
        names=r"zephyr|tinyllama.*chat|stablelm-?2.*chat",
        stops=("<|user|>",),
    ),
    KnownTemplate(
        "olmo2",
        _plain(
            "{{- '<|' + m.role + '|>\\n' + m.content + (eos_token if m.role == 'assistant' else '') -}}"
            "{%- if not (loop.last and m.role == 'assistant') -%}{{- '\\n' -}}{%- endif -%}",
            "{{- '<|assistant|>\\n' -}}",
            "{{- bos_token -}}",
        ),
        names=r"olmo|tulu",
        stops=("<|user|>",),
    ),
    KnownTemplate("vicuna", _VICUNA, names=r"vicuna|llava-?v?1\.5", stops=("USER:",)),
    KnownTemplate("alpaca", _ALPACA, names=r"alpaca", stops=("### Instruction:",)),
    KnownTemplate("deepseek2", _DEEPSEEK2, names=r"deepseek", stops=("User:",)),
    KnownTemplate(
        "rwkv-world",
        _plain(
            "{%- set who = {'user': 'User', 'assistant': 'Assistant'}.get(m.role, 'System') -%}"
            "{{- who + ': ' + m.content | trim + '\\n\\n' -}}",
            "{{- 'Assistant:' -}}",
        ),
        names=r"rwkv",
        stops=("\n\nUser:", "\n\nSystem:"),
    ),
    KnownTemplate("llama2", _LLAMA2, names=r"llama-?2.*chat"),
    KnownTemplate(
        "mistral-v1",
        _inst("{{- '[INST] ' + text + ' [/INST]' -}}", "{{- ' ' + m.content + eos_token -}}"),
        names=r"mistral|mixtral",
    ),
)
_BY_NAME = {known.name: known for known in KNOWN}
NAMES = tuple(sorted(_BY_NAME))


def known_template(name: str) -> KnownTemplate:
    """A format by its name.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in _BY_NAME:
        raise UsageError(f"There is no chat template named {name!r}.", hint=f"Known: {', '.join(NAMES)}.")
    return _BY_NAME[name]


def guess_template(has_token: Callable[[str], bool], model_name: str) -> KnownTemplate:
    """The format that a model without a template most likely was trained on.

    Args:
        has_token: whether the vocabulary has a token of exactly this text.

    Raises:
        TemplateError: neither vocabulary nor name tell.
    """
    for known in KNOWN:
        if known.tokens and all(map(has_token, known.tokens)):
            return known
    for known in KNOWN:
        if known.names and re.search(known.names, model_name.lower()):
            return known
    raise TemplateError(
        f"{model_name or 'This model'} has no chat template, and its vocabulary and name match no known one.",
        why="It may be a model that only continues text.",
        hint=f"Name a format with `--template NAME` ({', '.join(NAMES)}),"
        " or continue plain text with `LLM.generate(prompt)` or `hearth ask --raw`.",
    )
