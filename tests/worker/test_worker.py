"""Many clients share one model, and none of them waits for ever, harms another or is forgotten."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.waiting import slow_steps

from hearth import LLM
from hearth.chat.answer import Completion
from hearth.chat.request import Prepared
from hearth.engine import Engine, pages_for
from hearth.errors import ContextFull, UsageError
from hearth.runtime import TextSession
from hearth.worker import Busy, Closing, ModelBroken, Stream, Worker

FRANCE = [{"role": "user", "content": "What is the capital of France?"}]
STORY = "Once upon a time"


class FailingSession(TextSession):
    """Fails when it is told to.

    Attributes:
        failures: how many of the next forwards fail.
        gate: what each forward waits for first.
    """

    failures = 0
    gate: threading.Event | None = None
    num_forwards = 0

    def forward(self, *arrays: Any, **more: Any) -> Any:
        self.num_forwards += 1
        if self.gate is not None:
            assert self.gate.wait(60)
        if self.failures > 0:
            self.failures -= 1
            raise RuntimeError("the processor is on fire")
        return super().forward(*arrays, **more)


@pytest.fixture
def llm(starter: LLM) -> LLM:
    """The starter with an engine of its own over a session that can fail."""
    info = starter.session.info
    pages = pages_for(512, 4, page_tokens=info.page_tokens)
    fresh = object.__new__(LLM)
    fresh.__dict__.update(starter.__dict__)
    session = FailingSession(starter.model, num_pages=pages, threads=1)
    fresh._engine = Engine(session, context=512, eos_ids=starter.engine.eos_ids)
    fresh._parts = replace(starter._parts, session=session, engine=fresh._engine)
    return fresh


def session_of(llm: LLM) -> FailingSession:
    assert isinstance(llm.session, FailingSession)
    return llm.session


def story(llm: LLM, max_tokens: int = 30, prompt: str = STORY, **settings: Any) -> Prepared:
    return llm.prepare_text(prompt, max_tokens=max_tokens, ignore_eos=True, temperature=0.0, **settings)


async def read(stream: Stream) -> Completion:
    text = ""
    async for chunks in stream:
        assert chunks
        text += "".join(chunk.text for chunk in chunks)
    done = stream.completion
    assert done is not None
    assert (done.thinking + done.text).endswith(text)
    return done


def with_worker(
    llm: LLM, use: Callable[[Worker], Coroutine[Any, Any, None]], *, drain_s: float = 0.0, **options: Any
) -> None:
    """Runs `use` with a worker, and checks that nothing is left behind."""

    async def run() -> None:
        worker = Worker(llm, **options)
        try:
            async with asyncio.timeout(60):
                await use(worker)
        finally:
            await worker.close(drain_s=drain_s)
        assert worker.num_running == worker.num_waiting == 0
        if worker.broken is None:
            assert llm.engine.num_available_pages == session_of(llm).num_pages

    asyncio.run(run())


def test_an_answer_is_the_one_that_the_library_gives(llm: LLM, starter: LLM) -> None:
    async def use(worker: Worker) -> None:
        done = await read(await worker.submit(llm.prepare_chat(FRANCE)))
        expected = starter.chat(FRANCE)
        assert (done.text, done.finish_reason) == (expected.text, "stop")
        assert done.usage.completion_tokens == expected.usage.completion_tokens
        again = [chunk async for chunks in worker.stream(llm.prepare_chat(FRANCE)) for chunk in chunks]
        assert "".join(chunk.text for chunk in again) == expected.text

    with_worker(llm, use)


def test_streams_run_side_by_side_and_each_gets_its_own_answer(llm: LLM, starter: LLM) -> None:
    prompts = [f"{number} little stories about" for number in range(12)]
    expected = [starter.generate(p, max_tokens=20, ignore_eos=True, temperature=0.0).text for p in prompts]
    seen_running = []

    async def use(worker: Worker) -> None:
        streams = [await worker.submit(story(llm, 20, prompt)) for prompt in prompts]

        async def one(stream: Stream) -> str:
            async for _ in stream:
                seen_running.append(worker.num_running)
            assert stream.completion is not None
            return stream.completion.text

        assert await asyncio.gather(*map(one, streams)) == expected

    with_worker(llm, use, max_running=4)
    assert max(seen_running) == 4


def test_an_answer_that_a_stop_string_ends_is_computed_no_further(llm: LLM, starter: LLM) -> None:
    whole = starter.generate(STORY, max_tokens=400, ignore_eos=True, temperature=0.0).text
    stop = whole[20:26]

    async def use(worker: Worker) -> None:
        done = await read(await worker.submit(story(llm, 400, stop=[stop])))
        assert done.text == whole[: whole.index(stop)]
        assert (done.finish_reason, done.stop) == ("stop", stop)
        assert done.usage.prompt_tokens > 0
        assert session_of(llm).num_forwards < 100

    with_worker(llm, use)


def test_closing_a_stream_ends_its_request_within_one_step(llm: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_steps(monkeypatch, lambda: 0.005)

    async def use(worker: Worker) -> None:
        other = await worker.submit(story(llm, 60, "Another"))
        stream = await worker.submit(story(llm, 480))
        await anext(stream)
        session = session_of(llm)
        session.gate = threading.Event()
        before = session.num_forwards
        closing = asyncio.create_task(stream.aclose())
        await asyncio.sleep(0.05)
        session.gate.set()
        await closing
        assert session.num_forwards <= before + 2
        assert stream.completion is not None
        assert stream.completion.finish_reason == "cancelled"
        assert stream.completion.usage.prompt_tokens > 0
        assert (await read(other)).finish_reason == "length"
        assert worker.num_running == 0

    with_worker(llm, use)


def test_a_cancelled_task_and_a_forgotten_stream_end_their_requests(llm: LLM) -> None:
    async def use(worker: Worker) -> None:
        stream = await worker.submit(story(llm, 480))
        task = asyncio.create_task(read(stream))
        while worker.num_running == 0:
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        forgotten = await worker.submit(story(llm, 480))
        await anext(forgotten)
        del forgotten
        async with asyncio.timeout(10):
            while worker.num_running or worker.num_waiting:
                await asyncio.sleep(0.001)

    with_worker(llm, use)


def test_a_full_queue_says_when_to_come_again_and_takes_more_later(llm: LLM) -> None:
    async def use(worker: Worker) -> None:
        session_of(llm).gate = gate = threading.Event()
        streams = [await worker.submit(story(llm, 3)) for _ in range(5)]
        with pytest.raises(Busy, match="3 requests are waiting") as told:
            await worker.submit(story(llm, 3))
        assert 1 <= told.value.retry_after_s <= 60
        with pytest.raises(Busy):
            await worker.call(lambda llm: llm.info)
        await streams.pop().aclose() if gate.set() else None
        await asyncio.gather(*map(read, streams))
        assert (await read(await worker.submit(story(llm, 3)))).finish_reason == "length"

    with_worker(llm, use, max_running=2, max_waiting=3)


def test_first_come_first_served(llm: LLM) -> None:
    ended: list[int] = []

    async def use(worker: Worker) -> None:
        streams = [await worker.submit(story(llm, 3 + place % 2)) for place in range(8)]

        async def one(place: int) -> None:
            await read(streams[place])
            ended.append(place)

        await asyncio.gather(*map(one, range(8)))

    with_worker(llm, use, max_running=1)
    assert ended == sorted(ended)


def test_what_the_engine_refuses_is_told_at_once(llm: LLM) -> None:
    async def use(worker: Worker) -> None:
        prepared = story(llm)
        long = Prepared(llm.prepare_text(prompt_ids=[5] * 500).request, prepared.answer)
        object.__setattr__(long.request, "prompt_ids", (5,) * 600)
        with pytest.raises(ContextFull):
            await worker.submit(long)
        object.__setattr__(long.request, "prompt_ids", (10**6,))
        with pytest.raises(UsageError):
            await worker.submit(long)
        assert worker.num_waiting == 0

    with_worker(llm, use)


def test_a_call_runs_between_steps_and_tells_its_errors(llm: LLM, starter: LLM) -> None:
    async def use(worker: Worker) -> None:
        stream = await worker.submit(story(llm, 100))
        await anext(stream)
        vectors = await asyncio.gather(*(worker.call(lambda llm: llm.embed("a text")) for _ in range(3)))
        for vector in vectors:
            np.testing.assert_array_equal(vector, starter.embed("a text"))
        with pytest.raises(ZeroDivisionError):
            await worker.call(lambda llm: 1 // 0)
        names = await worker.call(lambda llm: threading.current_thread().name)
        assert names == "hearth-worker"
        assert (await read(stream)).finish_reason == "length"

    with_worker(llm, use)


def test_one_failing_step_harms_no_stream_for_good(llm: LLM, starter: LLM) -> None:
    expected = starter.generate(STORY, max_tokens=40, ignore_eos=True, temperature=0.0).text

    async def use(worker: Worker) -> None:
        streams = [await worker.submit(story(llm, 40)) for _ in range(3)]
        await anext(streams[2])
        session_of(llm).failures = 1
        answers = await asyncio.gather(*map(read, streams))
        assert [done.text for done in answers] == [expected] * 3
        assert worker.broken is None

    with_worker(llm, use)


def test_a_failing_step_of_one_request_is_its_own_error_and_the_next_one_works(llm: LLM) -> None:
    async def use(worker: Worker) -> None:
        session_of(llm).failures = 1
        with pytest.raises(RuntimeError, match="on fire"):
            await read(await worker.submit(story(llm)))
        assert worker.broken is None
        assert (await read(await worker.submit(story(llm)))).finish_reason == "length"

    with_worker(llm, use)


def test_a_model_that_keeps_failing_is_broken_and_every_stream_is_told(llm: LLM) -> None:
    async def use(worker: Worker) -> None:
        streams = [await worker.submit(story(llm, 400)) for _ in range(6)]
        await anext(streams[0])
        session_of(llm).failures = 10**6
        told = await asyncio.gather(*map(read, streams), return_exceptions=True)
        assert all(isinstance(error, RuntimeError | ModelBroken) for error in told)
        assert sum(isinstance(error, ModelBroken) for error in told) >= 1
        assert isinstance(worker.broken, ModelBroken)
        with pytest.raises(ModelBroken, match="opened anew"):
            await worker.submit(story(llm))
        with pytest.raises(ModelBroken):
            await worker.call(lambda llm: None)
        for stream in streams:
            await stream.aclose()

    with_worker(llm, use, max_running=2)


def test_a_thread_that_dies_hangs_nobody(llm: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(worker: Worker) -> None:
        stream = await worker.submit(story(llm, 400))
        waiting = asyncio.create_task(worker.call(lambda llm: None))
        await anext(stream)
        await waiting
        monkeypatch.setattr(llm.engine, "step", lambda: [object()])
        with pytest.raises(ModelBroken, match="AttributeError"):
            await read(stream)

    with_worker(llm, use)


def test_closing_lets_streams_end_and_cancels_those_that_take_too_long(
    llm: LLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_steps(monkeypatch, lambda: 0.01)

    async def ends() -> None:
        worker = Worker(llm)
        short, long = await worker.submit(story(llm, 20)), await worker.submit(story(llm, 480))
        await anext(long)
        closing = asyncio.create_task(worker.close(drain_s=2))
        await asyncio.sleep(0)
        with pytest.raises(Closing):
            await worker.submit(story(llm))
        assert (await read(short)).finish_reason == "length"
        await closing
        assert (await read(long)).finish_reason == "cancelled"
        await worker.close(drain_s=5)

    asyncio.run(ends())


def test_an_event_loop_that_is_gone_stops_its_requests(llm: LLM) -> None:
    async def begin() -> tuple[Worker, Stream]:
        worker = Worker(llm)
        return worker, await worker.submit(story(llm, 480))

    worker, stream = asyncio.run(begin())

    async def end() -> None:
        async with asyncio.timeout(10):
            while worker.num_running or worker.num_waiting:
                await asyncio.sleep(0.001)
        assert (await read(await worker.submit(story(llm, 3)))).finish_reason == "length"
        await worker.close(drain_s=0)

    asyncio.run(end())
    del stream
