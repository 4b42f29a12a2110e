"""Guessing on the real starter model: the same text however it is guessed; a draft model that does not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from golden import CASES, predictors
from hearth import LLM
from hearth.chat.tokenizer import Tokenizer
from hearth.engine import SamplingParams
from hearth.errors import UsageError
from hearth.speculate import vocabulary_difference

TWICE = [{"role": "user", "content": "Say it again: one two three four one two three four one two three four one two"}]
SETTINGS = (
    {"temperature": 0.0, "max_tokens": 60, "ignore_eos": True},
    {"temperature": 1.0, "seed": 3, "max_tokens": 60, "ignore_eos": True, "logprobs": 2},
    {"temperature": 0.9, "seed": 4, "max_tokens": 60, "repetition_penalty": 1.2, "stop": ["e"]},
)


@pytest.fixture(scope="module")
def answers(starter: LLM) -> list[tuple]:
    with LLM("starter", threads=2, speculate="off") as llm:
        done = [llm.chat(TWICE, **settings) for settings in SETTINGS]
        assert llm.stats.drafted_tokens == 0
    return [(d.text, d.token_ids, d.logprobs, d.finish_reason, d.stop) for d in done]


@pytest.mark.parametrize("options", [{}, {"draft": "starter"}], ids=["lookup", "draft"])
def test_guesses_change_no_text(answers: list[tuple], options: dict[str, str]) -> None:
    with LLM("starter", threads=2, **options) as llm:
        done = [llm.chat(TWICE, **settings) for settings in SETTINGS]
        assert llm.stats.accepted_tokens == sum(d.usage.accepted_tokens for d in done)
    assert [(d.text, d.token_ids, d.logprobs, d.finish_reason, d.stop) for d in done] == answers
    if options:
        assert done[0].usage.drafted_tokens > 0
    for d in done:
        assert d.usage.accepted_tokens <= d.usage.drafted_tokens


def test_the_command_takes_both_and_tells_what_came_true(starter: LLM, hearth: Callable) -> None:
    question = ("ask", "starter", "What is the capital of France?", "--json", "-t", "0", "-n", "40")
    plain = json.loads(hearth(*question, "--speculate", "off").stdout)
    drafted = hearth(*question, "--draft", "starter", "--stats")
    answer = json.loads(drafted.stdout)
    assert answer["text"] == plain["text"]
    assert plain["usage"]["drafted_tokens"] == 0
    assert answer["usage"]["drafted_tokens"] > 0
    assert "guesses right" in drafted.stderr


def test_a_model_without_a_block_cannot_guess_with_it(starter: LLM) -> None:
    with pytest.raises(UsageError, match="starter has no block that predicts further tokens"):
        LLM("starter", speculate="mtp")


def test_a_model_guesses_with_its_own_block(cache: Path, tmp_path: Path, hearth: Callable) -> None:
    model = predictors.with_predictor("glm4_moe", tmp_path / "model")
    shown = hearth("show", str(model))
    assert "by a block of its own, which predicts 1 further token at a time" in shown.stdout
    assert json.loads(hearth("show", str(model), "--json").stdout)["predicts"] == 1
    answers = []
    for speculate in ("off", "auto", "mtp"):
        with LLM(model, speculate=speculate, threads=2) as llm:
            params = SamplingParams(temperature=1.0, seed=4, max_tokens=60)
            events = list(llm.engine.generate(range(1, 20), params))
            answers.append([event.token for event in events])
    assert answers[0] == answers[1] == answers[2]


def test_a_draft_model_of_another_vocabulary_is_refused(starter: LLM) -> None:
    golden = next(case for case in CASES if case.name == "llama3")
    with pytest.raises(UsageError, match="cannot draft for starter") as caught:
        LLM("starter", draft=golden.path)
    assert "same tokenizer" in caught.value.hint
    with pytest.raises(UsageError, match="'off'"):
        LLM("starter", draft="starter", speculate="off")
    with pytest.raises(UsageError, match="speculate"):
        LLM("starter", speculate="yes")  # type: ignore[arg-type]


def test_the_difference_of_two_vocabularies_is_named(starter: LLM) -> None:
    ours = starter.tokenizer
    data = json.loads(ours.spec.json)
    texts = [text for text, token_id in data["model"]["vocab"].items() if token_id > 300][:2]
    vocab = data["model"]["vocab"]
    vocab[texts[0]], vocab[texts[1]] = vocab[texts[1]], vocab[texts[0]]
    theirs = Tokenizer(replace(ours.spec, json=json.dumps(data)))
    assert vocabulary_difference(ours, ours, 10, 12) == "", "a padded head is no difference"
    told = vocabulary_difference(ours, theirs, 10, 10)
    assert any(f"{text!r}" in told for text in texts)
    assert vocabulary_difference(ours, None, 10, 10)
    assert vocabulary_difference(None, None, 10, 10) == ""
    assert "12" in vocabulary_difference(None, None, 10, 12)
