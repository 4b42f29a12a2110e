"""A new turn of a chat must compute only what is new, and never go on from a wrong page."""

from __future__ import annotations

import numpy as np
import pytest
from toy_session import ToySession, greedy_reference

from hearth.engine import Engine, Request, SamplingParams, Usage

pytestmark = pytest.mark.usefixtures("kind")

RNG = np.random.default_rng(11)


def tokens(count: int) -> list[int]:
    return RNG.integers(0, 61, count).tolist()


def ask(engine: Engine, prompt: list[int], count: int = 6, **more: int) -> tuple[list[int], Usage]:
    events = list(engine.generate(prompt, SamplingParams(temperature=0, max_tokens=count), **more))
    return [event.token for event in events], events[-1].usage


def test_each_turn_of_a_chat_computes_only_what_is_new():
    session = ToySession()
    engine = Engine(session, context=200, chunk_tokens=7)
    history: list[int] = []
    for turn in range(8):
        new = tokens(5 + turn)
        before = session.num_computed
        answer, usage = ask(engine, history + new)
        assert answer == greedy_reference(session, history + new, 6)
        # The last token of the answer before was drawn but never computed, so it counts as new; so do five of six now.
        was_drawn = 1 if history else 0
        assert session.num_computed - before == was_drawn + len(new) + 5
        assert usage.computed_tokens == was_drawn + len(new) + 5
        assert usage.cached_tokens == len(history) - was_drawn
        history += new + answer


def test_a_cancelled_answer_is_gone_on_from_as_well():
    session = ToySession()
    engine = Engine(session, context=200)
    prompt = tokens(10)
    answer = engine.generate(prompt, SamplingParams(temperature=0))
    said = [next(answer).token for _ in range(3)]
    answer.close()
    new = tokens(4)
    more, usage = ask(engine, prompt + said + new)
    assert usage.cached_tokens == len(prompt) + 2
    assert more == greedy_reference(session, prompt + said + new, 6)


