"""A model with a state answers as if it had computed the whole text anew, and computes next to nothing of it again."""

from __future__ import annotations

from array import array
from itertools import pairwise

import numpy as np
import pytest
from drafters import Certain, Eager, Guesses, garbage, oracle
from run_all import run_all
from toy_session import ToySession, greedy_reference

from hearth.engine import (
    Ask,
    DraftModel,
    Engine,
    PromptLookup,
    Request,
    SamplingParams,
    TokenEvent,
    Usage,
    slots_for,
)
from hearth.engine.checkpoints import INTERVAL_TOKENS, Landmarks
from hearth.errors import UsageError

RNG = np.random.default_rng(5)
SPECULATIONS = {
    "plain": lambda: None,
    "lookup": lambda: Eager(PromptLookup()),
    "garbage": lambda: Certain(garbage(1)),
    "draft model": lambda: Eager(DraftModel(toy(), context=1000, vocab_size=61)),
}


def toy(num_slots: int = 14, **info: int) -> ToySession:
    """Pages as long as a compiled model's."""
    shape = {"page_tokens": 16, "max_tokens": 128, "max_position": 2048, "max_logit_rows": 16}
    return ToySession(num_pages=150, num_slots=num_slots, **{**shape, **info})


def tokens(count: int) -> list[int]:
    return RNG.integers(0, 61, count).tolist()


def greedy(count: int) -> SamplingParams:
    return SamplingParams(temperature=0, max_tokens=count)


def ask(
    engine: Engine, session: ToySession, prompt: list[int], count: int = 40, **more: int
) -> tuple[list[int], Usage]:
    """The answer, which has to be right."""
    events = list(engine.generate(prompt, greedy(count), **more))
    answer = [event.token for event in events if event.token is not None]
    assert answer == greedy_reference(session, prompt, count)
    usage = events[-1].usage
    assert usage is not None
    return answer, usage


def computed_again(usage: Usage, new: int) -> float:
    """The share of a prompt that was computed though it had been before; of its last tokens, so many are new."""
    return (usage.prompt_tokens - usage.cached_tokens - new) / usage.prompt_tokens


@pytest.mark.parametrize("speculation", SPECULATIONS.values(), ids=SPECULATIONS)
@pytest.mark.parametrize("num_slots", [3, 14])
def test_each_turn_of_a_chat_computes_next_to_nothing_again(num_slots, speculation):
    session = toy(num_slots)
    engine = Engine(session, context=1000, speculation=speculation())
    history = tokens(330)
    answer, _ = ask(engine, session, history)
    for turn in range(3):
        new = tokens(20 + turn)
        history += answer + new
        answer, usage = ask(engine, session, history)
        assert usage.cached_tokens == len(history) - len(new) - 1  # the last token of an answer is never computed


@pytest.mark.parametrize("speculation", SPECULATIONS.values(), ids=SPECULATIONS)
@pytest.mark.parametrize("num_slots", [3, 14])
def test_a_turn_that_leaves_out_the_answer_before_goes_on_from_its_prompt(num_slots, speculation):
    """As templates do with what a model has thought."""
    session = toy(num_slots)
    engine = Engine(session, context=1000, speculation=speculation())
    history = tokens(330)
    for _ in range(3):
        answer, _ = ask(engine, session, history, 70)
        new = [*answer[-10:], *tokens(20)]
        history += new
        usage = ask(engine, session, history, 1)[1]
        assert 0 <= computed_again(usage, len(new)) <= 0.05


@pytest.mark.parametrize("speculation", SPECULATIONS.values(), ids=SPECULATIONS)
def test_regenerations_and_branches_compute_next_to_nothing_again(speculation):
    session = toy()
    engine = Engine(session, context=1000, speculation=speculation())
    prompt = tokens(401)
    answer, _ = ask(engine, session, prompt, 60)
    for _ in range(3):
        usage = ask(engine, session, prompt, 60)[1]
        assert computed_again(usage, 0) <= 0.05
    message = tokens(30)
    turn = prompt + answer + message
    ask(engine, session, turn)
    edited = turn[:-29] + tokens(25)
    assert computed_again(ask(engine, session, edited)[1], 25) <= 0.05
    shortened = prompt + answer[:-5] + tokens(12)
    usage = ask(engine, session, shortened)[1]
    assert computed_again(usage, 12) <= 0.05


