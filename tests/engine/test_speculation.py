"""Guessing tokens ahead changes how fast an answer comes and nothing else: neither a token nor how it ends."""

from __future__ import annotations

import numpy as np
import pytest
from drafters import Certain, Eager, Guesses, garbage, oracle
from run_all import run_all
from toy_session import ToySession, greedy_reference

from hearth.engine import DraftModel, Engine, PromptLookup, Request, SamplingParams, Speculation, TokenEvent
from hearth.engine.draft import MAX_DRAFT
from hearth.errors import UsageError

pytestmark = pytest.mark.usefixtures("kind")

RNG = np.random.default_rng(3)
PROMPTS = [RNG.integers(0, 61, n).tolist() for n in (1, 3, 4, 5, 17, 40, 8)]
LOOP = [5, 6, 7, 8] * 6
GREEDY = {"temperature": 0.0}
SETTINGS = {
    "greedy": GREEDY,
    "seeded": {"seed": 11},
    "nucleus": {"seed": 3, "top_p": 0.8, "temperature": 0.7, "logprobs": 2},
    "penalties": {"seed": 4, "repetition_penalty": 1.3, "frequency_penalty": 0.4, "presence_penalty": 0.2},
    "greedy-penalties": {**GREEDY, "repetition_penalty": 1.5, "logprobs": 1},
    "bias": {**GREEDY, "logit_bias": {7: 2.0}},
}


def told(events: list[TokenEvent]) -> list[tuple]:
    """Everything a user sees of an answer."""
    return [(e.token, e.logprob, e.top_logprobs, e.slid, e.finish_reason, e.context_full) for e in events]


def drafters(requests: list[Request], plain: list[list[TokenEvent]]) -> dict[str, Speculation]:
    prompts = {place: list(request.prompt_ids) for place, request in enumerate(requests)}
    answers = {place: [e.token for e in events if e.token is not None] for place, events in enumerate(plain)}
    return {
        "lookup": Eager(PromptLookup()),
        "adaptive": Speculation(PromptLookup()),
        "same model": Eager(DraftModel(ToySession(num_pages=64), context=100, vocab_size=61)),
        "other model": Eager(DraftModel(ToySession(num_pages=30, seed=8, max_seqs=2), context=60, vocab_size=61)),
        "garbage": Certain(garbage(1)),
        "oracle": Certain(oracle(answers, prompts)),
        **{f"moody oracle {seed}": Certain(oracle(answers, prompts, seed=seed)) for seed in range(4)},
    }


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("shape", [{}, {"num_pages": 26}, {"max_logit_rows": 5}, {"max_tokens": 6}], ids=str)
def test_every_drafter_gives_the_plain_answers(settings, shape):
    """Many requests at once, with pages enough and too few, with an end token, with little room in a step."""
    requests = [
        Request(prompt_ids=prompt, params=SamplingParams(**{**settings, "max_tokens": 6 + 7 * place}))
        for place, prompt in enumerate([*PROMPTS, LOOP])
    ]
    options = {"context": 100, "eos_ids": [9], "chunk_tokens": 5}
    plain = run_all(Engine(ToySession(**shape), **options), requests)
    assert {events[-1].finish_reason for events in plain} == {"stop", "length"}
    for name, speculation in drafters(requests, plain).items():
        session = ToySession(**shape)
        engine = Engine(session, **options, speculation=speculation)
        for events, expected in zip(run_all(engine, requests), plain, strict=True):
            assert told(events) == told(expected), name
            usage = events[-1].usage
            assert 0 <= usage.accepted_tokens <= usage.drafted_tokens, name
            assert usage.output_tokens == expected[-1].usage.output_tokens, name
        assert engine.num_available_pages == session.num_pages, name


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_sliding_and_a_full_context_come_at_the_same_token(settings):
    params = SamplingParams(**settings, max_tokens=70)
    requests = [
        Request(prompt_ids=LOOP[:11], params=params, overflow="slide", keep_tokens=5),
        Request(prompt_ids=PROMPTS[6], params=params),
        Request(prompt_ids=PROMPTS[5], params=params, overflow="slide", keep_tokens=3),
    ]
    plain = run_all(Engine(ToySession(), context=24), requests)
    assert plain[1][-1].context_full
    assert sum(event.slid > 0 for event in plain[0]) > 3
    for name, speculation in drafters(requests, plain).items():
        if "oracle" in name:  # its book has the tokens that the window has dropped
            continue
        got = run_all(Engine(ToySession(), context=24, speculation=speculation), requests)
        assert [told(events) for events in got] == [told(events) for events in plain], name


