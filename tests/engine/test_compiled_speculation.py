"""Guessing over compiled models: a token verified among others has the logits it has alone, so nothing changes.

A failure says that an answer depends on whether its tokens were guessed.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from drafters import Certain, Eager, Guesses
from tests.compiler.compiled import compile_here

from golden import CASES, Case
from hearth.engine import DraftModel, Engine, PromptLookup, Request, SamplingParams, Speculation, TokenEvent
from hearth.runtime import Model, TextInfo, TextSession

CONTEXT = 96
SETTINGS = (
    SamplingParams(temperature=0.0, max_tokens=40),
    SamplingParams(temperature=1.0, seed=5, max_tokens=40, logprobs=3),
    SamplingParams(temperature=0.8, seed=6, top_p=0.9, repetition_penalty=1.2, max_tokens=40, logprobs=0),
)
NAMES = ("llama3", "gemma2", "mistral-window")  # grouped queries; soft caps; a window shorter than the answers


@pytest.fixture(scope="module", params=[case for case in CASES if case.name in NAMES], ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(scope="module", params=["default", "high"])
def model(case: Case, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    folder = tmp_path_factory.mktemp("speculation") / "bundle"
    with Model(compile_here(case.path, folder, context=case.context, precision=request.param)) as model:
        yield model


def run(model: Model, case: Case, speculation: Speculation | None, *, pages: int = 24) -> list[list[tuple]]:
    """What users see of three answers at once, to prompts that end about the border of a page."""
    ids = case.token_ids.tolist()
    prompts = (ids[:15], ids[:33], (ids[:5] * 8)[:34])
    with TextSession(model, num_pages=pages, threads=2) as session:
        engine = Engine(session, context=CONTEXT, chunk_tokens=20, speculation=speculation)
        requests = [Request(prompt_ids=p, params=s) for p, s in zip(prompts, SETTINGS, strict=True)]
        answers: dict[int, list[TokenEvent]] = {engine.add(request): [] for request in requests}
        while engine.num_running or engine.num_waiting:
            for event in engine.step():
                answers[event.id].append(event)
    return [[(e.token, e.logprob, e.top_logprobs, e.finish_reason) for e in events] for events in answers.values()]


def test_every_drafter_gives_the_plain_answers_to_the_last_bit(model: Model, case: Case) -> None:
    plain = run(model, case, None)
    book = [[token for token, *_ in answer] for answer in plain]
    prompt_lengths = (15, 33, 34)
    vocab_size = TextInfo.of(model.info).vocab_size

    def mostly_right(ask):  # right for some tokens, then wrong
        start = len(ask.tokens) - prompt_lengths[ask.id]
        tokens = book[ask.id][start : start + ask.limit]
        good = (7 * start + ask.id) % (ask.limit + 1)
        return tokens[:good] + [(token + 1) % vocab_size for token in tokens[good:]]

    with TextSession(model, num_pages=24, threads=1) as other:
        for name, speculation in {
            "mostly right": Certain(Guesses(mostly_right)),
            "lookup": Eager(PromptLookup()),
            "same model": Eager(DraftModel(other, context=CONTEXT, vocab_size=vocab_size)),
            "as users have it": Speculation(PromptLookup()),
        }.items():
            assert run(model, case, speculation) == plain, name
    assert run(model, case, Certain(Guesses(mostly_right)), pages=9) == plain, "with too few pages"
