"""Golden encoders that read text: a letter is a token, lower and upper case alike."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from golden import ENCODER_CASES

_SPECIAL = ("[UNK]", "[PAD]", "[CLS]", "[SEP]")
LETTERS = "abcdefghijklmnopqrstuvwxyz.,@ 0123456789"[: 41 - len(_SPECIAL)].replace(" ", "!")
_BY_NAME = {case.name: case for case in ENCODER_CASES}


def tokenizer() -> dict[str, Any]:
    """A tokenizer.json: [CLS] a [SEP], and [CLS] a [SEP] b [SEP] with the type 1 for b and what follows it."""
    vocab = {text: number for number, text in enumerate((*_SPECIAL, *LETTERS))}
    single = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
              {"SpecialToken": {"id": "[SEP]", "type_id": 0}}]  # fmt: skip
    pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "[SEP]", "type_id": 1}}]
    return {
        "version": "1.0",
        "added_tokens": [
            {"id": number, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True}
            for number, text in enumerate(_SPECIAL)
        ],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "WhitespaceSplit"},
            {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": False},
        ]},
        "post_processor": {
            "type": "TemplateProcessing", "single": single, "pair": pair,
            "special_tokens": {t: {"id": t, "ids": [vocab[t]], "tokens": [t]} for t in ("[CLS]", "[SEP]")},
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]"},
    }  # fmt: skip


def lettered(name: str, folder: Path, **files: Any) -> Path:
    """A golden encoder with that tokenizer; `files` are JSON, written over it (`__` stands for a dot)."""
    shutil.copytree(_BY_NAME[name].path, folder, dirs_exist_ok=True)
    for file, content in {"tokenizer__json": tokenizer(), **files}.items():
        (folder / file.replace("__", ".")).write_text(json.dumps(content))
    return folder
