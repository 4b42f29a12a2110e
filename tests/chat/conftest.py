"""Tokenizers for the chat tests: small ones made here, real ones where the shared data is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hearth.checkpoint.types import TokenizerSpec

from .samples import MADE, Case, make_spec

REAL = ("bpe49152", "gptneox20b", "phi3")


@pytest.fixture(scope="session", params=[*MADE, *REAL])
def case(request: pytest.FixtureRequest) -> Case:
    """Every kind of tokenizer, one after the other."""
    if request.param in MADE:
        return Case(request.param, make_spec(MADE[request.param]()))
    folder: Path = request.getfixturevalue("shared_data") / "tokenizers"
    source = (folder / f"{request.param}.tokenizer.json").read_text()
    data = json.loads(source)
    special = [t["content"] for t in data["added_tokens"] if t["special"]]
    adds = (data["post_processor"] or {}).get("type") == "TemplateProcessing"
    return Case(request.param, TokenizerSpec(source, None, (), False, False, {"eos_token": special[0]}, None, adds))
