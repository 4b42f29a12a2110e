"""Models with recurrent layers in a page, on a GPU that a program plays: what they compute natively, and as little of a
conversation again."""

from __future__ import annotations

from typing import Any

import pytest
from tests.compiler.compiled import open_session, relative_error
from tests.wasm.conftest import EXACT, changed_bundle, compiled_both
from tests.wasm.gpu_page import Page, PageModel, needs_chromium
from tests.wasm.test_forward import PAGES, mixed_batches
from tests.wasm.test_gpu_race import SHADERS, core_of
from tests.wasm.test_states import CACHE, KINDS, SLOTS, Asked, Recurrent, natively

from golden import CASES
from hearth.bundle import KNOWN_ANSWERS, open_bundle
from hearth.engine import slots_for
from hearth.prepare import known_answers
from hearth.runtime import Model

pytestmark = needs_chromium

GREEDY = {"temperature": 0.0, "max_tokens": 18}


@pytest.fixture(scope="module", params=KINDS)
def recurrent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recurrent:
    """With known answers, and without variants of kernels: which of these win is a matter of speed."""
    case = next(case for case in CASES if case.name == request.param)
    folder = tmp_path_factory.mktemp("recurrent")
    made = compiled_both(case.path, folder, **EXACT)
    known = known_answers(open_bundle(made.native))
    assert known is not None
    files = {KNOWN_ANSWERS: known.encode(), SHADERS: core_of(made.wasm)}
    return Recurrent(made.native, changed_bundle(made.wasm, folder / "known", files), case.expected_logits().shape[1])


@pytest.fixture(scope="module")
def on_gpu(gpu_page: Page, recurrent: Recurrent) -> PageModel:
    return gpu_page.open(recurrent.wasm)


def test_batches_of_any_mixture_are_computed_as_natively(on_gpu: PageModel, recurrent: Recurrent) -> None:
    assert on_gpu.device["isChecked"]
    with Model(recurrent.native) as model:
        native, session = open_session(model, pages=PAGES), on_gpu.session(pages=PAGES, slots=SLOTS)
        batches = (mixed_batches(each, recurrent.vocab_size) for each in (session, native))
        for mine, theirs in zip(*batches, strict=True):
            assert relative_error(mine, theirs) < 1e-4


def rounds_of(recurrent: Recurrent) -> list[list[list[int]]]:
    """Turns, the same answer once more, a branch, several at once."""
    first = recurrent.prompt(1, 45)
    answer = natively(recurrent, [[(first, GREEDY)]], 6)[0][0]["tokens"]
    second = [*first, *answer, *recurrent.prompt(2, 7)]
    branch = [*first, *recurrent.prompt(3, 9)]
    several = [[*second, *recurrent.prompt(seed, 3)] for seed in (5, 6)] + [recurrent.prompt(7, 21)]
    return [[first], [second], [second], [branch], several]


def test_a_conversation_draws_the_same_tokens_and_computes_as_little_again(
    on_gpu: PageModel, recurrent: Recurrent
) -> None:
    rounds = rounds_of(recurrent)
    for settings in (GREEDY, {"temperature": 0.8, "seed": 3, "max_tokens": 18}):
        asked: list[list[Asked]] = [[(prompt, settings) for prompt in prompts] for prompts in rounds]
        expected = natively(recurrent, asked, slots_for(3))
        options = {"tokensPerReadBack": 1, "stateSlots": slots_for(3), **CACHE}
        params = {"maxTokens": settings["max_tokens"], "temperature": settings["temperature"], "seed": 3}
        found = on_gpu.converse(rounds, options, **params)
        assert found == [[(each["tokens"], each["cached"]) for each in part] for part in expected]


def test_steps_that_are_read_together_draw_the_same_and_are_gone_on_from(
    on_gpu: PageModel, recurrent: Recurrent
) -> None:
    rounds = rounds_of(recurrent)
    expected = natively(recurrent, [[(prompt, GREEDY) for prompt in prompts] for prompts in rounds], slots_for(3))
    for slots in (slots_for(3), 2):
        options = {"tokensPerReadBack": 8, "submitMs": 1e9, "stateSlots": slots, **CACHE}
        found = on_gpu.converse(rounds, options, maxTokens=18, temperature=0)
        assert [[tokens for tokens, _ in part] for part in found] == [[e["tokens"] for e in part] for part in expected]
        if slots > 2:  # no answer ends among the steps that were read together
            assert [[n for _, n in part] for part in found] == [[e["cached"] for e in part] for part in expected]


def test_an_answer_that_ends_among_steps_is_gone_on_from_where_they_began(
    on_gpu: PageModel, recurrent: Recurrent
) -> None:
    first = recurrent.prompt(1, 45)
    tokens = natively(recurrent, [[(first, GREEDY)]], 6)[0][0]["tokens"]
    place = max(i for i in range(1, 16) if tokens.index(tokens[i]) == i and i % 8)
    rounds = [[first], [[*first, *tokens[: place + 1], *recurrent.prompt(2, 7)]]]
    options: dict[str, Any] = {"tokensPerReadBack": 8, "submitMs": 1e9, **CACHE}
    (((told, _),), ((_, cached),)) = on_gpu.converse(
        rounds, options, maxTokens=18, temperature=0, stopTokenIds=[tokens[place]]
    )
    assert told == tokens[: place + 1]
    # Eight steps begin with what the prompt drew. On their way a state was left where they filled a page.
    began, filled = len(first) + (place - 1) // 8 * 8, (len(first) + place) // 16 * 16
    assert cached == max(began, filled)


def test_memory_is_counted_with_the_slots(on_gpu: PageModel) -> None:
    slot_bytes = sum(state["unit_bytes"] for state in on_gpu.info["states"] if state["unit"] == "slots")
    few, many = (on_gpu.session(pages=PAGES, slots=slots).counters() for slots in (1, 9))
    assert many["plannedBytes"] - few["plannedBytes"] == 8 * slot_bytes > 0
