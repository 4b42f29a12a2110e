"""Guessing with the model's own block: it guesses what the block says of the whole text, and no answer changes.

A failure says that guesses are worse than they could be, or that an answer depends on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from drafters import Certain, Eager
from tests.compiler.compiled import compile_exact, compile_here

from golden import predictors
from hearth.engine import (
    Ask,
    Draft,
    Engine,
    PredictingBlock,
    PromptLookup,
    Request,
    SamplingParams,
    Speculation,
    TokenEvent,
    slots_for,
)
from hearth.runtime import Model, TextSession

CONTEXT = 128
SETTINGS = (
    SamplingParams(temperature=0.0, max_tokens=50),
    SamplingParams(temperature=1.0, seed=5, max_tokens=34, logprobs=3),
    SamplingParams(temperature=0.8, seed=6, top_p=0.9, repetition_penalty=1.2, max_tokens=20, logprobs=0),
    SamplingParams(temperature=0.0, max_tokens=40),
)
NAMES = ("qwen3_5", "glm4_moe", "deepseek_v3")  # with a state; without; with latent vectors


@pytest.fixture(scope="module", params=NAMES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    folder = tmp_path_factory.mktemp("predicting")
    with Model(compile_here(predictors.with_predictor(request.param, folder / request.param), folder / "b")) as model:
        yield model


def open_session(model: Model, pages: int = 40) -> TextSession:
    slots = slots_for(4, speculates=True) if "slots" in {state.unit for state in model.info.states} else 0
    return TextSession(model, num_pages=pages, num_slots=slots, threads=2)


class Recorded(PredictingBlock):
    """Remembers what it was asked, and what it guessed."""

    def __init__(self, session: TextSession) -> None:
        super().__init__(session)
        self.guesses: list[tuple[list[int], list[int]]] = []

    def propose(self, asks: list[Ask]) -> list[Draft]:
        texts = [ask.tokens.tolist() for ask in asks]
        drafts = super().propose(asks)
        self.guesses += [(text, draft.tokens) for text, draft in zip(texts, drafts, strict=True)]
        return drafts


class Alone:
    """The model and its block over whole texts, in a session of their own."""

    def __init__(self, session: TextSession) -> None:
        self.session = session

    def guesses(self, text: list[int], count: int) -> list[int]:
        length = len(text)
        hidden = self._run(np.array(text[:-1], np.int32), 0).hidden.copy()
        result = self._run(np.array(text[1:], np.int32), 0, hidden)
        found = [int(result.argmax[-1])]
        while len(found) < count:
            last = np.ascontiguousarray(result.hidden[-1:])
            result = self._run(np.array(found[-1:], np.int32), length - 2 + len(found), last)
            found.append(int(result.argmax[-1]))
        return found

    def _run(self, ids: np.ndarray, start: int, hidden: np.ndarray | None = None):
        places = np.arange(start, start + len(ids), dtype=np.int32)
        table = np.arange(self.session.num_pages, dtype=np.int32)[None]
        state = self.session.info.lone_state(start, len(ids)) if hidden is None else {}
        rows = np.array([len(ids) - 1], np.int32)
        return self.session.forward(ids, places, np.zeros(len(ids), np.int32), table, rows, hidden=hidden, **state)


def prompts_of(model: Model) -> list[tuple[int, ...]]:
    rng = np.random.default_rng(3)
    return [tuple(rng.integers(1, 40, count).tolist()) for count in (15, 33, 5, 40)]


def run(engine: Engine, prompts: list[tuple[int, ...]]) -> list[list[tuple]]:
    """What users see of answers of which one begins later, and that end one after the other."""
    requests = [Request(prompt_ids=p, params=s) for p, s in zip(prompts, SETTINGS, strict=True)]
    answers: dict[int, list[TokenEvent]] = {engine.add(request): [] for request in requests[:3]}
    steps = 0
    while engine.num_running or engine.num_waiting:
        for event in engine.step():
            answers[event.id].append(event)
        steps += 1
        if steps == 9:
            answers[engine.add(requests[3])] = []
    return [[(e.token, e.logprob, e.top_logprobs, e.finish_reason) for e in events] for events in answers.values()]


def test_it_guesses_what_the_block_says_of_the_whole_text(model: Model) -> None:
    with open_session(model) as session, open_session(model) as other:
        recorded = Recorded(session)
        engine = Engine(session, context=CONTEXT, chunk_tokens=20, speculation=Certain(recorded))
        run(engine, prompts_of(model))
        alone = Alone(other)
        texts = [(text, guesses) for text, guesses in recorded.guesses if guesses]
        assert len(texts) > 40
        assert max(len(guesses) for _, guesses in texts) > 2
        for text, guesses in texts:
            assert guesses == alone.guesses(text, len(guesses))


@pytest.mark.parametrize("pages", [40, 12])
def test_answers_are_the_plain_ones_to_the_last_bit(model: Model, pages: int) -> None:
    """With pages for all, and with too few of them; and once more, from what is left of the first time."""
    prompts = prompts_of(model)
    with open_session(model, pages) as session:
        engine = Engine(session, context=CONTEXT, chunk_tokens=20)
        plain = [run(engine, prompts), run(engine, prompts)]
    for policy in (Certain, Speculation):
        with open_session(model, pages) as session:
            speculation = policy(PredictingBlock(session))
            engine = Engine(session, context=CONTEXT, chunk_tokens=20, speculation=speculation)
            assert [run(engine, prompts), run(engine, prompts)] == plain, policy.__name__


def test_a_block_that_foresees_every_token_saves_most_steps(tmp_path: Path) -> None:
    with Model(compile_exact(predictors.foreseeing(tmp_path / "model"), tmp_path / "bundle")) as model:
        prompts, answers, steps = prompts_of(model)[:1], [], []
        for policy in (None, Eager):
            with open_session(model) as session:
                speculation = policy and policy(PredictingBlock(session))
                engine = Engine(session, context=CONTEXT, speculation=speculation)
                engine.add(Request(prompt_ids=prompts[0], params=SETTINGS[0]))
                events = []
                steps.append(0)
                while engine.num_running or engine.num_waiting:
                    events += engine.step()
                    steps[-1] += 1
                answers.append([event.token for event in events])
                usage = events[-1].usage
        assert answers[0] == answers[1]
        assert usage is not None
        assert usage.accepted_tokens == usage.drafted_tokens > 40
        assert steps[1] < steps[0] / 5


def test_text_and_block_guess_together(model: Model) -> None:
    prompts = prompts_of(model)
    with open_session(model) as session:
        plain = run(Engine(session, context=CONTEXT, chunk_tokens=20), prompts)
    for policy in (Eager, Speculation):
        with open_session(model) as session:
            speculation = policy(PromptLookup(), PredictingBlock(session))
            assert run(Engine(session, context=CONTEXT, speculation=speculation), prompts) == plain
