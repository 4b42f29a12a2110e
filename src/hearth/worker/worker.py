"""One thread for one open model: `Worker`. It alone touches the engine and its session.

Requests, cancellations and calls reach the thread through its inbox; what happens comes back to the event loop once a
step, for all streams together. Text is made of tokens on the event loop's thread, while the next forward runs. With
nothing to do the thread sleeps in the inbox.

Nothing hangs: whatever fails, each stream gets its end or an error. A request that fails ends alone. Where the model
itself fails again and again the worker is *broken*: all streams raise, and `Models` opens the model anew.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from copy import copy
from functools import partial
from queue import Empty
from typing import Any, Self, TypeVar

from hearth.chat.answer import Chunk, Completion
from hearth.chat.request import Prepared
from hearth.engine import TokenEvent
from hearth.errors import HearthError
from hearth.llm import LLM
from hearth.worker.inbox import Busy, Closing, Command, Inbox

T = TypeVar("T")
log = logging.getLogger("hearth.worker")

_MAX_FAILURES = 3  # steps that fail one after the other until the model counts as broken
_LAST_STEP_S = 60.0  # that closing waits for a step to end

__all__ = ["Busy", "Closing", "ModelBroken", "Stream", "Worker"]


class ModelBroken(HearthError):
    """The model cannot go on; it is opened anew with the next request."""


class _Job:
    """One request on its way: in the engine under `id`, and on the event loop as the chunks of its answer."""

    def __init__(self, prepared: Prepared, loop: asyncio.AbstractEventLoop) -> None:
        self.prepared = prepared
        self.loop = loop
        self.id: int | None = None  # the thread's own
        # The event loop's own.
        self.chunks: list[Chunk] = []
        self.error: BaseException | None = None
        self.ended = False  # the engine is through with it
        self.cancelled = False  # the engine has been told to stop, or will be
        self._changed = asyncio.Event()

    def take(self, event: TokenEvent) -> None:
        """What the engine tells of it."""
        try:
            self.chunks += self.prepared.answer.push(event)
        except Exception as error:
            self.error = self.error or error
        if event.finish_reason is not None:
            self.ended = True
        if self.chunks or self.ended:
            self._changed.set()

    async def wait(self) -> None:
        """Until there are chunks, or the end."""
        while not (self.chunks or self.ended):
            self._changed.clear()
            await self._changed.wait()


class Stream:
    """The answer to one request, as it comes: an async iterator of what each step has settled.

    Raises (while iterating):
        Whatever made the request fail.
    """

    def __init__(self, job: _Job, cancel: Callable[[_Job], None]) -> None:
        self._job = job
        self._cancel = cancel

    @property
    def completion(self) -> Completion | None:
        """The whole answer; None until it has ended."""
        return self._job.prepared.answer.completion

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Chunk]:
        job = self._job
        try:
            await job.wait()
        except asyncio.CancelledError:
            self._stop()
            raise
        if job.chunks:
            chunks, job.chunks = job.chunks, []
            return chunks
        if job.error is not None:
            raise job.error
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Cancels what is not computed yet; returns once the engine has let go of it, which takes a step at most."""
        self._stop()
        while not self._job.ended:
            self._job.chunks.clear()
            await self._job.wait()
        self._job.chunks.clear()

    def _stop(self) -> None:
        if not self._job.ended and not self._job.cancelled:
            self._job.chunks += self._job.prepared.answer.cancel()
            self._cancel(self._job)

    def __del__(self) -> None:
        # Nobody can read it any more. Finalisers run anywhere: the answer itself is not touched.
        if not self._job.ended and not self._job.cancelled:
            self._cancel(self._job)


