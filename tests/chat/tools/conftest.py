"""A real vocabulary with the families' control tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hearth.chat.grammar import Grammars
from hearth.chat.tokenizer import Tokenizer
from hearth.checkpoint.types import TokenizerSpec

from .families import FAMILIES


@pytest.fixture(scope="session")
def tokenizer(shared_data: Path) -> Tokenizer:
    """A published byte-level vocabulary of 49,152, and the families' control tokens: in the place of some that it keeps
    for source code, and after all others."""
    data = json.loads((shared_data / "tokenizers/bpe49152.tokenizer.json").read_text())
    vocabulary = data["model"]["vocab"]
    wanted = sorted({marker for family in FAMILIES if family.control for marker in family.markers} - vocabulary.keys())
    spare = [token for token in data["added_tokens"] if token["id"] > 2]
    for token, text in zip(spare, wanted, strict=False):
        vocabulary[text] = vocabulary.pop(token["content"])
        token |= {"content": text, "special": True}
    first = max(vocabulary.values()) + 1
    data["added_tokens"] += [
        {**spare[0], "id": number, "content": text, "special": True}
        for number, text in enumerate(wanted[len(spare) :], first)
    ]
    return Tokenizer(TokenizerSpec(json.dumps(data), None, (2,), False, False, {}, None))


@pytest.fixture(scope="session")
def grammars(tokenizer: Tokenizer) -> Grammars:
    return Grammars(tokenizer, tokenizer.vocab_size)