def test_what_was_cancelled_or_preempted_goes_on_where_it_was():
    session = toy(max_seqs=2)
    engine = Engine(session, context=1000)
    prompt = tokens(300)
    answer = engine.generate(prompt, greedy(100))
    said = [next(answer).token for _ in range(7)]
    engine._scheduler.preempt_youngest()
    said += [next(answer).token for _ in range(6)]
    assert said == greedy_reference(session, prompt, 13)
    answer.close()
    assert session.num_computed == 300 + 12
    usage = ask(engine, session, [*prompt, *said, 3])[1]
    assert usage.cached_tokens == 312


def test_long_texts_have_checkpoints_on_the_way():
    session = toy(num_slots=20)
    engine = Engine(session, context=1600)
    text = tokens(1300)
    ask(engine, session, text, 260)
    for departs, cached in ((600, 512), (1030, 1024), (1310, 1296)):
        branch = (text + greedy_reference(session, text, 10))[:departs] + tokens(30)
        assert ask(engine, session, branch, 3)[1].cached_tokens == cached
    assert INTERVAL_TOKENS == 512
    far = Landmarks(16, 100_000)
    lengths = [*far.between(0, 100_000)][::-1]
    assert len(lengths) < 40
    assert all(after - before <= max(512, before / 4) for before, after in pairwise(lengths[:-1]))


def test_checkpoints_are_where_the_beginning_that_stays_ends():
    session = toy()
    engine = Engine(session, context=1000)
    system = tokens(200)
    ask(engine, session, system + tokens(90), keep_tokens=200)
    assert ask(engine, session, system + tokens(90))[1].cached_tokens == 192


def test_a_checkpoint_of_other_text_is_not_taken():
    session = toy()
    engine = Engine(session, context=1000)
    tail = tokens(64)
    for first in (tokens(32), tokens(32), tokens(31)):
        assert ask(engine, session, first + tail, 20)[1].cached_tokens == 0


def test_a_full_house_runs_and_remembers_nothing():
    """As many sequences as slots: each has its own, none waits and no checkpoint stands in the way."""
    session = toy(num_slots=4)
    engine = Engine(session, context=400)
    prompts = [tokens(40 + 7 * place) for place in range(6)]
    for request_id, prompt in enumerate(prompts):
        assert engine.add(Request(prompt_ids=prompt, params=greedy(60))) == request_id
    most, events = 0, []
    while engine.num_running or engine.num_waiting:
        events += engine.step()
        most = max(most, engine.num_running)
    assert most == engine.max_running == 4
    for request_id, prompt in enumerate(prompts):
        mine = [event for event in events if event.id == request_id]
        assert [event.token for event in mine] == greedy_reference(session, prompt, 60)
        assert mine[-1].usage.preemptions == 0
        assert mine[-1].usage.computed_tokens == len(prompt) + 59


def test_fewer_slots_than_sequences_make_them_wait():
    session = toy(num_slots=2, max_seqs=8)
    engine = Engine(session, context=400)
    requests = [Request(prompt_ids=tokens(30), params=greedy(20)) for _ in range(5)]
    for request, events in zip(requests, run_all(engine, requests), strict=True):
        assert [event.token for event in events] == greedy_reference(session, list(request.prompt_ids), 20)
    assert max(map(len, session.batches)) == 2


@pytest.mark.parametrize("steps", range(1, 9))
def test_who_comes_while_a_checkpoint_is_being_left_waits_for_its_slot(steps):
    """The answer that runs has just filled a page: for one step it reads one slot and writes another one."""
    session = toy(num_slots=3, page_tokens=4)
    engine = Engine(session, context=100)
    got: dict[int, list[int]] = {}
    prompts = [tokens(6), tokens(7), tokens(2)]
    for prompt in prompts:
        got[engine.add(Request(prompt_ids=prompt, params=greedy(20)))] = []
        for _ in range((steps, 0, 100)[len(got) - 1]):
            for event in engine.step():
                got[event.id].append(event.token)
    assert list(got.values()) == [greedy_reference(session, prompt, 20) for prompt in prompts]


def test_the_only_slot_left_is_written_over_by_who_goes_on_from_it():
    session = toy(num_slots=2)
    engine = Engine(session, context=100)
    text = tokens(32)
    ask(engine, session, text, 1)
    other = tokens(3)
    answer = engine.generate(other, greedy(9))
    begun = [next(answer).token]
    assert ask(engine, session, [*text, 1, 2], 9)[1].cached_tokens == 32
    assert [*begun, *(event.token for event in answer)] == greedy_reference(session, other, 9)


