"""Adapters beside what else a model may have: a block that predicts further tokens, and states.

A failure says that an answer depends on guesses, or on whose rows stand beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from drafters import Certain
from tests.adapters import adapter_pairs, linear_shapes, write_merged, write_peft
from tests.compiler.compiled import compile_exact

from golden import predictors
from hearth.adapters import Adapters, AdapterSource
from hearth.engine import (
    Engine,
    LoadedAdapter,
    PredictingBlock,
    PromptLookup,
    Request,
    SamplingParams,
    Speculation,
    TokenEvent,
    slots_for,
)
from hearth.errors import UsageError
from hearth.runtime import Model, TextSession

CONTEXT = 128
TARGETS = {
    "qwen3_5": ("q_proj", "o_proj", "in_proj_qkv", "in_proj_z", "out_proj", "up_proj", "down_proj"),
    "glm4_moe": ("q_proj", "v_proj", "o_proj", "down_proj"),
}
SETTINGS = (
    SamplingParams(temperature=0.0, max_tokens=40),
    SamplingParams(temperature=1.0, seed=5, max_tokens=30, logprobs=3),
    SamplingParams(temperature=0.8, seed=6, top_p=0.9, repetition_penalty=1.2, max_tokens=20),
)


class Opened:
    """A model with room for the adapters `one` and `two`, the folder of the model, and what they are made of."""

    def __init__(self, name: str, folder: Path) -> None:
        self.base = predictors.with_predictor(name, folder / name)
        modules = linear_shapes(self.base, TARGETS[name])
        # A block has no adapters, nor do experts' matrices.
        block = (".experts.", "mtp.", "layers.2." if name == "glm4_moe" else "mtp.")
        self.shapes = {module: shape for module, shape in modules.items() if not any(part in module for part in block)}
        self.paths = [
            write_peft(folder / each, self.shapes, rank=rank, alpha=rank, seed=seed)
            for each, rank, seed in (("one", 4, 1), ("two", 20, 2))
        ]
        self.bundle = compile_exact(self.base, folder / "bundle", adapters=self.paths)
        self.model = Model(self.bundle)

    def session(self, pages: int = 48) -> tuple[TextSession, list[LoadedAdapter | None]]:
        has_slots = "slots" in {state.unit for state in self.model.info.states}
        slots = slots_for(4, speculates=True) if has_slots else 0
        session = TextSession(self.model, num_pages=pages, num_slots=slots, num_adapters=3, threads=2)
        adapters = Adapters(session, self.bundle)
        for path in self.paths:
            adapters.add(AdapterSource(path.name, path, 1.0))
        return session, [None, *(adapters.table.find(path.name) for path in self.paths)]


@pytest.fixture(scope="module", params=TARGETS)
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    opened = Opened(request.param, tmp_path_factory.mktemp("adapters"))
    with opened.model:
        yield opened


def prompt(count: int) -> tuple[int, ...]:
    return tuple(np.random.default_rng(3).integers(1, 40, count).tolist())


def run(engine: Engine, adapters: list[LoadedAdapter | None]) -> list[list[tuple]]:
    """What users see of answers to one prompt, computed together, each setting with each adapter; the prompt is long
    enough that parts of it are found in the cache."""
    answers: dict[int, list[TokenEvent]] = {}
    for params in SETTINGS:
        for adapter in adapters:
            answers[engine.add(Request(prompt_ids=prompt(37), params=params, adapter=adapter))] = []
    while engine.num_running or engine.num_waiting:
        for event in engine.step():
            answers[event.id].append(event)
    return [[(e.token, e.logprob, e.top_logprobs, e.finish_reason) for e in events] for events in answers.values()]


def test_guesses_change_no_answer_with_any_adapter(opened: Opened) -> None:
    """The block has no adapter, and guesses for rows that have one."""
    session, adapters = opened.session()
    with session:
        engine = Engine(session, context=CONTEXT, chunk_tokens=20)
        plain = [run(engine, adapters), run(engine, adapters)]
    assert plain[0] == plain[1]
    assert len({tuple(each[0] for each in answer) for answer in plain[0][: len(adapters)]}) == len(adapters)
    for policy, lookup in ((Certain, False), (Speculation, True)):
        session, adapters = opened.session()
        with session:
            drafters = [PromptLookup()] if lookup else []
            speculation = policy(*drafters, PredictingBlock(session))
            engine = Engine(session, context=CONTEXT, chunk_tokens=20, speculation=speculation)
            assert [run(engine, adapters), run(engine, adapters)] == plain, policy.__name__


def test_each_answers_as_the_model_that_it_is_merged_into(opened: Opened, tmp_path: Path) -> None:
    session, adapters = opened.session()
    ids = np.array(prompt(37), np.int32)
    with session:
        found = [logits(session, ids, adapter) for adapter in adapters]
    expected = []
    for path, rank, seed in ((None, 4, 1), (opened.paths[0], 4, 1), (opened.paths[1], 20, 2)):
        name = path.name if path else "none"
        pairs = adapter_pairs(opened.shapes, rank, seed) if path else {}
        merged = write_merged(tmp_path / f"{name}-model", opened.base, pairs, 1.0)
        with Model(compile_exact(merged, tmp_path / f"{name}-bundle")) as model:
            slots = 4 if "slots" in {state.unit for state in model.info.states} else 0
            with TextSession(model, num_pages=8, num_slots=slots, threads=2) as session:
                expected.append(logits(session, ids, None))
    for ours, theirs in zip(found, expected, strict=True):
        assert np.abs(ours - theirs).max() < 2e-5 * np.abs(theirs).max()
    assert np.abs(found[0] - found[1]).max() > 1e-2 * np.abs(found[0]).max()


def logits(session: TextSession, ids: np.ndarray, adapter: LoadedAdapter | None) -> np.ndarray:
    count = len(ids)
    more = {} if adapter is None else {"adapters": np.array([[adapter.first, adapter.count]], np.int32)}
    result = session.forward(
        ids,
        np.arange(count, dtype=np.int32),
        np.zeros(count, np.int32),
        np.arange(session.num_pages, dtype=np.int32)[None],
        np.arange(count, dtype=np.int32),
        **session.info.lone_state(0, count),
        **more,
    )
    return np.array(result.logits)


@pytest.mark.parametrize("table", [[0, 17], [0, -1], [-1, 1], [2, 2], [3, 1], [2**31 - 1, 1], [1, 2**31 - 1]])
def test_units_that_are_not_there_are_refused(opened: Opened, table: list[int]) -> None:
    session, _ = opened.session()
    with session:
        bad = LoadedAdapter("bad", *table)
        with pytest.raises(UsageError, match="its adapter has"):
            logits(session, np.array(prompt(5), np.int32), bad)
        if session.info.predicts:
            with pytest.raises(UsageError, match="no room for adapters"):
                session.forward(
                    np.ones(1, np.int32), np.zeros(1, np.int32), np.zeros(1, np.int32), np.zeros((1, 1), np.int32),
                    np.zeros(1, np.int32), hidden=np.zeros((1, session.info.hidden_size), np.float32),
                    adapters=np.array([[0, 1]], np.int32),
                )  # fmt: skip
