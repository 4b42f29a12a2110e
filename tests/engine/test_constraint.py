"""A constrained answer says only what it may, however it is drawn; a broken constraint ends its own request alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from constraints import VOCAB_SIZE, Automaton, mask_of, rounds
from drafters import Certain, Eager, garbage, oracle
from run_all import run_all
from toy_session import ToySession, greedy_reference

from hearth.engine import ConstraintFailed, Engine, PromptLookup, Request, SamplingParams, TokenEvent
from hearth.engine.sampling import Sampler

pytestmark = pytest.mark.usefixtures("kind")

PROMPTS = [[1, 2, 3], [4] * 9, [5, 6, 7, 8] * 6, [9]]
GREEDY = {"temperature": 0.0}
SETTINGS = {
    "greedy": GREEDY,
    "seeded": {"seed": 11},
    "few": {"seed": 1, "top_k": 3},
    "one": {"seed": 1, "top_k": 1},
    "many": {"seed": 1, "top_k": 40},  # more than the mask leaves
    "nucleus": {"seed": 3, "top_p": 0.8, "temperature": 0.7, "min_p": 0.05, "logprobs": 2},
    "flat": {"seed": 3, "top_p": 0.9999, "temperature": 50.0},
    "penalties": {"seed": 4, "repetition_penalty": 1.3, "frequency_penalty": 0.4},
    "greedy-bias": {**GREEDY, "logit_bias": {7: 100.0, 12: 2.0}},
}


def request(prompt: list[int], constraint: Automaton | None, max_tokens: int = 20, **settings) -> Request:
    params = SamplingParams(**{"max_tokens": max_tokens, **settings})
    return Request(prompt_ids=prompt, params=params, constraint=constraint)


def tokens_of(events: list[TokenEvent]) -> list[int]:
    return [event.token for event in events if event.token is not None]


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_no_token_outside_of_the_mask_is_ever_drawn(settings):
    constraints = [rounds(seed=place) for place in range(len(PROMPTS))]
    engine = Engine(ToySession(), context=100)
    answers = run_all(
        engine, [request(p, c, max_tokens=60, **settings) for p, c in zip(PROMPTS, constraints, strict=True)]
    )
    for events, constraint in zip(answers, constraints, strict=True):
        assert constraint.accepted == tokens_of(events), "the automaton itself refuses any other token"
        assert len(constraint.accepted) == 60
        assert events[-1].finish_reason == "length"


def test_a_greedy_answer_is_the_likeliest_of_what_may_come():
    session = ToySession()
    allowed = [11, 23, 42]
    (events,) = run_all(
        Engine(session, context=50), [request([1, 2, 3], Automaton({0: dict.fromkeys(allowed, 0)}), **GREEDY)]
    )
    tokens = [1, 2, 3]
    for token in tokens_of(events):
        row = Engine(ToySession(), context=50).logits(tokens)[-1]
        assert token == max(allowed, key=lambda each: row[each])
        tokens.append(token)


@pytest.mark.parametrize("settings", [{}, {"top_k": 3}, {"top_p": 0.7}, {"min_p": 0.3}], ids=str)
def test_what_is_left_keeps_its_proportions(settings):
    row = np.random.default_rng(0).normal(0, 1, VOCAB_SIZE).astype(np.float32)
    allowed = [3, 30, 31, 32, 33, 60]
    sampler = Sampler(SamplingParams(seed=1, **settings), [], Automaton({0: dict.fromkeys(allowed, 0)}))
    session = ToySession()
    drawn = Counter(
        sampler.sample(row, int(row.argmax()), np.empty_like(row), session.apply_mask).token for _ in range(20_000)
    )
    # The same draws from a vocabulary that has nothing else.
    small = np.array([row[token] for token in allowed])
    plain = Sampler(SamplingParams(seed=1, **settings), [])
    expected = Counter(
        allowed[plain.sample(small, int(small.argmax()), np.empty_like(small), session.apply_mask).token]
        for _ in range(20_000)
    )
    assert drawn.keys() == expected.keys()
    for token, count in expected.items():
        assert abs(drawn[token] - count) < 5 * np.sqrt(count)


def test_a_large_vocabulary_with_few_allowed_tokens_is_drawn_rightly():
    """top-k takes another way there: fewer tokens are left than it asks for."""
    size = 40_000
    row = np.random.default_rng(0).normal(0, 1, size).astype(np.float32)
    session = ToySession(vocab_size=size)
    for settings in ({"top_k": 50}, {"top_k": 50, "top_p": 0.9}, {"top_p": 0.9}):
        allowed = {5: 0, 31_999: 0, 39_999: 0}
        constraint = Automaton({0: allowed})
        constraint.mask = lambda allowed=allowed: mask_of(allowed, size)
        sampler = Sampler(SamplingParams(seed=0, **settings), [], constraint)
        drawn = {sampler.sample(row, 0, np.empty_like(row), session.apply_mask).token for _ in range(300)}
        assert drawn <= set(allowed)
        assert len(drawn) >= 2


def test_logprobs_stay_those_of_the_model_itself():
    constraint = Automaton({0: {12: 0}})
    (events,) = run_all(Engine(ToySession(), context=50), [request([1, 2], constraint, max_tokens=1, logprobs=2)])
    row = Engine(ToySession(), context=50).logits([1, 2])[-1].astype(np.float64)
    logprobs = row - row.max() - np.log(np.exp(row - row.max()).sum())
    assert events[0].logprob == pytest.approx(logprobs[12], abs=1e-5)
    assert events[0].top_logprobs[0][0] == int(row.argmax()), "which the mask forbids"


def test_where_the_mask_allows_everything_the_answer_is_the_plain_one():
    session = ToySession()
    for constraint in (Automaton({0: None}), Automaton({0: dict.fromkeys(range(VOCAB_SIZE), 0)})):
        (events,) = run_all(Engine(session, context=50), [request([1, 2, 3], constraint, **GREEDY)])
        assert tokens_of(events) == greedy_reference(session, [1, 2, 3], 20)


def test_an_answer_ends_where_only_the_end_token_may_come():
    constraint = Automaton({0: {20: 1, 21: 1}, 1: {30: 2}, 2: {9: 2}})
    (events,) = run_all(Engine(ToySession(), context=50, eos_ids=[9]), [request([1, 2], constraint, **GREEDY)])
    assert tokens_of(events)[1:] == [30, 9]
    assert events[-1].finish_reason == "stop"


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("shape", [{}, {"num_pages": 26}, {"max_tokens": 6}], ids=str)
def test_guessing_changes_no_token_of_a_constrained_answer(settings, shape):
    def requests() -> list[Request]:
        return [
            request(prompt, rounds(size=3, seed=place) if place != 1 else None, max_tokens=40, **settings)
            for place, prompt in enumerate(PROMPTS)
        ]

    options = {"context": 100, "eos_ids": [9], "chunk_tokens": 5}
    plain = [tokens_of(events) for events in run_all(Engine(ToySession(**shape), **options), requests())]
    prompts = dict(enumerate(PROMPTS))
    for speculation in (
        Eager(PromptLookup()),
        Certain(garbage(1)),
        Certain(oracle(dict(enumerate(plain)), prompts)),
        Certain(oracle(dict(enumerate(plain)), prompts, seed=3)),
    ):
        asked = requests()
        engine = Engine(ToySession(**shape), **options, speculation=speculation)
        answers = run_all(engine, asked)
        assert [tokens_of(events) for events in answers] == plain
        for each, tokens in zip(asked, plain, strict=True):
            assert each.constraint is None or each.constraint.accepted == tokens


def test_a_sequence_that_is_computed_again_goes_on_where_its_constraint_stands():
    def requests() -> list[Request]:
        return [request(prompt, rounds(seed=place), max_tokens=40, seed=place) for place, prompt in enumerate(PROMPTS)]

    roomy = [tokens_of(events) for events in run_all(Engine(ToySession(), context=60), requests())]
    session = ToySession(num_pages=22)
    answers = run_all(Engine(session, context=60, prefix_cache=False), requests())
    assert sum(events[-1].usage.preemptions for events in answers) > 0
    assert [tokens_of(events) for events in answers] == roomy


def test_others_of_an_interrupted_step_go_on_under_their_constraint():
    constraint = rounds()
    engine = Engine(session := ToySession(), context=100)
    kept = engine.add(request([1, 2, 3], constraint, **GREEDY))
    engine.step()
    engine.step()
    before = list(constraint.accepted)
    session.fail_next = RuntimeError("no memory")
    with pytest.raises(RuntimeError):
        engine.logits([1, 2])
    tokens = [event.token for _ in range(30) for event in engine.step() if event.id == kept]
    assert constraint.accepted == before + tokens
    assert len(constraint.accepted) == 20


class Broken:
    """A constraint that raises in one of its methods, the third time."""

    def __init__(self, where: str) -> None:
        self.where, self.times = where, 0

    def mask(self) -> None:
        self._maybe("mask")

    def accept(self, token: int) -> None:
        self._maybe("accept")

    def _maybe(self, where: str) -> None:
        self.times += where == self.where
        if where == self.where and self.times == 3:
            raise ValueError("the grammar ran out of memory")


@pytest.mark.parametrize("settings", [GREEDY, {"seed": 2}, {"seed": 2, "top_k": 5}, {**GREEDY, "logprobs": 1}], ids=str)
def test_a_mask_that_allows_nothing_ends_its_request_with_an_error_and_no_other(settings):
    session = ToySession()
    engine = Engine(session, context=60)
    dead_end = Automaton({0: {20: 1, 21: 1}, 1: {22: 2}, 2: {}})
    wrong, right = run_all(
        engine, [request([1, 2, 3, 4, 5], dead_end, **settings), request([1, 2, 3, 4, 5, 6], None, **GREEDY)]
    )
    assert wrong[-1].finish_reason == "error"
    assert isinstance(wrong[-1].error, ConstraintFailed)
    assert "no token" in str(wrong[-1].error)
    assert len(tokens_of(wrong)) == 2
    assert tokens_of(right) == greedy_reference(session, [1, 2, 3, 4, 5, 6], 20)
    assert engine.num_available_pages == session.num_pages


@pytest.mark.parametrize("where", ["mask", "accept"])
def test_a_constraint_that_breaks_ends_its_request_with_an_error_and_no_other(where):
    session = ToySession()
    engine = Engine(session, context=60)
    wrong, right = run_all(engine, [request([1, 2, 3], Broken(where), **GREEDY), request([4, 5], None, **GREEDY)])
    assert isinstance(wrong[-1].error, ConstraintFailed)
    assert "ran out of memory" in str(wrong[-1].error)
    assert tokens_of(right) == greedy_reference(session, [4, 5], 20)
    # What was computed before is sound, and is found again.
    (again,) = run_all(engine, [request([1, 2, 3, *tokens_of(wrong)[:2]], None, **GREEDY)])
    assert again[-1].usage.cached_tokens > 0
