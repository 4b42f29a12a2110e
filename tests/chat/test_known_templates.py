"""Models without a template get the prompt that they were trained on, and the user is told which."""

from __future__ import annotations

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
    "deepseek3": "<s>S<｜User｜>U1<｜Assistant｜>A1</s><｜User｜>U2<｜Assistant｜>",
}


def render(name: str, messages: list[dict[str, str]]) -> str:
    template = ChatTemplate(known_template(name).source, special={"bos_token": "<s>", "eos_token": "</s>"})
    return template.render(messages).text


@pytest.mark.parametrize("name", EXPECTED)
def test_published_prompts(name: str) -> None:
    assert render(name, [SYSTEM, *TURNS]) == EXPECTED[name]


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