def test_the_same_prompt_again_computes_one_token_of_it(kind):
    """With a state, the last page of it at most."""
    for length in range(1, 14):
        session = ToySession()
        engine = Engine(session, context=100)
        prompt = tokens(length)
        first, _ = ask(engine, prompt, count=1)
        again, usage = ask(engine, prompt, count=1)
        assert again == first == greedy_reference(session, prompt, 1)
        assert usage.cached_tokens == (length - 1 if kind == 0 else (length - 1) // 4 * 4)


def test_another_ending_shares_the_full_pages_before_it(kind):
    """With a state, where it is said that they may depart there."""
    session = ToySession()
    engine = Engine(session, context=100)
    system = tokens(10)  # two pages and a half
    keep = 0 if kind == 0 else len(system)
    ask(engine, system + tokens(9), keep_tokens=keep)
    other = [*system, 60, 59, 58]
    answer, usage = ask(engine, other)
    assert usage.cached_tokens == 8
    assert answer == greedy_reference(session, other, 6)


def test_equal_blocks_after_different_beginnings_are_not_mixed_up():
    session = ToySession()
    engine = Engine(session, context=100)
    tail = tokens(12)
    for beginning in ([1, 2, 3, 4], [5, 6, 7, 8]):
        answer, usage = ask(engine, beginning + tail)
        assert usage.cached_tokens == 0
        assert answer == greedy_reference(session, beginning + tail, 6)


def test_two_requests_at_once_do_not_both_take_the_partial_page():
    session = ToySession()
    engine = Engine(session, context=100)
    prompt = tokens(10)
    answer, _ = ask(engine, prompt)
    turns = [prompt + answer + [place] * 3 for place in range(3)]
    ids = [engine.add(Request(prompt_ids=turn, params=SamplingParams(temperature=0, max_tokens=5))) for turn in turns]
    got: dict[int, list[int]] = {request_id: [] for request_id in ids}
    cached = []
    while engine.num_running or engine.num_waiting:
        for event in engine.step():
            got[event.id].append(event.token)
            if event.usage:
                cached.append(event.usage.cached_tokens)
    for request_id, turn in zip(ids, turns, strict=True):
        assert got[request_id] == greedy_reference(session, turn, 5)
    assert sorted(cached) == [12, 12, 15]


def test_requests_share_the_pages_of_one_that_is_still_running():
    session = ToySession()
    engine = Engine(session, context=100)
    system = tokens(16)
    first = engine.generate([*system, 1], SamplingParams(temperature=0, max_tokens=20))
    start = [next(first).token]
    answer, usage = ask(engine, [*system, 2])
    assert usage.cached_tokens == 16
    assert answer == greedy_reference(session, [*system, 2], 6)
    assert start + [event.token for event in first] == greedy_reference(session, [*system, 1], 20)


def test_the_longest_unused_prefix_is_evicted_first(kind):
    session = ToySession(num_pages=10)  # of 4 tokens: room for three prompts of three pages
    engine = Engine(session, context=40)
    prompts = [tokens(11) for _ in range(3)]
    for prompt in prompts:
        ask(engine, prompt, count=1)
    ask(engine, prompts[0], count=1)  # now the second is the longest unused
    ask(engine, tokens(11), count=1)
    longest = 10 if kind == 0 else 8
    assert ask(engine, prompts[0], count=1)[1].cached_tokens == longest
    assert ask(engine, prompts[2], count=1)[1].cached_tokens == longest
    assert ask(engine, prompts[1], count=1)[1].cached_tokens < longest
    for prompt in prompts:
        assert ask(engine, prompt)[0] == greedy_reference(session, prompt, 6)


def test_without_prefix_cache_everything_is_computed():
    session = ToySession()
    engine = Engine(session, context=100, prefix_cache=False)
    prompt = tokens(10)
    first, _ = ask(engine, prompt)
    again, usage = ask(engine, prompt)
    assert first == again
    assert usage.cached_tokens == 0
    assert usage.computed_tokens == 15


def test_after_ctrl_c_the_next_turn_still_finds_the_prefix():
    session = ToySession()
    engine = Engine(session, context=100)
    prompt = tokens(10)
    answer = engine.generate(prompt, SamplingParams(temperature=0))
    said = [next(answer).token for _ in range(3)]
    session.fail_next = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        next(answer)
    turn = prompt + said + tokens(3)
    again, usage = ask(engine, turn)
    assert usage.cached_tokens == 12
    assert again == greedy_reference(session, turn, 6)


def test_a_mixed_crowd_with_shared_beginnings_few_pages_and_cancels_gets_the_right_tokens():
    """Random traffic: whatever is shared, evicted, preempted or cancelled, every answer is the plain loop's."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        session = ToySession(num_pages=int(rng.integers(16, 40)), max_tokens=int(rng.integers(4, 32)))
        engine = Engine(session, context=60, chunk_tokens=int(rng.integers(1, session.info.max_tokens + 1)))
        stems = [rng.integers(0, 61, 20).tolist() for _ in range(2)]
        wanted: dict[int, tuple[list[int], int]] = {}
        got: dict[int, list[int]] = {}
        for _ in range(400):
            if len(wanted) < 25 and rng.random() < 0.3:
                stem = stems[rng.integers(2)][: rng.integers(1, 20)]
                prompt = stem + rng.integers(0, 61, rng.integers(0, 8)).tolist()
                count = int(rng.integers(1, 25))
                params = SamplingParams(temperature=0, max_tokens=count)
                request_id = engine.add(Request(prompt_ids=prompt, params=params))
                wanted[request_id], got[request_id] = (prompt, count), []
            if wanted and rng.random() < 0.05:
                engine.cancel(int(rng.integers(len(wanted))))
            if rng.random() < 0.02:
                session.fail_next, session.fail_after_writing = KeyboardInterrupt(), bool(rng.integers(2))
            try:
                events = engine.step()
            except KeyboardInterrupt:
                continue
            for event in events:
                if event.token is not None:
                    got[event.id].append(event.token)
                if event.finish_reason == "cancelled":
                    prompt, _ = wanted[event.id]
                    wanted[event.id] = (prompt, len(got[event.id]))
        session.fail_next = None
        while engine.num_running or engine.num_waiting:
            for event in engine.step():
                got[event.id].append(event.token)
        for request_id, (prompt, count) in wanted.items():
            assert got[request_id] == (greedy_reference(session, prompt, count) if count else [])
        assert engine.num_available_pages == session.num_pages
