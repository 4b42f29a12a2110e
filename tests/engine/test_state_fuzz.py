"""Whatever comes in whatever order, with hardly any slots or pages: each answer is the plain loop's."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from drafters import Certain, Eager, Guesses
from hypothesis import given, settings
from toy_session import ToySession, greedy_reference

from hearth.engine import DraftModel, Engine, PromptLookup, Request, SamplingParams
from hearth.errors import StatesLost

STEMS = [np.random.default_rng(seed).integers(0, 61, 30).tolist() for seed in range(2)]
PAGE_TOKENS = 4
ERRORS = (KeyboardInterrupt, RuntimeError, StatesLost)


@st.composite
def shapes(draw):
    return {
        "num_slots": draw(st.sampled_from([0, *range(2, 10)])),
        "num_pages": draw(st.sampled_from([16, 24, 60])),
        "max_seqs": draw(st.integers(1, 5)),
        "max_tokens": draw(st.sampled_from([6, 17, 32])),
        "max_logit_rows": draw(st.sampled_from([5, 16])),
        "likeliest": draw(st.sampled_from([0, 6])),
    }


REQUESTS = st.fixed_dictionaries(
    {
        "stem": st.integers(0, 1),
        "shared": st.integers(1, 25),
        "own": st.lists(st.integers(0, 60), max_size=4),
        "count": st.integers(1, 22),
        "keep": st.booleans(),
        "slides": st.booleans(),
        "sampled": st.booleans(),
    }
)
ACTIONS = st.one_of(
    REQUESTS,
    st.integers(1, 12),  # so many steps
    st.tuples(st.just("cancel"), st.integers(0, 9)),
    st.tuples(st.just("again"), st.integers(0, 9)),
    st.tuples(st.just("logits"), st.integers(1, 30)),
    st.tuples(st.sampled_from(ERRORS), st.booleans()),
)


def speculation(kind: str, small_slots: int):
    wrong = np.random.default_rng(0)
    return {
        "none": lambda: None,
        "lookup": lambda: Eager(PromptLookup()),
        "some": lambda: Certain(Guesses(lambda ask: wrong.integers(0, 61, wrong.integers(0, ask.limit + 1)).tolist())),
        "model": lambda: Eager(
            DraftModel(
                ToySession(num_pages=20, num_slots=small_slots, max_seqs=2, page_tokens=PAGE_TOKENS),
                context=60,
                vocab_size=61,
            )
        ),
    }[kind]()


class Traffic:
    """An engine, what was asked of it and what it has told."""

    def __init__(self, session: ToySession, engine: Engine) -> None:
        self.session, self.engine = session, engine
        self.asked: dict[int, Request] = {}
        self.told: dict[int, list[int]] = {}
        self.ends: dict[int, str] = {}

    def act(self, action) -> None:
        match action:
            case dict():
                self._ask(action)
            case int():
                for _ in range(action):
                    self._step()
            case ("cancel", which) if self.asked:
                self.engine.cancel(which % len(self.asked))  # of which the next step tells
            case ("again", which) if self.ends:
                request_id = list(self.ends)[which % len(self.ends)]
                text = [*self.asked[request_id].prompt_ids, *self.told[request_id]][:50]
                self._add(Request(prompt_ids=(*text, 5, which), params=SamplingParams(temperature=0, max_tokens=8)))
            case ("logits", count):
                rows = self._unharmed(lambda: self.engine.logits(STEMS[0][:count]))
                if rows is not None:
                    assert [int(rows[-1].argmax())] == greedy_reference(self.session, STEMS[0][:count], 1)
            case (type() as error, after_writing):
                self.session.fail_next = error("The GPU was lost." if error is StatesLost else "out of luck")
                self.session.fail_after_writing = after_writing

    def finish(self) -> None:
        self.session.fail_next = None
        for _ in range(5000):
            self._step()
            if not self.engine.num_running and not self.engine.num_waiting:
                break
        self._step()
        for request_id, request in self.asked.items():
            tokens, end = self.told[request_id], self.ends[request_id]
            assert end != "length" or len(tokens) == request.params.max_tokens
            if request.overflow == "stop" and tokens:
                assert tokens == greedy_reference(self.session, list(request.prompt_ids), len(tokens))
        memory = self.engine._memory
        assert memory.pages.num_available == self.session.num_pages
        assert memory.states.num_available == self.session.num_slots

    def _ask(self, what: dict) -> None:
        prompt = STEMS[what["stem"]][: what["shared"]] + what["own"]
        params = {"temperature": 0.0} if not what["sampled"] else {"top_k": 1, "seed": 1}  # which draws the likeliest
        self._add(
            Request(
                prompt_ids=tuple(prompt),
                params=SamplingParams(max_tokens=what["count"], **params),
                keep_tokens=len(prompt) // 2 if what["keep"] else 0,
                overflow="slide" if what["slides"] else "stop",
            )
        )

    def _add(self, request: Request) -> None:
        request_id = self.engine.add(request)
        self.asked[request_id], self.told[request_id] = request, []

    def _step(self) -> None:
        self._take(self._unharmed(self.engine.step) or [])

    def _unharmed(self, call):
        try:
            return call()
        except ERRORS:
            return None

    def _take(self, events) -> None:
        for event in events:
            assert event.id not in self.ends
            if event.token is not None:
                self.told[event.id].append(event.token)
            if event.finish_reason is not None:
                self.ends[event.id] = event.finish_reason


@pytest.mark.parametrize("kind", ["none", "lookup", "some", "model"])
@settings(max_examples=100, deadline=None)
@given(shape=shapes(), actions=st.lists(ACTIONS, min_size=5, max_size=25), data=st.data())
def test_every_answer_is_that_of_the_plain_loop(kind, shape, actions, data):
    session = ToySession(page_tokens=PAGE_TOKENS, **shape)
    chunk = data.draw(st.integers(1, session.info.max_tokens))
    guesses = speculation(kind, data.draw(st.integers(1, 5)))
    engine = Engine(session, context=60, chunk_tokens=chunk, speculation=guesses)
    traffic = Traffic(session, engine)
    for action in actions:
        traffic.act(action)
    traffic.finish()
