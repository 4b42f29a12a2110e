"""Models without a template get the prompt that they were trained on, and the user is told which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hearth.chat.known_templates import KNOWN, guess_template, known_template
from hearth.chat.template import ChatTemplate
from hearth.errors import TemplateError, UsageError

SYSTEM = {"role": "system", "content": "S"}
TURNS = [
    {"role": "user", "content": "U1"},
    {"role": "assistant", "content": "A1"},
    {"role": "user", "content": "U2"},
]

# The prompts as the authors of each format publish them.
EXPECTED = {
    "chatml": (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU1<|im_end|>\n<|im_start|>assistant\nA1<|im_end|>\n"
        "<|im_start|>user\nU2<|im_end|>\n<|im_start|>assistant\n"
    ),
    "llama2": "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nU1 [/INST] A1 </s><s>[INST] U2 [/INST]",
    "llama3": (
        "<s><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nU1"
        "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nA1<|eot_id|><|start_header_id|>user<|end_header_id|>"
        "\n\nU2<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
    "mistral-v1": "<s>[INST] S\n\nU1 [/INST] A1</s>[INST] U2 [/INST]",
    "mistral-v3": "<s>[INST] S\n\nU1[/INST] A1</s>[INST] U2[/INST]",
    "mistral-v7": "<s>[SYSTEM_PROMPT] S[/SYSTEM_PROMPT][INST] U1[/INST] A1</s>[INST] U2[/INST]",
    "mistral-v7-tekken": "<s>[SYSTEM_PROMPT]S[/SYSTEM_PROMPT][INST]U1[/INST]A1</s>[INST]U2[/INST]",
    "gemma": (
        "<s><start_of_turn>user\nS\n\nU1<end_of_turn>\n<start_of_turn>model\nA1<end_of_turn>\n"
        "<start_of_turn>user\nU2<end_of_turn>\n<start_of_turn>model\n"
    ),
    "phi3": (
        "<|system|>\nS<|end|>\n<|user|>\nU1<|end|>\n<|assistant|>\nA1<|end|>\n<|user|>\nU2<|end|>\n<|assistant|>\n"
    ),
    "zephyr": "<|system|>\nS</s>\n<|user|>\nU1</s>\n<|assistant|>\nA1</s>\n<|user|>\nU2</s>\n<|assistant|>\n",
    "granite": (
        "<|start_of_role|>system<|end_of_role|>S<|end_of_text|>\n<|start_of_role|>user<|end_of_role|>U1<|end_of_text|>\n"
        "<|start_of_role|>assistant<|end_of_role|>A1<|end_of_text|>\n"
        "<|start_of_role|>user<|end_of_role|>U2<|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|>"
    ),
    "olmo2": "<s><|system|>\nS\n<|user|>\nU1\n<|assistant|>\nA1</s>\n<|user|>\nU2\n<|assistant|>\n",
    "vicuna": "S USER: U1 ASSISTANT: A1</s>USER: U2 ASSISTANT:",
    "alpaca": "S\n\n### Instruction:\nU1\n\n### Response:\nA1</s>\n\n### Instruction:\nU2\n\n### Response:\n",
    "deepseek2": "<s>S\n\nUser: U1\n\nAssistant: A1</s>User: U2\n\nAssistant:",
    "rwkv-world": "System: S\n\nUser: U1\n\nAssistant: A1\n\nUser: U2\n\nAssistant:",
    "deepseek3": "<s>S<｜User｜>U1<｜Assistant｜>A1</s><｜User｜>U2<｜Assistant｜>",
}


def render(name: str, messages: list[dict[str, Any]], **variables: Any) -> str:
    template = ChatTemplate(known_template(name).source, special={"bos_token": "<s>", "eos_token": "</s>"})
    return template.render(messages, **variables).text


@pytest.mark.parametrize("name", EXPECTED)
def test_published_prompts(name: str) -> None:
    assert render(name, [SYSTEM, *TURNS]) == EXPECTED[name]


TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Does it.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALL = {"id": "abcdefghi", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Paris"}}}
TALK: list[dict[str, Any]] = [
    SYSTEM,
    *TURNS,
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "abcdefghi", "name": "get_weather", "content": "20 degrees"},
    {"role": "assistant", "content": "It is 20."},
    {"role": "user", "content": "U3"},
]
TOOLS = f"[AVAILABLE_TOOLS][{json.dumps(TOOL)}][/AVAILABLE_TOOLS]"
# As mistral-common 1.13 writes TALK.
_HEAD = "<s>[SYSTEM_PROMPT]S[/SYSTEM_PROMPT]"
_BY_ID = "</s>[TOOL_RESULTS]abcdefghi[TOOL_CONTENT]20 degrees[/TOOL_RESULTS]It is 20.</s>" + TOOLS + "[INST]U3[/INST]"
_SAID = "[INST]U1[/INST]A1</s>[INST]U2[/INST][TOOL_CALLS]"
WITH_TOOLS = {
    "v7": f'{_HEAD}{_SAID}[{{"name": "get_weather", "arguments": {{"city": "Paris"}}, "id": "abcdefghi"}}]{_BY_ID}',
    "v11": f'{_HEAD}{_SAID}get_weather[CALL_ID]abcdefghi[ARGS]{{"city": "Paris"}}{_BY_ID}',
    "v13": (
        f'{_HEAD}{TOOLS}{_SAID}get_weather[ARGS]{{"city": "Paris"}}</s>[TOOL_RESULTS]20 degrees[/TOOL_RESULTS]'
        "It is 20.</s>[INST]U3[/INST]"
    ),
}


@pytest.mark.parametrize("version", WITH_TOOLS)
def test_mistrals_tools_stand_where_mistral_common_puts_them(version: str) -> None:
    assert render(f"mistral-{version}-tekken", TALK, tools=[TOOL]) == WITH_TOOLS[version]
    early = render(f"mistral-{version}-tekken", TALK[:6], tools=[TOOL])
    assert early.index(TOOLS) < early.index("[INST]U2" if version != "v13" else "[INST]U1")


@pytest.mark.reference
@pytest.mark.parametrize("version", WITH_TOOLS)
@pytest.mark.parametrize("count", [2, 4, 6, 8])
def test_prompts_are_mistral_commons(version: str, count: int, tmp_path: Path) -> None:
    common = pytest.importorskip("mistral_common")
    from mistral_common.protocol.instruct.request import ChatCompletionRequest
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    content = json.loads((Path(common.__file__).parent / "data/tekken_240911.json").read_text())
    names = {entry["rank"]: str(entry["token_str"]) for entry in Tekkenizer.DEPRECATED_SPECIAL_TOKENS}
    names |= {32: "[ARGS]", 33: "[CALL_ID]"} if version != "v7" else {}
    content["config"]["version"] = version
    content["special_tokens"] = [
        {"rank": rank, "token_str": names.get(rank, f"<SPECIAL_{rank}>"), "is_control": True} for rank in range(1000)
    ]
    (tmp_path / "tekken.json").write_text(json.dumps(content))
    function = {**CALL["function"], "arguments": json.dumps({"city": "Paris"})}  # type: ignore[dict-item]
    talk = [{**m, "tool_calls": [{**CALL, "function": function}]} if "tool_calls" in m else m for m in TALK[:count]]
    tokenizer = MistralTokenizer.from_file(str(tmp_path / "tekken.json"))
    for tools in ([TOOL], None):
        request = ChatCompletionRequest(messages=talk, tools=tools)
        wanted = tokenizer.encode_chat_completion(request).text
        assert render(f"mistral-{version}-tekken", TALK[:count], tools=tools) == wanted


@pytest.mark.parametrize("name", [k.name for k in KNOWN])
def test_every_template_works_without_a_system_prompt(name: str) -> None:
    prompt = render(name, TURNS)
    assert "U1" in prompt
    assert "None" not in prompt
    assert prompt.index("U1") < prompt.index("A1") < prompt.index("U2")


@pytest.mark.parametrize("name", [k.name for k in KNOWN])
def test_a_later_turn_begins_with_the_same_text(name: str) -> None:
    """Else the keys and values of the conversation so far could not be used again."""
    first, later = render(name, [SYSTEM, TURNS[0]]), render(name, [SYSTEM, *TURNS])
    assert later.startswith(first)


@pytest.mark.parametrize(
    ("tokens", "name", "expected"),
    [
        ({"<|start_header_id|>", "<|eot_id|>"}, "", "llama3"),
        ({"<|im_start|>", "<|im_end|>"}, "", "chatml"),
        ({"<|im_start|>", "<|im_sep|>", "<|im_end|>"}, "", "phi4"),
        ({"<start_of_turn>", "<end_of_turn>"}, "", "gemma"),
        ({"<|user|>", "<|assistant|>", "<|end|>"}, "", "phi3"),
        ({"[INST]", "[/INST]", "▁the"}, "", "mistral-v3"),
        ({"[SYSTEM_PROMPT]", "[INST]", "[/INST]"}, "", "mistral-v7-tekken"),
        ({"[SYSTEM_PROMPT]", "[INST]", "[ARGS]", "[CALL_ID]"}, "", "mistral-v11-tekken"),
        ({"[SYSTEM_PROMPT]", "[INST]", "[ARGS]", "[CALL_ID]", "[THINK]"}, "", "mistral-v13-tekken"),
        (set(), "Llama-2-7B-Chat", "llama2"),
        (set(), "mistral-7b-instruct-v0.2.Q4_0", "mistral-v1"),
        (set(), "zephyr-7b-beta", "zephyr"),
        (set(), "vicuna-13b", "vicuna"),
        (set(), "llava-v1.5-7b", "vicuna"),
    ],
)
def test_the_format_is_guessed_from_vocabulary_then_name(tokens: set[str], name: str, expected: str) -> None:
    assert guess_template(tokens.__contains__, name).name == expected


def test_a_model_that_tells_nothing_is_refused_with_a_way_out() -> None:
    with pytest.raises(TemplateError, match="--template NAME"):
        guess_template(lambda _: False, "stories260K")


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(UsageError, match="chatml"):
        known_template("chatlm")