def test_logits_take_a_slot_from_the_youngest_if_need_be():
    session = toy(num_slots=2)
    engine = Engine(session, context=100)
    prompts = [tokens(20), tokens(30)]
    answers = [engine.generate(prompt, greedy(9)) for prompt in prompts]
    got = [[next(answer).token] for answer in answers]
    text = tokens(40)
    assert engine.logits(text).argmax(axis=1)[-1] == greedy_reference(session, text, 1)[0]
    for prompt, begun, answer, preemptions in zip(prompts, got, answers, (0, 1), strict=True):
        assert [*begun, *(event.token for event in answer)] == greedy_reference(session, prompt, 9)
        assert answer.usage.preemptions == preemptions


def test_several_go_on_from_one_checkpoint_at_the_same_time():
    session = toy(num_slots=8, max_seqs=8)
    engine = Engine(session, context=400)
    prompt = tokens(100)
    ask(engine, session, prompt, 1)
    requests = [Request(prompt_ids=prompt[:96] + tokens(5 + place), params=greedy(30)) for place in range(5)]
    for request, events in zip(requests, run_all(engine, requests), strict=True):
        assert [event.token for event in events] == greedy_reference(session, list(request.prompt_ids), 30)
        assert events[-1].usage.cached_tokens == 96


@pytest.mark.parametrize("num_slots", [2, 3, 4, 6, 9])
def test_guesses_take_what_slots_there_are(num_slots):
    """However many guesses there is room for, and wherever they turn wrong, the state is that of what came true."""
    prompts = {place: tokens(20 + place) for place in range(2)}
    session = toy(num_slots, page_tokens=4)
    answers = {place: greedy_reference(session, prompt, 50) for place, prompt in prompts.items()}
    for seed in (None, 0, 1, 2):
        engine = Engine(session, context=100, speculation=Certain(oracle(answers, prompts, seed=seed)))
        events = run_all(engine, [Request(prompt_ids=prompt, params=greedy(50)) for prompt in prompts.values()])
        for place, told in enumerate(events):
            assert [event.token for event in told] == answers[place]
        drafted = sum(told[-1].usage.drafted_tokens for told in events)
        assert (drafted > 0) == (num_slots > 4), "two live in slots of their own, and two more are remembered"
        assert engine._memory.states.num_available == num_slots


def test_guesses_and_rolling_checkpoints_leave_what_was_used_last():
    session = toy(num_slots=12)
    engine = Engine(session, context=400, speculation=Certain(Guesses(lambda ask: [1] * ask.limit)))
    texts = [tokens(50) for _ in range(2)]
    for text in texts:
        ask(engine, session, text, 1)
    answer = engine.generate(tokens(20), greedy(100))
    for _ in range(60):
        next(answer)
    assert answer.usage is None
    for text in texts:
        assert ask(engine, session, text, 1)[1].cached_tokens == 48


def test_a_checkpoint_that_is_let_go_is_not_written_while_another_reads_it():
    """A branch begins at the page that an answer has just filled; the answer fills the next one in the same step."""
    session = toy(num_slots=12, page_tokens=4)
    prompt = tokens(11)
    answer = greedy_reference(session, prompt, 40)
    engine = Engine(session, context=100, speculation=Certain(oracle({0: answer}, {0: prompt})))
    first = engine.add(Request(prompt_ids=prompt, params=greedy(40)))
    got: dict[int, list[int]] = {first: []}
    branches: dict[int, list[int]] = {}

    def step() -> None:
        for event in engine.step():
            got[event.id].append(event.token)

    while engine.num_running or engine.num_waiting or not got[first]:
        step()
        if len(got[first]) < 40 and len(branches) < 5:
            branch = prompt + got[first] + [7] * 2
            branches[engine.add(Request(prompt_ids=branch, params=greedy(9), speculate=False))] = branch
            got[max(branches)] = []
    assert got[first] == answer
    for request_id, branch in branches.items():
        assert got[request_id] == greedy_reference(session, branch, 9)


@pytest.mark.parametrize("after_writing", [False, True])
def test_a_state_that_an_interrupt_may_have_left_half_written_is_not_found(after_writing):
    session = toy()
    engine = Engine(session, context=400)
    prompt = tokens(60)
    answer = engine.generate(prompt, greedy(40))
    said = [next(answer).token for _ in range(10)]
    session.fail_next, session.fail_after_writing = KeyboardInterrupt(), after_writing
    with pytest.raises(KeyboardInterrupt):
        next(answer)
    usage = ask(engine, session, [*prompt, *said, 5])[1]
    assert usage.cached_tokens == 64  # the last page, of which the checkpoint was not being written


