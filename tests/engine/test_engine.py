"""The engine must give each request the tokens it would get alone, however its work is cut, shared or interrupted."""

from __future__ import annotations

import numpy as np
import pytest
from run_all import run_all
from toy_session import ToySession, greedy_reference, walk

from hearth.engine import Engine, Request, SamplingParams, pages_for
from hearth.errors import ContextFull, HearthError, NotEnoughMemory, StatesLost, UsageError

pytestmark = pytest.mark.usefixtures("kind")

RNG = np.random.default_rng(3)
PROMPTS = [RNG.integers(0, 61, n).tolist() for n in (1, 3, 4, 5, 17, 40, 8)]


def greedy(max_tokens: int, **settings) -> SamplingParams:
    return SamplingParams(temperature=0, max_tokens=max_tokens, **settings)


def ids_of(events) -> list[int]:
    return [event.token for event in events if event.token is not None]


@pytest.mark.parametrize("chunk_tokens", [1, 3, 4, 7, 32])
@pytest.mark.parametrize("prompt", PROMPTS, ids=len)
def test_chunked_prefill_gives_the_same_tokens_as_a_plain_loop(chunk_tokens, prompt):
    session = ToySession()
    engine = Engine(session, context=100, chunk_tokens=chunk_tokens)
    assert ids_of(engine.generate(prompt, greedy(12))) == greedy_reference(session, prompt, 12)
    assert max(count for batch in session.batches for count, _ in batch) <= chunk_tokens


def test_requests_in_one_batch_get_the_tokens_they_get_alone():
    session = ToySession()
    engine = Engine(session, context=100, chunk_tokens=8)
    answers = run_all(engine, [Request(prompt_ids=prompt, params=greedy(9)) for prompt in PROMPTS])
    for place, prompt in enumerate(PROMPTS):
        assert ids_of(answers[place]) == greedy_reference(session, prompt, 9)
        assert answers[place][-1].finish_reason == "length"
    assert max(map(len, session.batches)) == session.info.max_seqs
    assert engine.num_available_pages == session.num_pages


def test_running_streams_get_a_token_in_every_step_while_a_long_prompt_is_read():
    engine = Engine(ToySession(), context=200, chunk_tokens=4)
    short = engine.add(Request(prompt_ids=[1, 2], params=greedy(50)))
    engine.step()
    long = engine.add(Request(prompt_ids=[3] * 60, params=greedy(5)))
    for _ in range(14):
        assert [event.id for event in engine.step()] == [short]
    assert {event.id for event in engine.step()} == {short, long}


def test_first_come_first_served():
    engine = Engine(ToySession(max_seqs=1), context=50)
    answers = run_all(engine, [Request(prompt_ids=[place], params=greedy(3)) for place in range(5)])
    order = [engine_id for engine_id in range(5) for _ in answers[engine_id]]
    assert order == sorted(order)
    assert all(len(events) == 3 for events in answers)


def test_too_few_pages_preempt_the_youngest_and_change_no_token():
    # Three answers of 40 tokens need 3 * 12 pages; there are 20.
    session = ToySession(num_pages=20)
    engine = Engine(session, context=60)
    prompts = PROMPTS[1:4]
    answers = run_all(engine, [Request(prompt_ids=prompt, params=greedy(40)) for prompt in prompts])
    for place, prompt in enumerate(prompts):
        assert ids_of(answers[place]) == greedy_reference(session, prompt, 40)
    assert answers[0][-1].usage.preemptions == 0
    assert sum(events[-1].usage.preemptions for events in answers) > 0
    assert engine.num_available_pages == 20


def test_an_end_token_stops_and_is_told():
    session = ToySession()
    expected = greedy_reference(session, PROMPTS[4], 20)
    end = expected[6]
    cut = expected[: expected.index(end) + 1]
    events = list(Engine(session, context=100, eos_ids=[end]).generate(PROMPTS[4], greedy(20)))
    assert (ids_of(events), events[-1].finish_reason) == (cut, "stop")
    events = list(Engine(session, context=100).generate(PROMPTS[4], greedy(20, stop_token_ids=(end,))))
    assert (ids_of(events), events[-1].finish_reason) == (cut, "stop")
    events = list(Engine(session, context=100, eos_ids=[end]).generate(PROMPTS[4], greedy(20, ignore_eos=True)))
    assert (ids_of(events), events[-1].finish_reason) == (expected, "length")


