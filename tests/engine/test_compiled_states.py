"""Compiled models with recurrent state under the engine: what is kept, gone on from and rolled back gives the tokens of
a model that computes everything anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from tests.compiler.compiled import compile_here, open_session
from tests.engine.run_all import run_all

from golden import CASES
from hearth.engine import Engine, PromptLookup, Request, SamplingParams, Speculation, slots_for
from hearth.errors import UsageError
from hearth.runtime import Model

CONTEXT = 120
GREEDY = SamplingParams(temperature=0, max_tokens=12)


@dataclass(frozen=True)
class Recurrent:
    model: Model
    vocab_size: int

    def engine(self, *, speculation: Speculation | None = None, max_seqs: int = 2, prefix_cache: bool = True) -> Engine:
        slots = slots_for(max_seqs, speculates=speculation is not None)
        session = open_session(self.model, slots=slots)
        return Engine(session, context=CONTEXT, eos_ids=(), speculation=speculation, prefix_cache=prefix_cache)

    def prompt(self, seed: int, count: int) -> tuple[int, ...]:
        return tuple(np.random.default_rng(seed).integers(3, self.vocab_size, count).tolist())

    def answer(self, prompt: tuple[int, ...]) -> list[int]:
        """Without anything kept."""
        return answers(self.engine(prefix_cache=False), [prompt])[0][0]


def answers(engine: Engine, prompts: list[tuple[int, ...]]) -> list[tuple[list[int], int]]:
    """Tokens of each answer, and how many of its prompt were found."""
    told = run_all(engine, [Request(prompt_ids=prompt, params=GREEDY) for prompt in prompts])
    made = []
    for events in told:
        usage = events[-1].usage
        assert usage is not None
        made.append(([event.token for event in events if event.token is not None], usage.cached_tokens))
    return made


@pytest.fixture(scope="module", params=["qwen3_5", "lfm2", "mamba2", "rwkv7"])
def recurrent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recurrent]:
    case = next(case for case in CASES if case.name == request.param)
    folder = tmp_path_factory.mktemp("recurrent") / "bundle"
    model = Model(compile_here(case.path, folder, quant="f32", head="f32"))
    yield Recurrent(model, case.expected_logits().shape[1])
    model.close()


def test_the_second_turn_goes_on_from_the_first(recurrent: Recurrent) -> None:
    engine, first = recurrent.engine(), recurrent.prompt(1, 60)
    answer, _ = answers(engine, [first])[0]
    second = (*first, *answer, *recurrent.prompt(2, 5))
    after, cached = answers(engine, [second])[0]
    assert after == recurrent.answer(second)
    # All but the answer's last token, which was never computed, and what is new.
    assert cached == len(first) + len(answer) - 1


def test_an_answer_is_made_again_from_where_its_prompt_ended(recurrent: Recurrent) -> None:
    engine, prompt = recurrent.engine(), recurrent.prompt(3, 75)
    answer, _ = answers(engine, [prompt])[0]
    again, cached = answers(engine, [prompt])[0]
    assert again == answer == recurrent.answer(prompt)
    assert cached >= 64  # the last page that its prompt fills, whose last token is not wanted again


def test_a_branch_that_leaves_out_the_answer(recurrent: Recurrent) -> None:
    """As templates do that drop what a model thought."""
    engine, first = recurrent.engine(), recurrent.prompt(4, 70)
    answers(engine, [first])
    branch = (*first, *recurrent.prompt(5, 9))
    after, cached = answers(engine, [branch])[0]
    assert after == recurrent.answer(branch)
    assert cached >= 64


def test_sequences_side_by_side_and_few_slots_change_no_token(recurrent: Recurrent) -> None:
    prompts = [recurrent.prompt(seed, count) for seed, count in ((6, 3), (7, 40), (8, 17), (9, 64))]
    expected = [recurrent.answer(prompt) for prompt in prompts]
    for slots in (2, 5, 12):
        session = open_session(recurrent.model, slots=slots)
        engine = Engine(session, context=CONTEXT, eos_ids=())
        for _ in range(2):
            assert [tokens for tokens, _ in answers(engine, prompts)] == expected


def test_guesses_that_are_rejected_leave_no_trace(recurrent: Recurrent) -> None:
    # A text that repeats itself, so that something is guessed, and a model that does not, so that it is often wrong.
    piece = recurrent.prompt(10, 7)
    prompts = [piece * 6, (*piece, *recurrent.prompt(11, 9), *piece)]
    expected = [recurrent.answer(prompt) for prompt in prompts]
    engine = recurrent.engine(speculation=Speculation(PromptLookup()))
    for prompt, right in zip(prompts, expected, strict=True):
        assert answers(engine, [prompt])[0][0] == right
    assert [tokens for tokens, _ in answers(engine, prompts)] == expected


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "state_from or state_to is NULL, but the model has slots of state"),
        ({"state_from": [-1], "state_to": [-1, 3]}, "token 1: state_to is 3, must be -1 to 2"),
        ({"state_from": [-1], "state_to": [-1, -2]}, "token 1: state_to is -2"),
        ({"state_from": [3], "state_to": [-1, 0]}, "sequence 0: state_from is 3, must be -1 to 2"),
        ({"state_from": [-2], "state_to": [-1, 0]}, "sequence 0: state_from is -2"),
        ({"state_from": [-1], "state_to": [0]}, "state_to must have 2 entries, not 1"),
    ],
)
def test_slots_that_are_not_there_are_refused(recurrent: Recurrent, change: dict[str, list[int]], said: str) -> None:
    session = open_session(recurrent.model, slots=3)
    with pytest.raises(UsageError, match=said):
        session.forward([1, 2], [0, 1], [0, 0], [[0]], [1], **change)


def test_a_session_wants_slots(recurrent: Recurrent) -> None:
    with pytest.raises(UsageError, match="num_slots is 0, but must be at least 1"):
        open_session(recurrent.model, slots=0)
