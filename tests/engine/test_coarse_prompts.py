"""A model that computes prompts more coarsely (precision="fast"): which arithmetic a token has depends on whether it
was given or drawn, and on nothing else. A failure means answers that change with the load, or guesses that change them.
"""

from __future__ import annotations

import numpy as np
import pytest
from drafters import Eager
from run_all import run_all
from toy_session import ToySession, greedy_reference

from hearth.engine import Engine, PromptLookup, Request, SamplingParams

RNG = np.random.default_rng(21)
PROMPTS = [RNG.integers(0, 61, n).tolist() for n in (1, 2, 5, 17, 40)]


def greedy(count: int) -> SamplingParams:
    return SamplingParams(temperature=0, max_tokens=count)


def answers(engine: Engine, prompts: list[list[int]], count: int) -> list[list[int]]:
    requests = [Request(prompt_ids=tuple(prompt), params=greedy(count)) for prompt in prompts]
    return [[event.token for event in events if event.token is not None] for events in run_all(engine, requests)]


def test_the_toy_tells_both_arithmetics_apart():
    prompt = PROMPTS[4]
    coarse, fine = (greedy_reference(ToySession(coarse_prompts=coarse), prompt, 20) for coarse in (True, False))
    assert coarse != fine


@pytest.mark.parametrize("chunk_tokens", [1, 3, 7, 32])
def test_chunks_and_neighbours_change_no_token(chunk_tokens):
    session = ToySession(coarse_prompts=True)
    engine = Engine(session, context=64, chunk_tokens=chunk_tokens)
    expected = [greedy_reference(session, prompt, 12) for prompt in PROMPTS]
    assert answers(engine, PROMPTS, 12) == expected


def test_tokens_that_are_computed_for_the_second_time_are_computed_alike():
    # Three answers of 40 tokens need 3 * 12 pages; there are 20, and nothing is found again.
    session = ToySession(num_pages=20, coarse_prompts=True)
    engine = Engine(session, context=60, prefix_cache=False)
    prompts = PROMPTS[1:4]
    assert answers(engine, prompts, 40) == [greedy_reference(session, prompt, 40) for prompt in prompts]
    again = [(first, count) for batch in session.batches for count, first in batch if first >= 17 and count > 1]
    assert again  # drawn tokens were computed many at a time


def test_guesses_change_no_token():
    session = ToySession(coarse_prompts=True)
    loops = [prompt + prompt for prompt in PROMPTS[:4]]
    for prompts in (loops, [[loop[0]] for loop in loops]):  # of one token: guesses might go along with a prompt's last
        engine = Engine(session, context=100, speculation=Eager(PromptLookup()))
        for prompt in prompts:
            assert answers(engine, [prompt], 30) == [greedy_reference(session, prompt, 30)]
            # Now all of the prompt but its last token is found.
            assert answers(engine, [prompt], 30) == [greedy_reference(session, prompt, 30)]


def test_logits_of_given_tokens_are_those_of_prompts():
    session = ToySession(coarse_prompts=True)
    engine = Engine(session, context=64)
    prompt = PROMPTS[3]
    logits = engine.logits(prompt)
    for end in (1, 9, 17):
        assert [int(logits[end - 1].argmax())] == greedy_reference(session, prompt[:end], 1)
