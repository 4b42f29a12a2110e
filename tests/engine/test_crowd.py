"""Many streams that come and go: each ends exactly once with its own tokens, and nothing of it stays behind."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest
from constraints import rounds
from drafters import Eager
from toy_session import ToySession, greedy_reference

from hearth.engine import Engine, Pace, PromptLookup, Request, SamplingParams, Speculation

pytestmark = pytest.mark.usefixtures("kind")

NUM_REQUESTS = 64
STEMS = [np.random.default_rng(9).integers(0, 61, 24).tolist() for _ in range(3)]


class Crowd:
    """64 requests over 16 places; random beginnings in common, lengths, cancels, constraints and failures.

    Attributes:
        ends: how each request ended, each time that it did.
    """

    def __init__(self, engine: Engine, session: ToySession, seed: int) -> None:
        self.engine, self.session = engine, session
        self.rng = np.random.default_rng(seed)
        self.requests: dict[int, Request] = {}
        self.tokens: dict[int, list[int]] = {}
        self.ends: dict[int, list[str]] = {}
        self.most_running = 0

    def run(self, *, failures: bool) -> None:
        while len(self.requests) < NUM_REQUESTS or self.engine.num_running or self.engine.num_waiting:
            if len(self.requests) < NUM_REQUESTS and self.rng.random() < 0.5:
                self._join()
            if self.rng.random() < 0.05 and self.requests:
                self.engine.cancel(int(self.rng.choice(list(self.requests))))
            if failures and self.rng.random() < 0.01:
                self.session.fail_next = RuntimeError("out of luck")
            try:
                self._take(self.engine.step())
            except RuntimeError:
                continue
            self.most_running = max(self.most_running, self.engine.num_running)
        self._take(self.engine.step())  # what was told after the last step

    def _join(self) -> None:
        rng = self.rng
        stem = STEMS[rng.integers(len(STEMS))][: rng.integers(1, 25)]
        prompt = stem + rng.integers(0, 61, rng.integers(0, 12)).tolist()
        params = SamplingParams(temperature=0, max_tokens=int(rng.integers(1, 30)))
        constraint = rounds(seed=len(self.requests)) if rng.random() < 0.2 else None
        request = Request(prompt_ids=prompt, params=params, constraint=constraint)
        request_id = self.engine.add(request)
        self.requests[request_id], self.tokens[request_id], self.ends[request_id] = request, [], []

    def _take(self, events) -> None:
        for event in events:
            assert not self.ends[event.id], "nothing comes after the end"
            if event.token is not None:
                self.tokens[event.id].append(event.token)
            if event.finish_reason is not None:
                self.ends[event.id].append(event.finish_reason)
                assert event.usage is not None

    def check(self) -> None:
        for request_id, request in self.requests.items():
            (end,) = self.ends[request_id]
            tokens = self.tokens[request_id]
            assert end in ("length", "cancelled", "error")
            assert len(tokens) == request.params.max_tokens or end != "length"
            if request.constraint is not None:
                assert request.constraint.accepted == tokens
            elif tokens:
                assert tokens == greedy_reference(self.session, list(request.prompt_ids), len(tokens))
        engine = self.engine
        assert engine.num_available_pages == self.session.num_pages
        assert all(engine._memory.pages.refs(page) == 0 for page in range(self.session.num_pages))
        assert engine._memory.states.num_available == self.session.num_slots
        assert engine._ledger.is_empty
        assert not engine._recovery._suspects


@pytest.mark.parametrize("num_pages", [40, 200], ids=["few pages", "many pages"])
@pytest.mark.parametrize("speculation", [None, "adaptive", "eager"])
@pytest.mark.parametrize("seed", [0, 1])
def test_each_of_many_requests_ends_once_with_its_own_tokens(seed, speculation, num_pages):
    guesses = {None: None, "adaptive": Speculation(PromptLookup()), "eager": Eager(PromptLookup())}[speculation]
    session = ToySession(num_pages=num_pages, max_seqs=16, max_logit_rows=32, max_tokens=48)
    engine = Engine(session, context=80, pace=Pace(), speculation=guesses)
    crowd = Crowd(engine, session, seed)
    crowd.run(failures=seed == 1)
    crowd.check()
    assert crowd.most_running <= 16
    assert seed == 1 or "error" not in {end for ends in crowd.ends.values() for end in ends}


def test_the_limit_on_running_requests_holds_and_they_come_in_their_order():
    session = ToySession(num_pages=400, max_seqs=16, max_logit_rows=16)
    engine = Engine(session, context=80, pace=Pace())
    engine.limit_running(5)
    ids = [
        engine.add(Request(prompt_ids=[1, 2, place], params=SamplingParams(temperature=0, max_tokens=4)))
        for place in range(30)
    ]
    first_seen: list[int] = []
    while engine.num_running or engine.num_waiting:
        for event in engine.step():
            if event.id not in first_seen:
                first_seen.append(event.id)
        assert engine.num_running <= 5
    assert first_seen == ids


def test_memory_stays_flat_however_many_requests_have_come_and_gone():
    session = ToySession(num_pages=60, max_seqs=16, max_logit_rows=16, max_tokens=48)
    engine = Engine(session, context=60, pace=Pace(), speculation=Speculation(PromptLookup()))
    rng = np.random.default_rng(2)

    def many() -> None:
        for _ in range(50):
            prompt = STEMS[0][:16] + rng.integers(0, 61, 6).tolist()
            engine.add(Request(prompt_ids=prompt, params=SamplingParams(temperature=0, max_tokens=3)))
            engine.step()
            if rng.random() < 0.2 and engine.num_running:
                engine.cancel(engine._scheduler.running[0].id)
        while engine.num_running or engine.num_waiting:
            engine.step()
        session.batches.clear()
        session.wanted.clear()
        gc.collect()

    many()
    tracemalloc.start()
    try:
        many()  # whatever is remembered has been since the tracing began
        many()
        before, _ = tracemalloc.get_traced_memory()
        many()
        many()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 20_000