def test_the_same_seed_draws_the_same_tokens_alone_and_in_a_crowd():
    def request(seed):
        return Request(prompt_ids=PROMPTS[4], params=SamplingParams(seed=seed, max_tokens=20, top_p=0.9))

    alone = ids_of(run_all(Engine(ToySession(), context=100), [request(5)])[0])
    crowd = run_all(Engine(ToySession(), context=100, chunk_tokens=3), [request(1), request(5), request(2)])
    assert ids_of(crowd[1]) == alone
    assert ids_of(crowd[0]) != alone


def test_logits_are_those_of_generation_row_by_row():
    session = ToySession()
    engine = Engine(session, context=100)
    prompt = PROMPTS[5]
    rows = engine.logits(prompt)
    assert rows.shape == (40, 61)
    assert rows.dtype == np.float32
    whole = Engine(ToySession(max_logit_rows=32), context=100).logits(np.array(prompt))
    np.testing.assert_array_equal(rows, whole)
    assert rows[-1].argmax() == greedy_reference(session, prompt, 1)[0]
    assert engine.num_available_pages == session.num_pages


def test_embedding_is_the_mean_hidden_state_however_it_is_cut():
    one = Engine(ToySession(), context=100).embed(PROMPTS[4])
    cut = Engine(ToySession(), context=100, chunk_tokens=5).embed(PROMPTS[4])
    np.testing.assert_allclose(one, cut, rtol=1e-6)
    hidden = [hidden for _, hidden in walk(ToySession(), PROMPTS[4], len(PROMPTS[4]))]
    np.testing.assert_allclose(one, np.mean(hidden, axis=0), rtol=1e-5, atol=1e-6)


def test_logits_in_the_middle_of_a_generation_change_nothing_even_if_they_need_its_pages():
    session = ToySession(num_pages=16)
    engine = Engine(session, context=60)
    answer = engine.generate(PROMPTS[4], greedy(20))
    tokens = [next(answer).token for _ in range(5)]
    engine.logits([5] * 60)
    tokens += ids_of(answer)
    assert tokens == greedy_reference(session, PROMPTS[4], 20)


def test_a_failure_in_logits_loses_no_page_and_no_request():
    session = ToySession()
    engine = Engine(session, context=100)
    answer = engine.generate(PROMPTS[4], greedy(20))
    tokens = [next(answer).token for _ in range(5)]
    for error in (RuntimeError(), KeyboardInterrupt()):
        session.fail_next = error
        with pytest.raises(type(error)):
            engine.logits(PROMPTS[5])
    assert engine.num_available_pages == session.num_pages
    assert tokens + ids_of(answer) == greedy_reference(session, PROMPTS[4], 20)


def test_a_prompt_that_fills_the_context_is_refused_with_the_numbers():
    engine = Engine(ToySession(), context=16)
    with pytest.raises(ContextFull, match="16 tokens") as caught:
        engine.add(Request(prompt_ids=[1] * 16))
    assert "slide" in caught.value.hint
    with pytest.raises(ContextFull):
        engine.generate([1] * 17)
    with pytest.raises(ContextFull):
        engine.logits([1] * 17)
    assert engine.num_waiting == 0


def test_an_answer_that_reaches_the_context_ends_and_says_so():
    events = list(Engine(ToySession(), context=16).generate([1] * 10, greedy(100)))
    assert len(ids_of(events)) == 6
    assert events[-1].finish_reason == "length"
    assert events[-1].context_full
    assert not any(event.context_full for event in events[:-1])