def test_an_oracle_saves_its_steps_and_each_token_is_an_event_of_its_own():
    session = ToySession(max_logit_rows=9)
    answer = greedy_reference(session, PROMPTS[4], 28)
    speculation = Certain(oracle({0: answer}, {0: PROMPTS[4]}))
    engine = Engine(session, context=100, speculation=speculation)
    events = list(engine.generate(PROMPTS[4], SamplingParams(**GREEDY, max_tokens=28)))
    assert [event.token for event in events] == answer
    # The prompt's step draws one, then 9 at a time.
    assert len(session.batches) == 4
    assert events[-1].usage.drafted_tokens == events[-1].usage.accepted_tokens == 24
    assert events[-1].usage.computed_tokens == 17 + 27


def test_a_wrong_guess_is_never_found_in_the_prefix_cache(kind):
    """Pages end at 4 tokens: a guess that fills a page and is wrong must not make it findable."""
    session = ToySession(num_pages=200, num_slots=kind and 100)
    engine = Engine(session, context=100, speculation=Certain(garbage(5)))
    for prompt in PROMPTS:
        list(engine.generate(prompt, SamplingParams(**GREEDY, max_tokens=30)))
    for prompt in PROMPTS:
        answer = greedy_reference(session, prompt, 45)
        goes_on = engine.generate([*prompt, *answer[:30]], SamplingParams(**GREEDY, max_tokens=15))
        assert [event.token for event in goes_on] == answer[30:]
        assert goes_on.usage.cached_tokens >= (len(prompt) + 29) // 4 * 4


def test_cancelling_with_guesses_about():
    speculation = Certain(garbage(2))
    session = ToySession()
    engine = Engine(session, context=100, speculation=speculation)
    for place, event in enumerate(engine.generate(LOOP, SamplingParams(**GREEDY, max_tokens=50))):
        assert event.token is not None
        if place == 7:
            break
    assert engine.num_available_pages == session.num_pages
    assert speculation._voices[0].drafter.forgotten == [0]


@pytest.mark.parametrize("after_writing", [False, True])
@pytest.mark.parametrize("error", [RuntimeError("out of luck"), KeyboardInterrupt()], ids=["error", "ctrl-c"])
def test_after_a_failed_step_the_others_go_on(error, after_writing):
    session = ToySession(max_seqs=1)
    guesses = garbage(3)
    engine = Engine(session, context=100, speculation=Certain(guesses))
    first, second = (
        engine.add(Request(prompt_ids=p, params=SamplingParams(**GREEDY, max_tokens=20))) for p in PROMPTS[4:6]
    )
    for _ in range(3):
        engine.step()
    session.fail_next, session.fail_after_writing = error, after_writing
    with pytest.raises(type(error)):
        engine.step()
    assert guesses.resets == 1
    tokens = []
    while engine.num_running or engine.num_waiting:
        tokens += [(event.id, event.token) for event in engine.step() if event.token is not None]
    assert [token for request, token in tokens if request == second] == greedy_reference(session, PROMPTS[5], 20)
    assert first not in dict(tokens)
    assert engine.num_available_pages == session.num_pages


@pytest.mark.parametrize("error", [RuntimeError("out of luck"), KeyboardInterrupt()], ids=["error", "ctrl-c"])
def test_a_draft_model_that_fails_is_told_and_mended(error):
    small = ToySession(seed=8)
    session = ToySession()
    engine = Engine(session, context=100, speculation=Eager(DraftModel(small, context=100, vocab_size=61)))
    answer = engine.generate(PROMPTS[4], SamplingParams(**GREEDY, max_tokens=20))
    for _ in range(3):
        next(answer)
    small.fail_next, small.fail_after_writing = error, True
    with pytest.raises(type(error)):
        list(answer)
    for prompt in PROMPTS:
        got = [event.token for event in engine.generate(prompt, SamplingParams(**GREEDY, max_tokens=20))]
        assert got == greedy_reference(session, prompt, 20)


