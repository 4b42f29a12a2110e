"""While a long prompt is read, the streams that run already get their tokens nearly as fast as before."""

from __future__ import annotations

import numpy as np
import pytest
from toy_session import ToySession, greedy_reference

from hearth.engine import Engine, Pace, Request, SamplingParams
from hearth.engine.pace import _LEAST_TOKENS

BASE_NS = 5e6


class Machine:
    """How long forwards take on an imagined machine.

    Args:
        token_ns: each prompt token adds.
        noise: standard deviation of the time, as a share; each 40th step is delayed by something else, ten times.
    """

    def __init__(self, token_ns: float, noise: float = 0.05, jump_ns: float = 0.0) -> None:
        self.token_ns, self.noise, self.jump_ns = token_ns, noise, jump_ns
        self.rng = np.random.default_rng(0)

    def time_ns(self, decoding: int, prompt: int) -> float:
        plain = BASE_NS * (1 + 0.1 * decoding) + prompt * self.token_ns + (self.jump_ns if prompt else 0)
        delay = 10 if self.rng.random() < 1 / 40 else 1
        return plain * max(0.5, self.rng.normal(1, self.noise)) * delay


def run(pace: Pace, machine: Machine, decoding: int, steps: int) -> list[int]:
    """Prompt tokens of each step while a prompt without end is read."""
    counts = []
    for _ in range(steps):
        limit = pace.limit(decoding)
        assert limit is not None
        count = min(limit, 512)
        pace.observe(decoding, count, machine.time_ns(decoding, count))
        counts.append(count)
    return counts


@pytest.mark.parametrize("decoding", [1, 4, 16])
@pytest.mark.parametrize("token_ns", [0.01 * BASE_NS, 0.03 * BASE_NS, 0.1 * BASE_NS])
@pytest.mark.parametrize("jump_ns", [0, 0.3 * BASE_NS])
def test_steps_with_prompt_tokens_take_about_twice_as_long(decoding, token_ns, jump_ns):
    machine = Machine(token_ns, jump_ns=jump_ns)
    counts = run(Pace(), machine, decoding, 400)[50:]
    plain_ns = BASE_NS * (1 + 0.1 * decoding)
    stretches = [(plain_ns + jump_ns + count * token_ns) / plain_ns for count in counts if count]
    assert np.percentile(stretches, 95) < 3
    assert np.median(stretches) > 1.45, "the prompt gets on as fast as that allows"
    assert counts.count(0) < 0.05 * len(counts)


def test_a_prompt_gets_on_however_dear_its_tokens_are():
    counts = run(Pace(), Machine(10 * BASE_NS), 1, 200)
    assert set(counts[3:]) == {0, _LEAST_TOKENS}


def test_nobody_is_held_up_where_nobody_waits():
    pace = Pace()
    assert pace.limit(0) is None
    run(pace, Machine(0.1 * BASE_NS), 2, 50)
    assert pace.limit(0) is None


def test_the_pace_follows_a_machine_that_changes():
    pace = Pace()
    run(pace, Machine(0.1 * BASE_NS), 1, 100)
    fast = np.median(run(pace, Machine(0.01 * BASE_NS), 1, 200)[100:])
    slow = np.median(run(pace, Machine(0.1 * BASE_NS), 1, 200)[100:])
    assert fast > 75
    assert slow < 30


@pytest.mark.usefixtures("kind")
def test_paced_prompts_give_the_same_tokens_and_every_stream_goes_on():
    session = ToySession(num_pages=200)
    engine = Engine(session, context=300, pace=Pace())
    rng = np.random.default_rng(1)
    prompts = [rng.integers(0, 61, n).tolist() for n in (2, 150, 3, 80)]
    ids = [
        engine.add(Request(prompt_ids=prompt, params=SamplingParams(temperature=0, max_tokens=40)))
        for prompt in prompts
    ]
    tokens: dict[int, list[int]] = {request_id: [] for request_id in ids}
    while engine.num_running or engine.num_waiting:
        decoding = {request_id for request_id in ids if 0 < len(tokens[request_id]) < 40}
        events = engine.step()
        assert decoding <= {event.id for event in events}
        for event in events:
            tokens[event.id].append(event.token)
    assert list(tokens.values()) == [greedy_reference(session, prompt, 40) for prompt in prompts]