def test_sliding_keeps_the_system_prompt_and_goes_on_as_if_the_rest_had_been_the_prompt():
    session = ToySession()
    system, user = [7, 8, 9, 10, 11], [20, 21, 22]
    engine = Engine(session, context=24)
    events = list(engine.generate(system + user, greedy(60), overflow="slide", keep_tokens=len(system)))
    assert len(ids_of(events)) == 60
    window = system + user
    for event in events:
        expected = greedy_reference(session, window, 1)
        assert event.token == expected[0]
        window.append(event.token)
        if len(window) == 24:
            assert event.slid == 10  # of the 19 that may go, 9 stay
            window = window[:5] + window[5 + event.slid :]
        else:
            assert event.slid == 0
    assert events[-1].finish_reason == "length"
    assert not events[-1].context_full
    # The first page of the system prompt is never computed again.
    assert sum(first == 0 for batch in session.batches for _, first in batch) == 1


def test_a_prompt_that_is_too_long_slides_before_the_first_token():
    session = ToySession()
    prompt = PROMPTS[5]
    events = list(Engine(session, context=24).generate(prompt, greedy(3), overflow="slide", keep_tokens=4))
    assert (events[0].token, events[0].slid) == (None, 26)
    assert ids_of(events) == greedy_reference(session, prompt[:4] + prompt[-10:], 3)
    assert events[-1].usage.prompt_tokens == 40


def test_leaving_the_loop_cancels():
    engine = Engine(ToySession(), context=100)
    for event in engine.generate(PROMPTS[4], greedy(50)):
        if event.token is not None:
            break
    assert engine.num_running == engine.num_waiting == 0
    assert engine.num_available_pages == 64


def test_cancel_by_id_while_waiting_and_while_running():
    session = ToySession(max_seqs=1)
    engine = Engine(session, context=100)
    first = engine.add(Request(prompt_ids=PROMPTS[4], params=greedy(50)))
    second = engine.add(Request(prompt_ids=PROMPTS[1], params=greedy(4)))
    third = engine.add(Request(prompt_ids=PROMPTS[2], params=greedy(4)))
    engine.step()
    assert engine.cancel(second).usage.computed_tokens == 0
    assert engine.cancel(first).finish_reason == "cancelled"
    assert engine.cancel(first) is None
    tokens = []
    while engine.num_running or engine.num_waiting:
        tokens += [event.token for event in engine.step() if event.id == third]
    assert tokens == greedy_reference(session, PROMPTS[2], 4)


def test_two_iterators_and_step_share_one_engine():
    session = ToySession()
    engine = Engine(session, context=100)
    third = engine.add(Request(prompt_ids=PROMPTS[6], params=greedy(10)))
    one, two = engine.generate(PROMPTS[4], greedy(10)), engine.generate(PROMPTS[5], greedy(15))
    pairs = [(next(one).token, next(two).token) for _ in range(10)]
    assert [a for a, _ in pairs] == greedy_reference(session, PROMPTS[4], 10)
    assert [b for _, b in pairs] + ids_of(two) == greedy_reference(session, PROMPTS[5], 15)
    events = engine.step()
    assert {event.id for event in events} == {third}
    assert ids_of(events) == greedy_reference(session, PROMPTS[6], 10)


@pytest.mark.parametrize("after_writing", [False, True])
@pytest.mark.parametrize("error", [RuntimeError("out of luck"), KeyboardInterrupt()], ids=["error", "ctrl-c"])
def test_after_a_failed_forward_the_engine_goes_on(error, after_writing):
    session = ToySession()
    engine = Engine(session, context=100)
    answer = engine.generate(PROMPTS[4], greedy(20))
    for _ in range(3):
        next(answer)
    session.fail_next, session.fail_after_writing = error, after_writing
    with pytest.raises(type(error)):
        next(answer)
    assert list(answer) == []
    assert answer.usage.output_tokens == 3
    assert engine.num_running == engine.num_waiting == 0
    assert engine.num_available_pages == session.num_pages
    assert ids_of(engine.generate(PROMPTS[4], greedy(20))) == greedy_reference(session, PROMPTS[4], 20)


