"""Many threads, one engine: each gets what it would get alone, whatever the others do."""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from toy_session import ToySession, greedy_reference

from hearth.engine import Engine, Generation, Pace, PromptLookup, Request, SamplingParams, SharedEngine, Speculation
from hearth.errors import HearthError, UsageError

pytestmark = pytest.mark.usefixtures("kind")

PROMPTS = [np.random.default_rng(place).integers(0, 61, 3 + 5 * place).tolist() for place in range(8)]
CLOSED = "it was closed"


class OneAtATime(ToySession):
    """A session that two threads must not use at once, and that lets other threads run while it computes."""

    def __init__(self, **options: int) -> None:
        super().__init__(**options)
        self._busy = threading.Lock()
        self.before_forward = lambda: None

    def forward(self, *batch, **more):
        assert not self._busy.locked(), "two threads compute in one session"
        with self._busy:  # which Ctrl-C cannot leave locked
            time.sleep(0)
            self.before_forward()
            return super().forward(*batch, **more)


@pytest.fixture
def session() -> OneAtATime:
    return OneAtATime(max_seqs=4, max_logit_rows=16, max_tokens=24)


@pytest.fixture
def shared(session: OneAtATime) -> SharedEngine:
    engine = Engine(session, context=100, pace=Pace(), speculation=Speculation(PromptLookup()))
    return SharedEngine(engine)


