"""The engine over a compiled model: the tokens are those of the plain formulas, whatever else is going on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from tests.compiler.compiled import compile_exact
from tests.model import reference

from golden import CASES, Case
from hearth.checkpoint import open_checkpoint
from hearth.engine import Engine, Request, SamplingParams, pages_for
from hearth.model import load_family
from hearth.runtime import Model, TextSession

NEW_TOKENS = 40
GREEDY = SamplingParams(temperature=0.0, max_tokens=NEW_TOKENS)
LENGTHS = (1, 15, 16, 17, 34)  # prompts that end before, at and after the border of a page


@pytest.fixture(scope="module", params=["llama3", "gemma2"])
def case(request: pytest.FixtureRequest) -> Case:
    return next(case for case in CASES if case.name == request.param)


@pytest.fixture(scope="module")
def model(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    with Model(compile_exact(case.path, tmp_path_factory.mktemp("engine") / "bundle")) as model:
        yield model


@pytest.fixture(scope="module")
def prompts(case: Case) -> list[tuple[int, ...]]:
    ids = [int(i) for i in case.token_ids]
    return [tuple(ids[:length]) for length in LENGTHS]


@pytest.fixture(scope="module")
def expected(case: Case, prompts: list[tuple[int, ...]]) -> list[list[int]]:
    """Greedy continuations by numpy in float64, the whole sequence anew for every token."""
    checkpoint = open_checkpoint(case.path)
    loaded = load_family(checkpoint)
    weights = reference.read_parameters(checkpoint, loaded)
    answers = []
    for prompt in prompts:
        ids = list(prompt)
        for _ in range(NEW_TOKENS):
            logits = reference.forward(loaded.config, weights, np.array(ids, np.int32))[-1]
            best, second = np.sort(logits)[[-1, -2]]
            assert best - second > 1e-4, "two tokens are equally likely: choose another prompt"
            ids.append(int(logits.argmax()))
        answers.append(ids[len(prompt) :])
    return answers


def engine_of(session: TextSession, **options: object) -> Engine:
    return Engine(session, context=96, **options)  # type: ignore[arg-type]


def test_one_request_after_the_other(model: Model, prompts: list[tuple[int, ...]], expected: list[list[int]]) -> None:
    """With the prefix cache: each prompt goes on from pages that the one before it left."""
    with TextSession(model, num_pages=pages_for(96, page_tokens=16), threads=2) as session:
        engine = engine_of(session)
        for prompt, answer in zip(prompts, expected, strict=True):
            assert [event.token for event in engine.generate(prompt, GREEDY)] == answer
        again = engine.generate(prompts[-1], GREEDY)
        assert [event.token for event in again] == expected[-1]
        assert again.usage is not None
        assert again.usage.cached_tokens >= 32, "the prompt was computed again"


@pytest.mark.parametrize("chunk_tokens", [1, 5, 64])
@pytest.mark.parametrize("pages", [6, 40])
def test_many_requests_at_once(
    model: Model, prompts: list[tuple[int, ...]], expected: list[list[int]], chunk_tokens: int, pages: int
) -> None:
    """With pages for all of them, and with so few that some are put aside and computed again."""
    with TextSession(model, num_pages=pages, threads=2) as session:
        engine = engine_of(session, chunk_tokens=chunk_tokens)
        ids = [engine.add(Request(prompt_ids=prompt, params=GREEDY)) for prompt in prompts]
        tokens: dict[int, list[int]] = {request: [] for request in ids}
        while engine.num_waiting or engine.num_running:
            for event in engine.step():
                assert event.error is None
                if event.token is not None:
                    tokens[event.id].append(event.token)
    assert [tokens[request] for request in ids] == expected


def test_logits_and_embedding(model: Model, case: Case) -> None:
    ids = case.token_ids
    with TextSession(model, num_pages=6, threads=2) as session:
        engine = engine_of(session, chunk_tokens=7)
        logits, embedded = engine.logits(ids), engine.embed(ids)
        hidden = np.array(session.forward(ids, np.arange(len(ids)), np.zeros_like(ids), np.arange(6)[None]).hidden)
    expected = case.expected_logits()
    assert np.abs(logits - expected).max() < 1e-4 * np.abs(expected).max()
    np.testing.assert_allclose(embedded, hidden.mean(axis=0), atol=1e-5)
