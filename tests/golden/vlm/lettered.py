"""A golden language model that sees with a tokenizer of letters, so that it can be talked with."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

from . import CASES

MARKS = {
    "<|im_start|>": 1, "<end_of_utterance>": 2, "<image>": 140, "<fake_token_around_image>": 141, "<global-img>": 142,
    **{f"<row_{1 + i // 3}_col_{1 + i % 3}>": 143 + i for i in range(6)},
}  # fmt: skip
TEMPLATE = (
    "<|im_start|>{% for m in messages %}{{ m['role'] | capitalize }}"
    "{{ ':' if m['content'] is not string and m['content'][0]['type'] == 'image' else ': ' }}"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for part in m['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% elif part['type'] == 'image' %}{{ '<image>' }}{% endif %}"
    "{% endfor %}{% endif %}<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
"""SmolVLM's, which also takes plain texts."""
QWEN_MARKS = {
    "<|im_start|>": 1, "<|im_end|>": 2, "<|image_pad|>": 140, "<|vision_start|>": 142, "<|vision_end|>": 143,
}  # fmt: skip
QWEN_TEMPLATE = (
    "{% set images = namespace(value=0) %}{% for m in messages %}"
    "{% if loop.first and m['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "{% endif %}"
    "<|im_start|>{{ m['role'] }}\n{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for part in m['content'] %}{% if part['type'] == 'image' or 'image' in part or 'image_url' in part %}"
    "{% set images.value = images.value + 1 %}{% if add_vision_id %}Picture {{ images.value }}: {% endif %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""As Qwen2.5-VL writes a conversation."""
TEXT_TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


def tokenizer(marks: dict[str, int] = MARKS) -> dict[str, Any]:
    """A tokenizer.json: a character is a token."""
    letters = string.ascii_letters + string.digits + " \n.,:?!-<>_"
    vocab = {"%": 0, **{letter: 3 + i for i, letter in enumerate(letters)}, **marks}
    more = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "added_tokens": [{"id": i, "content": mark, **more} for mark, i in marks.items()],
        "normalizer": None,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "[\\s\\S]"}, "behavior": "Isolated", "invert": False},
        "post_processor": None,
        "decoder": {"type": "Fuse"},
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "%"},
    }  # fmt: skip


def write_lettered(folder: Path, *, template: str = TEMPLATE) -> Path:
    """SmolVLM's golden model as it would be published: tiles of 32 x 32 pixels, 4 tokens each, at most 3 x 3."""
    case = next(case for case in CASES if case.recipe.name == "smolvlm")
    config = {"chat_template": template, "eos_token": "<end_of_utterance>", "bos_token": "<|im_start|>"}
    return case.write(folder, tokenizer=tokenizer(), tokenizer_config=config)


def write_lettered_qwen(folder: Path, *, template: str = QWEN_TEMPLATE) -> Path:
    """Qwen2.5-VL's golden model as it would be published: a token for each square of 8 x 8 pixels, at most 64."""
    case = next(case for case in CASES if case.recipe.name == "qwen2.5-vl")
    config = {"chat_template": template, "eos_token": "<|im_end|>"}
    return case.write(folder, tokenizer=tokenizer(QWEN_MARKS), tokenizer_config=config)