@pytest.fixture(autouse=True)
def _quick_switches():
    """Threads change places a thousand times as often as they do by default."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


def generation(shared: SharedEngine, prompt: list[int], max_tokens: int = 12, **settings) -> Generation:
    params = SamplingParams(**{"temperature": 0, "max_tokens": max_tokens, **settings})
    return Generation(shared, Request(prompt_ids=tuple(prompt), params=params))


def tokens_of(events) -> list[int]:
    return [event.token for event in events if event.token is not None]


def is_idle(shared: SharedEngine, session: ToySession) -> bool:
    return shared.run(lambda engine: engine._ledger.is_empty and engine.num_available_pages == session.num_pages)


def test_each_thread_gets_the_answer_that_it_would_get_alone(shared, session):
    expected = [greedy_reference(session, prompt, 12) for prompt in PROMPTS]
    logits = shared.run(lambda engine: engine.logits(PROMPTS[3]))
    hidden = shared.run(lambda engine: engine.embed(PROMPTS[4]))

    def one(thread: int) -> None:
        chance = random.Random(thread)
        for _ in range(8):
            place = chance.randrange(len(PROMPTS))
            match chance.randrange(5):
                case 0:
                    np.testing.assert_array_equal(shared.run(lambda e: e.logits(PROMPTS[3])), logits)
                case 1:
                    np.testing.assert_array_equal(shared.run(lambda e: e.embed(PROMPTS[4])), hidden)
                case 2:
                    stopped = generation(shared, PROMPTS[place])
                    assert tokens_of([next(stopped)]) == expected[place][:1]
                    stopped.close()
                    assert stopped.usage is not None
                case _:
                    assert tokens_of(generation(shared, PROMPTS[place])) == expected[place]

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(one, range(6)))
    assert max(len(batch) for batch in session.batches) > 1, "they are computed together"
    assert is_idle(shared, session)


def test_seeded_answers_are_the_same_in_a_crowd(shared):
    def answers() -> list[list[int]]:
        streams = [generation(shared, prompt, temperature=1.0, seed=7) for prompt in PROMPTS]
        return [tokens_of(stream) for stream in streams]

    alone = answers()
    with ThreadPoolExecutor(6) as pool:
        assert all(result == alone for result in pool.map(lambda _: answers(), range(6)))


def test_a_reader_that_takes_its_time_holds_nobody_up(shared, session):
    slow = generation(shared, PROMPTS[2], 20)
    first = next(slow)
    assert tokens_of(generation(shared, PROMPTS[3], 20)) == greedy_reference(session, PROMPTS[3], 20)
    assert [first.token, *tokens_of(slow)] == greedy_reference(session, PROMPTS[2], 20)


def test_a_stream_is_closed_by_another_thread_while_its_own_waits(shared, session):
    stream = generation(shared, PROMPTS[1], None, ignore_eos=True)
    next(stream)
    reached = threading.Event()

    def read() -> list[str | None]:
        reached.set()
        return [event.finish_reason for event in stream]

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        reached.wait()
        stream.close()
        assert set(reader.result(timeout=30)) <= {None, "cancelled", "length"}
    assert is_idle(shared, session)


def test_streams_that_nobody_holds_any_more_are_cancelled_wherever_they_are_collected(shared, session):
    def abandon(thread: int) -> None:
        for place in range(6):
            stream = generation(shared, PROMPTS[(thread + place) % len(PROMPTS)], 50)
            next(stream)
            knot = [stream]
            knot.append(knot)  # only the collector finds it, in whatever thread and place it runs
            del stream, knot

    before = gc.get_threshold()
    gc.set_threshold(20, 2, 2)
    try:
        with ThreadPoolExecutor(5) as pool:
            done = pool.map(abandon, range(5))
            assert tokens_of(generation(shared, PROMPTS[5], 30)) == greedy_reference(session, PROMPTS[5], 30)
            list(done)
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert is_idle(shared, session)


def test_after_closing_everybody_is_told_and_nobody_waits_for_ever(shared):
    started = threading.Barrier(7)

    def ask(thread: int) -> str:
        started.wait()
        try:
            for _ in range(1000):
                if thread % 2:
                    for _ in generation(shared, PROMPTS[thread], 40):
                        pass
                else:
                    shared.run(lambda engine: engine.logits(PROMPTS[thread]))
        except UsageError as error:
            return error.what
        return "was never told"

    with ThreadPoolExecutor(6) as pool:
        told = pool.map(ask, range(6))
        started.wait()
        time.sleep(0.05)
        shared.close(lambda: UsageError(CLOSED))
        assert list(told) == [CLOSED] * 6
    with pytest.raises(UsageError, match=CLOSED):
        next(generation(shared, PROMPTS[0]))
    shared.close(lambda: UsageError("again"))


def test_a_stream_that_had_begun_tells_that_it_was_closed_and_can_be_closed_too(shared):
    stream = generation(shared, PROMPTS[3])
    next(stream)
    shared.close(lambda: UsageError(CLOSED))
    with pytest.raises(UsageError, match=CLOSED):
        list(stream)
    stream.close()
    assert stream.usage is not None


def test_closing_in_the_middle_of_a_step_of_the_same_thread_does_not_hang(shared, session):
    """A signal handler may do so."""
    stream = generation(shared, PROMPTS[3])
    next(stream)
    session.before_forward = lambda: shared.close(lambda: UsageError(CLOSED))
    with pytest.raises(UsageError, match=CLOSED):
        list(stream)


def test_asking_in_the_middle_of_a_step_of_the_same_thread_is_refused(shared, session):
    stream = generation(shared, PROMPTS[3])
    caught: list[UsageError] = []

    def ask() -> None:
        for call in (lambda: next(generation(shared, PROMPTS[1])), lambda: shared.run(lambda e: e.embed([1]))):
            with pytest.raises(UsageError, match="in this very thread") as error:
                call()
            caught.append(error.value)

    session.before_forward = ask
    assert len(tokens_of(stream)) == 12
    assert caught


def test_a_step_that_fails_harms_nobody_but_who_is_at_fault(shared, session):
    session.poison_token = greedy_reference(session, PROMPTS[2], 12)[5]
    alone = {}
    for place, prompt in enumerate(PROMPTS):
        expected = greedy_reference(session, prompt, 12)
        fails = session.poison_token in expected[:11] or session.poison_token == prompt[-1]
        alone[place] = None if fails else expected
    assert alone[2] is None
    assert sum(answer is not None for answer in alone.values()) >= 3

    def one(place: int) -> list[int] | None:
        try:
            return tokens_of(generation(shared, PROMPTS[place], logprobs=0))  # which reads the logits
        except HearthError:
            return None

    with ThreadPoolExecutor(8) as pool:
        assert dict(enumerate(pool.map(one, range(8)))) == alone
    assert is_idle(shared, session)


def test_a_forward_that_fails_once_in_a_crowd_fails_none_of_its_requests(shared, session):
    streams = [generation(shared, prompt) for prompt in PROMPTS[:3]]
    for stream in streams:
        next(stream)
    session.fail_next = RuntimeError("out of luck")
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda stream: len(tokens_of(stream)), streams))
    assert results == [11] * 3


def test_a_scheduler_that_is_broken_is_told_instead_of_tried_for_ever(shared, monkeypatch):
    def broken(self):
        raise RuntimeError("broken for good")

    monkeypatch.setattr("hearth.engine.scheduler.Scheduler.schedule", broken)
    with pytest.raises(RuntimeError, match="broken for good"):
        next(generation(shared, PROMPTS[1]))


@pytest.mark.parametrize("after_writing", [False, True])
def test_an_interrupt_ends_the_answer_that_was_waited_for_and_no_other(shared, session, after_writing):
    mine, others = generation(shared, PROMPTS[1], 20), generation(shared, PROMPTS[4], 20)
    begun = [next(others).token, next(mine).token][:1]
    session.fail_next, session.fail_after_writing = KeyboardInterrupt(), after_writing
    with pytest.raises(KeyboardInterrupt):
        list(mine)
    assert begun + tokens_of(others) == greedy_reference(session, PROMPTS[4], 20)
    assert is_idle(shared, session)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")
def test_ctrl_c_at_any_moment_leaves_the_other_threads_answers_whole(shared, session):
    expected = [greedy_reference(session, prompt, 12) for prompt in PROMPTS]
    stop = threading.Event()

    def others(thread: int) -> int:
        count = 0
        while not stop.is_set():
            place = (thread + count) % len(PROMPTS)
            try:
                assert tokens_of(generation(shared, PROMPTS[place])) == expected[place]
            except HearthError as error:  # rarely: its token was just being drawn
                if "Ctrl-C in another thread" not in error.what:
                    raise
            count += 1
        return count

    interrupted = 0
    chance = random.Random(1)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    pool = ThreadPoolExecutor(3)
    counts = [pool.submit(others, thread) for thread in range(3)]
    try:
        for place in range(60):
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-4, 8e-3))
                for _ in generation(shared, PROMPTS[place % len(PROMPTS)], 40):
                    pass
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                interrupted += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        stop.set()
        pool.shutdown()
    assert all(count.result() for count in counts)
    assert interrupted > 5
    gc.collect()
    assert is_idle(shared, session)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_is_told_at_once_even_if_a_thread_held_the_engine(shared, session):
    holding, forked = threading.Event(), threading.Event()

    def hold(engine: Engine) -> None:
        holding.set()
        forked.wait()

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(shared.run, hold)
        holding.wait()
        child = os.fork()
        if child == 0:
            try:
                next(generation(shared, PROMPTS[0]))
            except UsageError as error:
                os._exit(42 if "forked" in error.what else 1)
            os._exit(2)
        forked.set()
        held.result()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
    assert tokens_of(generation(shared, PROMPTS[0])) == greedy_reference(session, PROMPTS[0], 12)


def test_an_interrupt_right_after_a_request_was_queued_leaves_none_behind(shared, session, monkeypatch):
    begin = Engine.begin

    def interrupted(engine, request, inbox):
        begin(engine, request, inbox)
        raise KeyboardInterrupt

    monkeypatch.setattr(Engine, "begin", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(generation(shared, PROMPTS[3]))
    monkeypatch.undo()
    assert is_idle(shared, session)
