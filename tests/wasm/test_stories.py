"""A real model in Node: stories260K writes, token for token, what its published code makes it write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.compiler.compiled import compile_here
from tests.wasm.node import needs_node, needs_threads
from tests.wasm.test_engine import asked, in_node


@needs_node
@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=needs_threads)])
@pytest.mark.parametrize("precision", ["high", None])
def test_it_writes_what_its_code_writes(shared_data: Path, tmp_path: Path, precision: str | None, threads: int) -> None:
    stories = shared_data / "tinyllamas-stories260K"
    options = {"precision": precision} if precision else {}
    folder = compile_here(stories / "stories260K.gguf", tmp_path / "bundle", target="wasm32", **options)
    expected = json.loads((stories / "expected_greedy.json").read_text())
    count = 64
    request = asked(expected["prompt_ids"], {"temperature": 0.0, "max_tokens": count})
    ((answer,),) = in_node(folder, [[request]], threads=threads)
    assert answer["tokens"] == expected["greedy_ids"][:count]