class Worker:
    """Runs the requests of many clients through one model.

    Args:
        llm: used by nobody else from now on, except for what it says any thread may do.
        max_running: requests that are computed at the same time; None: as many as a forward takes.
        max_waiting: requests that may wait while others run; one more is `Busy`.

    Attributes:
        broken: why the model cannot go on; None while it can.
    """

    def __init__(self, llm: LLM, *, max_running: int | None = None, max_waiting: int = 64) -> None:
        self.broken: ModelBroken | None = None
        self._llm = llm
        self._engine = llm.engine
        if max_running is not None:
            self._engine.limit_running(max_running)
        self._inbox = Inbox(self._engine.max_running, max_waiting)
        self._ended: Future[None] = Future()
        # The thread's own, from here on.
        self._jobs: dict[int, _Job] = {}  # by the engine's id
        self._calls: deque[Command] = deque()
        self._num_running = 0
        self._has_news = False  # the engine has events that it did not make in a step
        self._num_failures = 0
        self._stopping = False
        threading.Thread(target=self._run, name="hearth-worker", daemon=True).start()

    # -- any thread ----------------------------------------------------------------------------------------------

    @property
    def num_running(self) -> int:
        """Requests that are computed now."""
        return self._num_running

    @property
    def num_waiting(self) -> int:
        """Requests and calls that wait for their turn."""
        return max(0, self._inbox.num_inside - self._num_running)

    async def submit(self, prepared: Prepared) -> Stream:
        """Queues a request; it begins when its turn comes, first come first served.

        Raises:
            Busy: the queue is full. ContextFull, UsageError: the engine refuses it. ModelBroken, Closing.
        """
        self._engine.check(prepared.request)
        job = _Job(prepared, asyncio.get_running_loop())
        self._inbox.enter(partial(self._add, job))
        return Stream(job, self._cancel_soon)

    async def stream(self, prepared: Prepared) -> AsyncIterator[list[Chunk]]:
        """`submit` as an async generator; leaving it (`aclose`) cancels."""
        stream = await self.submit(prepared)
        try:
            async for chunks in stream:
                yield chunks
        finally:
            await stream.aclose()

    async def call(self, fn: Callable[[LLM], T]) -> T:
        """Runs `fn` on the model's thread between two steps. The streams wait meanwhile, so it should be short.

        Raises:
            Whatever `fn` raises. Busy, ModelBroken, Closing.
        """
        result: Future[T] = Future()
        self._inbox.enter(lambda: self._calls.append(partial(self._answer, fn, result)))
        return await asyncio.wrap_future(result)

    async def close(self, *, drain_s: float) -> None:
        """Takes no more requests, lets those there are end for `drain_s` seconds, and cancels the rest."""
        drained = self._inbox.close(Closing("The model is being closed and takes no more requests."))
        await _settled(drained, drain_s)
        self._inbox.put(self._cancel_everything)
        if not await _settled(self._ended, _LAST_STEP_S):
            log.error("a step of the model does not end; its thread is left behind")

    def _cancel_soon(self, job: _Job) -> None:
        job.cancelled = True
        self._inbox.put(partial(self._cancel, job))

    # -- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._obey()
                if self._calls:
                    self._calls.popleft()()
                self._step()
        except BaseException as error:
            if not isinstance(error, ModelBroken):
                log.exception("the thread of the model failed")
            self._break(error)
        finally:
            self._leave()

    def _obey(self) -> None:
        """Does what is in the inbox; sleeps there if there is nothing else to do."""
        idle = not (self._calls or self._has_news or self._engine.num_running or self._engine.num_waiting)
        while True:
            try:
                command = self._inbox.get(block=idle)
            except Empty:
                return
            command()
            idle = False

    def _add(self, job: _Job) -> None:
        try:
            if self._stopping:
                raise self._farewell()
            job.id = self._engine.add(job.prepared.request)
        except Exception as error:
            self._tell([(job, TokenEvent(id=-1, finish_reason="error", error=error))])
        else:
            self._jobs[job.id] = job

    def _cancel(self, job: _Job) -> None:
        if not self._stopping and job.id is not None and self._engine.cancel(job.id) is not None:
            self._has_news = True

    def _cancel_everything(self) -> None:
        for job in self._jobs.values():
            self._cancel(job)
        self._stopping = True

    def _answer(self, fn: Callable[[LLM], T], result: Future[T]) -> None:
        if result.set_running_or_notify_cancel():
            try:
                if self._stopping:
                    raise self._farewell()
                answer = fn(self._llm)
            except BaseException as error:
                result.set_exception(error)
            else:
                result.set_result(answer)
        self._has_news = True  # the streams may have come on meanwhile
        self._inbox.leave()

    def _step(self) -> None:
        """One step of the engine, or the news there are; its events go to their streams."""
        had_news, self._has_news = self._has_news, False
        if had_news or self._engine.num_running or self._engine.num_waiting:
            try:
                events = self._engine.step()
            except Exception as error:
                self._failed(error)
            else:
                if not had_news:
                    self._num_failures = 0
                self._num_running = self._engine.num_running
                self._tell([(self._jobs[event.id], event) for event in events])
        self._num_running = self._engine.num_running

    def _failed(self, error: Exception) -> None:
        """The engine has dropped the requests at fault, and tells of them in its next step."""
        self._has_news = True
        self._num_failures += 1
        log.error("a step of the model failed: %s", type(error).__name__, exc_info=error)
        if self._num_failures >= _MAX_FAILURES:
            why = f"{_MAX_FAILURES} steps failed one after the other, the last with {type(error).__name__}."
            raise _broken(why) from error

    def _tell(self, events: list[tuple[_Job, TokenEvent]]) -> None:
        """Passes events on to the event loop that their streams live in."""
        loops: dict[asyncio.AbstractEventLoop, list[tuple[_Job, TokenEvent]]] = {}
        for job, event in events:
            loops.setdefault(job.loop, []).append((job, event))
            if event.finish_reason is not None:
                self._jobs.pop(event.id, None)
                self._inbox.leave()
        for loop, batch in loops.items():
            try:
                loop.call_soon_threadsafe(self._deliver, batch)
            except RuntimeError:  # the loop is closed: nobody listens any more
                for job, _ in batch:
                    self._cancel(job)

    def _break(self, error: BaseException) -> None:
        self.broken = (
            error if isinstance(error, ModelBroken) else _broken(f"Its thread failed: {type(error).__name__}.")
        )
        self._stopping = True

    def _leave(self) -> None:
        """The thread ends: whoever still waits for something is told."""
        self._inbox.close(self._farewell())  # from here on nobody comes in
        jobs = list(self._jobs.items())
        self._tell([(job, TokenEvent(id=i, finish_reason="error", error=self._farewell())) for i, job in jobs])
        while True:
            try:
                self._inbox.get(block=False)()
            except Empty:
                break
        for call in self._calls:
            call()
        self._num_running = 0
        self._ended.set_result(None)

    def _farewell(self) -> HearthError:
        return copy(self.broken) or Closing("The model was closed before it came to this request.")

    # -- the event loop ------------------------------------------------------------------------------------------

    def _deliver(self, batch: list[tuple[_Job, TokenEvent]]) -> None:
        for job, event in batch:
            job.take(event)
            done = job.prepared.answer.completion
            if job.ended:
                if done is not None and job.error is None:
                    self._llm.stats.add(done)
            elif (done is not None or job.error is not None) and not job.cancelled:
                self._cancel_soon(job)  # a stop string was found: the engine does not know


def _broken(why: str) -> ModelBroken:
    return ModelBroken("The model stopped working.", why=why, hint="It is opened anew with the next request.")


async def _settled(future: Future[Any], timeout_s: float) -> bool:
    """Whether the future is done within the time. It is never cancelled."""
    await asyncio.wait([asyncio.wrap_future(future)], timeout=timeout_s)
    return future.done()