@pytest.mark.parametrize("lost_at", [1, 3, 9, 14])
def test_what_a_device_has_lost_is_computed_again_and_no_answer_ends(lost_at):
    """Keys and values are gone, those of the prefix cache too; tokens that were told are not told again."""
    session = ToySession()
    engine = Engine(session, context=100, chunk_tokens=5)
    before = ids_of(engine.generate(PROMPTS[0], greedy(4)))  # its pages are known
    ids = [engine.add(Request(prompt_ids=prompt, params=greedy(8))) for prompt in PROMPTS]
    events = [event for _ in range(lost_at) for event in engine.step()]
    session.fail_next = StatesLost("The GPU was lost.")
    while engine.num_running or engine.num_waiting:
        events += engine.step()
    for request_id, prompt in zip(ids, PROMPTS, strict=True):
        assert ids_of(e for e in events if e.id == request_id) == greedy_reference(session, prompt, 8)
    assert ids_of(engine.generate(PROMPTS[0], greedy(4))) == before
    assert engine.num_available_pages == session.num_pages


@pytest.mark.parametrize("after_writing", [False, True])
@pytest.mark.parametrize("failing_step", [2, 3, 5, 9, 14])
def test_a_forward_that_fails_once_harms_no_request_of_its_batch(failing_step, after_writing):
    session = ToySession()
    engine = Engine(session, context=100, chunk_tokens=5)
    ids = [engine.add(Request(prompt_ids=prompt, params=greedy(8))) for prompt in PROMPTS]
    events = [event for _ in range(failing_step) for event in engine.step()]
    assert engine.num_running > 1
    session.fail_next, session.fail_after_writing = RuntimeError("out of luck"), after_writing
    with pytest.raises(RuntimeError):
        engine.step()
    while engine.num_running or engine.num_waiting:
        events += engine.step()
    for request_id, prompt in zip(ids, PROMPTS, strict=True):
        assert ids_of(e for e in events if e.id == request_id) == greedy_reference(session, prompt, 8)
    assert engine.num_available_pages == session.num_pages


def test_the_request_at_fault_for_a_failed_forward_is_found_and_the_others_go_on():
    class Picky(ToySession):
        def forward(self, token_ids, *others, **more):
            if 60 in token_ids:
                raise RuntimeError("out of luck")
            return super().forward(token_ids, *others, **more)

    session = Picky(num_pages=30)
    engine = Engine(session, context=100)
    params = greedy(8, logit_bias={60: -100.0})
    ids = [engine.add(Request(prompt_ids=p, params=params)) for p in (PROMPTS[1], [*PROMPTS[2], 60], PROMPTS[4])]
    events = []
    while engine.num_running or engine.num_waiting:
        try:
            events += engine.step()
        except RuntimeError:
            continue
    told = [event for event in engine.step() + events if event.error is not None]
    assert [(event.id, event.finish_reason) for event in told] == [(ids[1], "error")]
    assert isinstance(told[0].error, RuntimeError)
    for request_id, prompt in ((ids[0], PROMPTS[1]), (ids[2], PROMPTS[4])):
        assert ids_of(e for e in events if e.id == request_id) == greedy_reference(session, prompt, 8)
    assert engine.num_available_pages == session.num_pages


def test_a_request_that_is_cancelled_while_its_forward_is_looked_into_is_forgotten():
    session = ToySession()
    engine = Engine(session, context=100)
    ids = [engine.add(Request(prompt_ids=prompt, params=greedy(6))) for prompt in PROMPTS[:3]]
    engine.step()
    session.fail_next = RuntimeError("out of luck")
    with pytest.raises(RuntimeError):
        engine.step()
    engine.cancel(ids[0])
    events = []
    while engine.num_running or engine.num_waiting:
        events += engine.step()
    assert [e.finish_reason for e in events if e.id == ids[0]] == ["cancelled"]
    assert {e.id for e in events if e.finish_reason == "length"} == set(ids[1:])


def test_nan_logits_fail_their_own_request_only_and_leave_nothing_in_the_cache():
    session = ToySession()
    session.poison_token = 60
    engine = Engine(session, context=100)
    params = SamplingParams(max_tokens=5, seed=1, logit_bias={60: -100.0})
    answers = run_all(
        engine, [Request(prompt_ids=[*[1] * 12, 60], params=params), Request(prompt_ids=[2], params=params)]
    )
    assert [event.finish_reason for event in answers[0]] == ["error"]
    assert isinstance(answers[0][0].error, HearthError)
    assert "NaN" in str(answers[0][0].error)
    assert len(ids_of(answers[1])) == 5
    with pytest.raises(HearthError, match="NaN"):
        list(engine.generate([*[1] * 12, 60], params))
    session.poison_token = None
    assert list(engine.generate([*[1] * 12, 60], params))[-1].usage.cached_tokens == 0


