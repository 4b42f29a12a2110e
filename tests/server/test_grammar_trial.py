"""A grammar that would compile for ever ends a process that is there for that, and is an error of its request."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from llguidance import LLMatcher

from hearth import LLM
from hearth.chat.grammar import Grammars
from hearth.errors import UsageError
from hearth.server.grammar_trial import GrammarTrial
from hearth.server.models import Models, ModelSettings

from .running import running

# Not counted by llguidance's own limits; `response_format` refuses it by name, which this is to stand behind.
BOMB = json.dumps({"type": "object", "properties": {"a": {"type": "integer", "multipleOf": 2**31}}, "required": ["a"]})
HONEST = json.dumps(
    {"type": "object", "properties": {"a": {"enum": [3]}}, "required": ["a"], "additionalProperties": False}
)


@pytest.fixture
def trial() -> Iterator[GrammarTrial]:
    trial = GrammarTrial(processor_s=1)
    yield trial
    trial.close()


def test_a_bomb_is_refused_and_the_next_grammar_is_not(starter: LLM, trial: GrammarTrial) -> None:
    grammars = Grammars(starter.tokenizer, starter.info.vocab_size, trial)
    for _ in range(2):
        assert grammars.matcher(LLMatcher.grammar_from_json_schema(HONEST), "schema").mask().any()
        with pytest.raises(UsageError, match="schema cannot be used: compiling it takes more time or memory"):
            grammars.matcher(LLMatcher.grammar_from_json_schema(BOMB), "schema")
        grammars = Grammars(starter.tokenizer, starter.info.vocab_size, trial)


def test_a_bomb_behind_a_token_of_the_model_is_found_too(starter: LLM, trial: GrammarTrial) -> None:
    grammars = Grammars(starter.tokenizer, starter.info.vocab_size, trial)
    for token in ("<|im_end|>", "<[5]>"):
        assert grammars.matcher(LLMatcher.grammar_from_lark(f'start: "a" {token}'), "grammar").mask().any()
        with pytest.raises(UsageError, match="more time or memory"):
            grammars.matcher(LLMatcher.grammar_from_lark(f"start: {token} | %json {BOMB}"), "grammar")


def test_mistakes_are_told_as_without_a_trial(starter: LLM, trial: GrammarTrial) -> None:
    for wrong in ("start: nothing", "start: (", "\ud800", "start: <|no_such_token|>"):
        told = []
        for grammars in (
            Grammars(starter.tokenizer, starter.info.vocab_size),
            Grammars(starter.tokenizer, starter.info.vocab_size, trial),
        ):
            with pytest.raises((UsageError, UnicodeError)) as caught:
                grammars.matcher(LLMatcher.grammar_from_lark(wrong), "grammar")
            told.append(str(caught.value))
        assert told[0] == told[1]


def test_a_server_tries_the_grammars_of_its_requests(cache: object) -> None:
    models = Models(["starter"], ModelSettings(threads=1, offline=True))
    with running(models) as server:
        asked = {
            "model": "starter",
            "messages": [{"role": "user", "content": "How many?"}],
            "max_tokens": 20,
            "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": json.loads(HONEST)}},
        }
        answer = server.http.post("/v1/chat/completions", json=asked)
        assert answer.status_code == 200
        assert json.loads(answer.json()["choices"][0]["message"]["content"]) == {"a": 3}
        child = models._trial._child
        assert child is not None
        assert child.poll() is None
    assert child.poll() is not None, "it ends with the server"
