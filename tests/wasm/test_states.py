"""Models with recurrent layers in Node: what they compute natively, and as little of a conversation again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from tests.compiler.compiled import open_session, relative_error
from tests.engine.run_all import run_all
from tests.wasm.conftest import EXACT, Bundles, compiled_both
from tests.wasm.node import NodeSession, Refused, needs_node, needs_threads
from tests.wasm.test_engine import SETTINGS, asked, in_node
from tests.wasm.test_forward import PAGES, mixed_batches

from golden import CASES
from hearth.engine import Engine, Request, SamplingParams, slots_for
from hearth.runtime import Model, TextSession

SLOTS = 8
CACHE = {"cacheTokens": 512, "context": 128, "chunkTokens": 32}


@dataclass(frozen=True)
class Recurrent(Bundles):
    """A small model, twice."""

    vocab_size: int

    def prompt(self, seed: int, count: int) -> list[int]:
        ids: list[int] = np.random.default_rng(seed).integers(3, self.vocab_size, count).tolist()
        return ids


# The delta rule beside attention, convolutions beside it, scans without any, scans beside attention.
KINDS = ["qwen3_5", "lfm2", "mamba2", "granitemoehybrid"]


@pytest.fixture(scope="module", params=KINDS)
def recurrent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recurrent:
    case = next(case for case in CASES if case.name == request.param)
    made = compiled_both(case.path, tmp_path_factory.mktemp("recurrent"), **EXACT)
    return Recurrent(made.native, made.wasm, case.expected_logits().shape[1])


@needs_node
def test_batches_of_any_mixture_are_computed_as_natively(recurrent: Recurrent) -> None:
    with Model(recurrent.native) as model, NodeSession(recurrent.wasm, PAGES, slots=SLOTS) as node:
        native = open_session(model, pages=PAGES)
        batches = (mixed_batches(each, recurrent.vocab_size) for each in (node, native))
        for mine, theirs in zip(*batches, strict=True):
            assert relative_error(mine, theirs) < 1e-5


@needs_threads
def test_several_threads_compute_the_same_bits(recurrent: Recurrent) -> None:
    with (
        NodeSession(recurrent.wasm, PAGES, slots=SLOTS) as one,
        NodeSession(recurrent.wasm, PAGES, slots=SLOTS, threads=3) as several,
    ):
        assert (one.device["threads"], several.device["threads"]) == (1, 3)
        batches = (mixed_batches(each, recurrent.vocab_size) for each in (several, one))
        for mine, theirs in zip(*batches, strict=True):
            assert np.array_equal(mine, theirs)


@needs_node
def test_slots_that_cannot_be_are_refused(recurrent: Recurrent) -> None:
    table = np.arange(4, dtype=np.int32)[None]
    batch = ([1, 2], [0, 1], [0, 0], table, [1])
    with pytest.raises(Refused, match="slots"):
        NodeSession(recurrent.wasm, 4)
    with NodeSession(recurrent.wasm, 4, slots=2) as node:
        good = node.forward(*batch, state_from=[-1], state_to=[-1, 0]).logits
        for states, words in (
            ({}, "state_from or state_to is NULL"),
            ({"state_from": [-1], "state_to": [-1, 2]}, "state_to is 2, must be -1 to 1"),
            ({"state_from": [-1], "state_to": [0]}, "one entry a sequence, stateTo one a token"),
        ):
            with pytest.raises(Refused, match=words) as refused:
                node.forward(*batch, **states)
            assert refused.value.kind == "usage"
        assert np.array_equal(node.forward(*batch, state_from=[-1], state_to=[-1, 0]).logits, good)


Asked = tuple[list[int], dict[str, Any]]


def natively(recurrent: Recurrent, rounds: list[list[Asked]], slots: int) -> list[list[dict[str, Any]]]:
    """Tokens of each request, and how many of its prompt were not computed again: those of a round at the same time."""
    with (
        Model(recurrent.native) as model,
        TextSession(model, num_pages=CACHE["cacheTokens"] // 16, num_slots=slots, threads=2) as session,
    ):
        engine = Engine(session, context=CACHE["context"], chunk_tokens=CACHE["chunkTokens"])
        return [_answers(engine, requests) for requests in rounds]


def _answers(engine: Engine, requests: list[Asked]) -> list[dict[str, Any]]:
    made = []
    prepared = [Request(prompt_ids=tuple(prompt), params=SamplingParams(**settings)) for prompt, settings in requests]
    for events in run_all(engine, prepared):
        usage = events[-1].usage
        assert usage is not None
        tokens = [event.token for event in events if event.token is not None]
        made.append({"tokens": tokens, "finish": "length", "cached": usage.cached_tokens})
    return made


@needs_node
def test_a_conversation_draws_the_same_tokens_and_computes_as_little_again(recurrent: Recurrent) -> None:
    """Turns, the same answer once more, branches, answers that are rendered otherwise, others that push them out."""
    greedy = {"temperature": 0.0, "max_tokens": 20}
    first = recurrent.prompt(1, 45)
    answer = natively(recurrent, [[(first, greedy)]], 6)[0][0]["tokens"]
    second = [*first, *answer, *recurrent.prompt(2, 7)]
    others = [(recurrent.prompt(seed, 40), {**each, "max_tokens": 20}) for seed, each in enumerate(SETTINGS, 10)]
    rounds: list[list[Asked]] = [
        [(first, greedy)],
        [(second, greedy)],
        [(second, {"temperature": 0.8, "seed": 5, "max_tokens": 20})],  # made again
        [([*first, *recurrent.prompt(3, 9)], greedy)],  # a branch
        [([*first, *answer[:-3], *recurrent.prompt(4, 9)], greedy)],  # an answer that is told otherwise
        [([*second, *recurrent.prompt(5, 3)], greedy), ([*second, *recurrent.prompt(6, 8)], greedy)],
        others,
        [(second, greedy)],
        *([each] for each in others),
    ]
    for slots in (slots_for(1), slots_for(5), 2):
        expected = natively(recurrent, rounds, slots)
        found = in_node(
            recurrent.wasm, [[asked(*each) for each in requests] for requests in rounds], stateSlots=slots, **CACHE
        )
        assert found == expected
    cached = [each["cached"] for each in natively(recurrent, rounds, slots_for(5))[1]]
    assert cached == [len(first) + len(answer) - 1]


@needs_node
def test_slots_follow_from_what_runs_at_the_same_time(recurrent: Recurrent) -> None:
    requests = [(recurrent.prompt(seed, 30), {"temperature": 0.0, "max_tokens": 10}) for seed in range(4)]
    rounds = [requests, *([each] for each in requests)]
    expected = natively(recurrent, rounds, slots_for(4))
    found = in_node(recurrent.wasm, [[asked(*each) for each in part] for part in rounds], maxSequences=4, **CACHE)
    assert found == expected
    with pytest.raises(AssertionError, match="1 slots of state, but must be 2 at least"):
        in_node(recurrent.wasm, [[asked(*requests[0])]], stateSlots=1, **CACHE)