@pytest.mark.parametrize("settings", [{"context": 1}, {"context": 513}, {"context": 8, "chunk_tokens": 33}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(UsageError):
        Engine(ToySession(), **settings)


def test_a_session_with_too_few_pages_for_the_context_is_refused():
    with pytest.raises(NotEnoughMemory, match="25 pages"):
        Engine(ToySession(num_pages=24), context=100)
    assert pages_for(100, page_tokens=4) == 25
    assert pages_for(99, 3, page_tokens=4) == 75


@pytest.mark.parametrize(
    "make",
    [
        lambda: Request(prompt_ids=[]),
        lambda: Request(prompt_ids=["a"]),
        lambda: Request(prompt_ids=[1], overflow="wrap"),
        lambda: Request(prompt_ids=[1], keep_tokens=2),
        lambda: Engine(ToySession(), context=20).generate([61]),
        lambda: Engine(ToySession(), context=20).generate([-1]),
        lambda: Engine(ToySession(), context=20).generate([1], SamplingParams(logit_bias={61: 1.0})),
        lambda: Engine(ToySession(), context=20).logits([]),
        lambda: Engine(ToySession(), context=20).logits([0.5]),
        lambda: Engine(ToySession(), context=20).embed([[1]]),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(make):
    with pytest.raises(UsageError):
        make()


@pytest.mark.parametrize("tied", [False, True])
def test_who_draws_among_few_reads_the_likeliest_alone(tied: bool) -> None:
    """And draws what it would of whole rows; where too many are as likely as each other, these are read after all."""

    def drawn(likeliest: int, **settings: float) -> tuple[list[int], set[tuple[str, ...]]]:
        session = ToySession(num_pages=30, likeliest=likeliest)
        if tied:
            session.head[3:40] = session.head[2] = 10 * session.head[2]
        engine = Engine(session, context=100)
        params = SamplingParams(seed=5, max_tokens=30, ignore_eos=True, **settings)  # type: ignore[arg-type]
        events = engine.generate(PROMPTS[0], params=params)
        return [event.token for event in events if event.token is not None], set(session.wanted)

    for settings in ({"top_k": 5}, {"top_k": 11, "top_p": 0.8, "temperature": 2.0}, {"top_k": 3, "min_p": 0.1}):
        expected, rows = drawn(0, **settings)
        found, wanted = drawn(12, **settings)
        assert found == expected
        assert rows == {("argmax", "logits")}
        assert wanted == ({("argmax", "likeliest"), ("argmax", "logits")} if tied else {("argmax", "likeliest")})
    for settings in ({"top_k": 12}, {"top_k": 0}, {"top_k": 5, "presence_penalty": 1.0}, {"top_k": 5, "logprobs": 2}):
        found, wanted = drawn(12, **settings)
        assert found == drawn(0, **settings)[0]
        assert wanted == {("argmax", "logits")}


def test_a_row_without_numbers_is_told_also_where_only_the_likeliest_are_read() -> None:
    session = ToySession(num_pages=30, likeliest=12)
    session.poison_token = PROMPTS[0][-1]
    params = SamplingParams(top_k=3, seed=0, max_tokens=3)
    with pytest.raises(HearthError, match="61 of 61 logits are NaN"):
        list(Engine(session, context=100).generate(PROMPTS[0], params=params))


def test_logits_are_asked_for_only_where_a_draw_may_read_them():
    session = ToySession(num_pages=30)
    engine = Engine(session, context=100)
    list(engine.generate(PROMPTS[0], params=greedy(6)))
    assert set(session.wanted) == {("argmax",)}
    session.wanted.clear()
    for params in (SamplingParams(temperature=1.0, seed=1, max_tokens=3), greedy(3, logprobs=1)):
        list(engine.generate(PROMPTS[0], params=params))
    assert {"logits" in wanted for wanted in session.wanted} == {True}
    session.wanted.clear()
    engine.embed(np.array(PROMPTS[0]))
    assert set(session.wanted) == {("hidden",)}
