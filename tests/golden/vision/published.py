"""A golden model as it would be published: with rules for pictures and, where it reads texts, a tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from . import CASES
from .recipes import Recipe

BY_NAME = {case.recipe.name: case for case in CASES}


def folder_of(name: str, tmp_path: Path) -> Path:
    """The golden model as it would be published, its pictures taken in its own size."""
    case = BY_NAME[name]
    write_rules(case.recipe, tmp_path)
    return case.write(tmp_path)


def write_rules(recipe: Recipe, folder: Path) -> None:
    """What stands beside a model's weights: how pictures are prepared and, where it reads texts, a tokenizer."""
    height, width = recipe.size
    settings = {"image_processor_type": "ViTImageProcessor", "size": {"height": height, "width": width}}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    if recipe.text:
        (folder / "tokenizer.json").write_text(json.dumps(letters_of(recipe)))


def letters_of(recipe: Recipe) -> dict[str, Any]:
    """A tokenizer.json: a letter is a token, and the model's last token ends each text."""
    end = recipe.config["text_config"]["vocab_size"] - 1
    vocab = {"?": 0, **{letter: 3 + i for i, letter in enumerate("abcdefghijklmnopqrstuvwxyz")}, "<end>": end}
    template = [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<end>", "type_id": 0}}]
    return {
        "version": "1.0",
        "added_tokens": [{"id": end, "content": "<end>", "single_word": False, "lstrip": False, "rstrip": False,
                          "normalized": False, "special": True}],
        "normalizer": None,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": False},
        "post_processor": {
            "type": "TemplateProcessing", "single": template,
            "pair": [*template, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<end>": {"id": "<end>", "ids": [end], "tokens": ["<end>"]}},
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "?"},
    }  # fmt: skip
