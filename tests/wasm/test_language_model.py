"""A real model by the package's interface in Node: stories260K goes on as Hearth's own does, text for text."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.compiler.compiled import compile_here
from tests.wasm.node import HERE, NODE, needs_node

from hearth import LLM

PROMPT = "Once upon a time, there was a little"
ASKED: list[dict[str, Any]] = [
    {"max_tokens": 60, "temperature": 0.0},
    {"max_tokens": 60, "temperature": 0.0, "stop": ["She", " loved"]},
    {"max_tokens": 40, "temperature": 0.9, "seed": 4, "top_p": 0.9, "top_k": 50},
    {"max_tokens": 40, "temperature": 0.0, "repetition_penalty": 1.2},
]


def in_node(folder: Path, **requests: list[dict[str, Any]]) -> dict[str, list[Any]]:
    assert NODE is not None
    asked = json.dumps({"chat": [], "text": []} | requests)
    command = [NODE, str(HERE / "model.mjs"), str(folder)]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers: dict[str, list[Any]] = json.loads(done.stdout)
    return answers


@needs_node
def test_texts_go_on_as_natively(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "tinyllamas-stories260K" / "stories260K.gguf"
    native = compile_here(source, tmp_path / "native", precision="high")
    web = compile_here(source, tmp_path / "web", precision="high", target="wasm32")
    with LLM(native, context=256, threads=2, repetition_stop=False, trust_bundle=True) as llm:
        expected = [llm.generate(PROMPT, **settings) for settings in ASKED]
        scores = llm.generate(PROMPT, max_tokens=5, temperature=0.0, logprobs=2).logprobs
    scored = {"prompt": PROMPT, "max_tokens": 5, "temperature": 0.0, "logprobs": 2}
    asked = [{"prompt": PROMPT, **settings} for settings in ASKED]
    answers = in_node(web, text=[*asked, {**asked[0], "stream": True}, scored], chat=[{"messages": [], "n": 1}])
    *wholes, chunks, told = answers["text"]
    for answer, wanted in zip(wholes, expected, strict=True):
        assert answer["choices"][0]["text"] == wanted.text
        assert answer["choices"][0]["finish_reason"] == wanted.finish_reason
        assert answer["usage"]["prompt_tokens"] == wanted.usage.prompt_tokens
    assert "".join(choice["text"] for chunk in chunks for choice in chunk["choices"]) == expected[0].text
    assert scores is not None
    for ours, theirs in zip(told["choices"][0]["logprobs"]["content"], scores, strict=True):
        assert ours["token"] == theirs.text
        assert ours["logprob"] == pytest.approx(theirs.logprob, abs=1e-3)
        assert [top["token"] for top in ours["top_logprobs"]] == [text for _, text, _ in theirs.top]
    assert answers["chat"][0]["error"]["kind"] == "template"  # nobody gave the model one