def test_a_text_that_failed_leaves_no_checkpoint():
    session = toy()
    engine = Engine(session, context=400, chunk_tokens=50)
    prompt = tokens(60)
    session.poison_token = 60
    bias = {"logit_bias": {60: -100.0}, "logprobs": 0}
    failed = engine.generate([*prompt, 60], SamplingParams(temperature=0, max_tokens=3, **bias))
    with pytest.raises(Exception, match="NaN"):
        list(failed)
    session.poison_token = None
    assert len(session.batches) == 2, "the end of its last full page was in the first one"
    assert not engine._memory.states._index._entries
    assert ask(engine, session, [*prompt, 60])[1].cached_tokens == 0


@pytest.mark.parametrize("num_slots", [2, 3, 12])
def test_a_forward_that_tells_too_few_of_the_likeliest_is_run_again_from_the_same_states(num_slots):
    """Where there is no slot for the second time, whole rows are read the first time."""
    requests = [Request(prompt_ids=tokens(20), params=SamplingParams(seed=5, top_k=5, max_tokens=30)) for _ in range(2)]

    def drawn(likeliest: int) -> tuple[list[list[int | None]], set[tuple[str, ...]]]:
        session = toy(num_slots, likeliest=likeliest)
        session.head[3:40] = session.head[2] = 10 * session.head[2]  # many are as likely as each other
        events = run_all(Engine(session, context=100), requests)
        return [_ids(of_one) for of_one in events], set(session.wanted[2:])

    answers, wanted = drawn(12)
    assert answers == drawn(0)[0]
    assert (("argmax", "likeliest") in wanted) == (num_slots == 12)
    assert ("argmax", "logits") in wanted


def test_without_prefix_cache_one_slot_for_each_is_enough():
    session = toy(num_slots=1)
    engine = Engine(session, context=400, prefix_cache=False, speculation=Certain(garbage(3)))
    prompt = tokens(40)
    for _ in range(2):
        assert ask(engine, session, prompt)[1].cached_tokens == 0
    np.testing.assert_array_equal(engine.logits(prompt)[-1].argmax(), greedy_reference(session, prompt, 1)[0])


def test_a_session_with_too_few_slots_is_refused_with_the_numbers():
    with pytest.raises(UsageError, match="1 slot") as caught:
        Engine(toy(num_slots=1), context=400)
    assert str(slots_for(1)) in caught.value.hint
    Engine(toy(num_slots=2), context=400)


def test_slots_for_is_enough_for_all_that_it_says():
    """Sequences that run at once, with guesses, and texts that are gone on from or asked again after them."""
    session = toy(slots_for(2, texts=2, speculates=True), max_seqs=2)
    engine = Engine(session, context=400, speculation=Certain(garbage(3)))
    texts = [tokens(50) for _ in range(2)]
    answers = [ask(engine, session, text, 20)[0] for text in texts]
    for events in run_all(engine, [Request(prompt_ids=tokens(30), params=greedy(60)) for _ in range(2)]):
        assert events[-1].usage.preemptions == 0
        assert events[-1].usage.drafted_tokens > 20
    for text, answer in zip(texts, answers, strict=True):
        assert ask(engine, session, text, 1)[1].cached_tokens == 48
        assert ask(engine, session, [*text, *answer, 1], 1)[1].cached_tokens == 69


@pytest.mark.parametrize("small_slots", [1, 2, 3, 12])
def test_a_draft_model_with_a_state_goes_back_to_what_came_true(small_slots):
    """The draft model is the model itself: a state that is not the text's would guess wrong."""
    session, small = toy(24), toy(small_slots)
    engine = Engine(session, context=400, speculation=Eager(DraftModel(small, context=400, vocab_size=61)))
    prompt = tokens(30)
    usage = ask(engine, session, prompt, 60)[1]
    assert usage.drafted_tokens == usage.accepted_tokens > 0
    requests = [Request(prompt_ids=tokens(25), params=SamplingParams(seed=place, max_tokens=50)) for place in range(3)]
    plain = run_all(Engine(toy(24), context=400), requests)
    guessed = run_all(engine, requests)
    assert [_ids(events) for events in guessed] == [_ids(events) for events in plain]


def test_a_draft_model_that_is_asked_for_the_same_token_again_guesses_the_same():
    small = toy(12)
    drafter = DraftModel(small, context=400, vocab_size=61)
    asked = Ask(0, array("i", tokens(40)), 5)
    first = drafter.propose([asked])
    assert first[0].tokens == greedy_reference(small, asked.tokens.tolist(), 5)
    assert drafter.propose([asked]) == first
    asked.tokens.extend([*first[0].tokens[:2], 9])
    assert drafter.propose([asked])[0].tokens == greedy_reference(small, asked.tokens.tolist(), 5)


def _ids(events: list[TokenEvent]) -> list[int | None]:
    return [event.token for event in events]