def test_nan_after_a_guess_fails_only_the_answer_that_gets_there():
    """Plain decoding fails at the same token; a wrong guess that leads to NaN harms nobody."""
    session = ToySession()
    expected = greedy_reference(session, PROMPTS[4], 20)
    session.poison_token = next(token for token in range(61) if token not in expected + PROMPTS[4])
    params = SamplingParams(**GREEDY, max_tokens=20, logprobs=0)
    wrong = Certain(Guesses(lambda ask: [session.poison_token] * ask.limit))
    events = list(Engine(session, context=100, speculation=wrong).generate(PROMPTS[4], params))
    assert [event.token for event in events] == expected
    session.poison_token = expected[9]
    engine = Engine(session, context=100, speculation=Certain(oracle({0: expected}, {0: PROMPTS[4]})))
    request = engine.add(Request(prompt_ids=PROMPTS[4], params=params))
    events = []
    while engine.num_running or engine.num_waiting:
        events += engine.step()
    assert [event.token for event in events[:-1]] == expected[: expected.index(expected[9]) + 1]
    assert (events[-1].id, events[-1].finish_reason) == (request, "error")


def test_a_request_may_do_without():
    guesses = garbage(4)
    engine = Engine(ToySession(), context=100, speculation=Certain(guesses))
    list(engine.generate(LOOP, SamplingParams(**GREEDY, max_tokens=9), speculate=False))
    assert not guesses.asked
    list(engine.generate(LOOP, SamplingParams(**GREEDY, max_tokens=9)))
    assert guesses.asked


def test_no_guess_goes_beyond_what_may_still_be_drawn():
    asked = []

    def guess(ask):
        asked.append((ask.id, len(ask.tokens), ask.limit))
        return [1] * ask.limit

    engine = Engine(ToySession(), context=30, speculation=Certain(Guesses(guess)))
    list(engine.generate(LOOP[:16], SamplingParams(seed=1, max_tokens=12)))
    list(engine.generate(LOOP[:16], SamplingParams(seed=1)))
    assert {request for request, _, _ in asked} == {0, 1}
    for request, length, limit in asked:
        assert 1 <= limit <= min(MAX_DRAFT, (28 if request == 0 else 30) - length - 1)


def test_guesses_take_no_page_from_a_sequence():
    """Two answers fit the pages exactly; with guesses nobody has to give up its own."""
    session = ToySession(num_pages=14)
    params = SamplingParams(**GREEDY, max_tokens=20)
    requests = [Request(prompt_ids=prompt, params=params) for prompt in (LOOP[:8], LOOP[4:12])]
    engine = Engine(session, context=28, speculation=Certain(Guesses(lambda ask: [1] * ask.limit)), prefix_cache=False)
    for events in run_all(engine, requests):
        assert events[-1].usage.preemptions == 0
        assert events[-1].usage.drafted_tokens > 0


def test_a_draft_model_follows_what_was_accepted():
    """The same model guesses right always, and computes no token of prompt or answer twice."""
    session, small = ToySession(max_logit_rows=9), ToySession()
    engine = Engine(session, context=100, speculation=Eager(DraftModel(small, context=100, vocab_size=61)))
    events = list(engine.generate(PROMPTS[5], SamplingParams(**GREEDY, max_tokens=37)))
    usage = events[-1].usage
    assert usage.accepted_tokens == usage.drafted_tokens == 32
    assert small.num_computed == 40 + 36 - 1  # neither the last guess nor what follows it
    list(engine.generate(PROMPTS[5] + [e.token for e in events], SamplingParams(**GREEDY, max_tokens=5)))
    assert small.num_computed < 40 + 36 + 16, "the draft model read the conversation again"


def test_a_draft_model_gives_way_where_it_cannot_follow():
    """Fewer pages than sequences, a shorter context, a token that it does not know: fewer guesses, the same answers."""
    params = SamplingParams(**GREEDY, max_tokens=30)
    requests = [Request(prompt_ids=prompt, params=params) for prompt in PROMPTS]
    plain = run_all(Engine(ToySession(), context=100), requests)
    for small, context in (
        (ToySession(num_pages=10, seed=8), 40),
        (ToySession(num_pages=64, seed=8, max_position=32), 32),
        (ToySession(num_pages=64, seed=8, vocab_size=50), 100),
        (ToySession(num_pages=64, seed=8, vocab_size=90), 100),
        (ToySession(num_pages=64, seed=8, max_seqs=1, max_tokens=3), 100),
    ):
        speculation = Eager(DraftModel(small, context=context, vocab_size=61))
        got = run_all(Engine(ToySession(), context=100, speculation=speculation), requests)
        assert [told(events) for events in got] == [told(events) for events in plain]
        assert sum(events[-1].usage.drafted_tokens for events in got) > 0
    with pytest.raises(UsageError, match="draft model"):
        DraftModel(ToySession(max_position=32), context=33, vocab_size=61)
