"""The front door for programs of coroutines: `AsyncLLM`, an `LLM` with a thread of its own.

async with AsyncLLM("starter") as llm:
    done = await llm.chat("What is the capital of France?")
    async for chunk in llm.chat("And of Italy?", stream=True):
        print(chunk.text, end="")
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, Unpack, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hearth.chat.answer import Chunk, Completion
from hearth.chat.many import Result, all_or_raise
from hearth.chat.request import Prepared
from hearth.chat.settings import ChatSettings, Messages, TextSettings
from hearth.errors import UsageError
from hearth.llm import LLM, LLMInfo, closed
from hearth.worker import Closing, Stream, Worker

T = TypeVar("T")


class AsyncLLM:
    """A language model on this machine, for any number of coroutines at the same time.

    It opens with `async with` (or `await open()`), in a thread, and belongs to nobody else then. Requests are computed
    together, as far as there is room; a coroutine that is cancelled takes its request with it.

    Args:
        model, **options: as `LLM`.
    """

    def __init__(self, model: str | os.PathLike[str] = "starter", **options: Any) -> None:
        self._open = partial(LLM, model, **options)
        self._llm: LLM | None = None
        self._worker: Worker | None = None
        self._closed = False
        self._opening = asyncio.Lock()

    async def open(self) -> Self:
        """Opens the model, if it is not open.

        Raises:
            HearthError: as `LLM`.
        """
        async with self._opening:
            if self._worker is None:
                self._llm = await asyncio.to_thread(self._open)
                self._worker = Worker(self._llm, max_waiting=sys.maxsize)
        return self

    async def close(self) -> None:
        """Gives the memory back. What is still running ends with an error."""
        self._closed = True
        async with self._opening:
            if self._worker is not None and self._llm is not None:
                await self._worker.close(drain_s=0.0)
                await asyncio.to_thread(self._llm.close)

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # -- answers -------------------------------------------------------------------------------------------------

    @overload
    def chat(
        self, messages: Messages, *, stream: Literal[False] = False, **settings: Unpack[ChatSettings]
    ) -> Coroutine[Any, Any, Completion]: ...
    @overload
    def chat(
        self, messages: Messages, *, stream: Literal[True], **settings: Unpack[ChatSettings]
    ) -> AsyncAnswerStream: ...
    def chat(
        self, messages: Messages, *, stream: bool = False, **settings: Unpack[ChatSettings]
    ) -> Coroutine[Any, Any, Completion] | AsyncAnswerStream:
        """As `LLM.chat`: to be awaited, or iterated over with `stream=True`."""
        answer = AsyncAnswerStream(self, lambda llm: llm.prepare_chat(messages, **settings))
        return answer if stream else answer.read()

    @overload
    def generate(
        self, prompt: str | None = None, *, stream: Literal[False] = False, **settings: Unpack[TextSettings]
    ) -> Coroutine[Any, Any, Completion]: ...
    @overload
    def generate(
        self, prompt: str | None = None, *, stream: Literal[True], **settings: Unpack[TextSettings]
    ) -> AsyncAnswerStream: ...
    def generate(
        self, prompt: str | None = None, *, stream: bool = False, **settings: Unpack[TextSettings]
    ) -> Coroutine[Any, Any, Completion] | AsyncAnswerStream:
        """As `LLM.generate`: to be awaited, or iterated over with `stream=True`."""
        answer = AsyncAnswerStream(self, lambda llm: llm.prepare_text(prompt, **settings))
        return answer if stream else answer.read()

    @overload
    async def chat_many(
        self,
        conversations: Iterable[Messages],
        *,
        return_exceptions: Literal[False] = False,
        **settings: Unpack[ChatSettings],
    ) -> list[Completion]: ...
    @overload
    async def chat_many(
        self, conversations: Iterable[Messages], *, return_exceptions: Literal[True], **settings: Unpack[ChatSettings]
    ) -> list[Result]: ...
    async def chat_many(
        self, conversations: Iterable[Messages], *, return_exceptions: bool = False, **settings: Unpack[ChatSettings]
    ) -> list[Completion] | list[Result]:
        """As `LLM.chat_many`."""
        at_once = asyncio.Semaphore(2 * self._open_llm().engine.max_running)  # prompts in memory

        async def one(messages: Messages) -> Completion:
            async with at_once:
                return await self.chat(messages, **settings)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_kept(one(messages))) for messages in conversations]
        results = [task.result() for task in tasks]
        return results if return_exceptions else all_or_raise(results)

    # -- the rest ------------------------------------------------------------------------------------------------

    async def embed(self, text_or_ids: str | Sequence[int], *, prompt: str | None = None) -> NDArray[np.float32]:
        """As `LLM.embed`."""
        return await self._call(lambda llm: llm.embed(text_or_ids, prompt=prompt))

    async def logits(self, ids: ArrayLike) -> NDArray[np.float32]:
        """As `LLM.logits`."""
        return await self._call(lambda llm: llm.logits(ids))

    def tokenize(self, text: str, *, add_special: bool = True, parse_special: bool = False) -> list[int]:
        """As `LLM.tokenize`."""
        return self._open_llm().tokenize(text, add_special=add_special, parse_special=parse_special)

    def detokenize(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """As `LLM.detokenize`."""
        return self._open_llm().detokenize(ids, skip_special=skip_special)

    @property
    def info(self) -> LLMInfo:
        """As `LLM.info`."""
        return self._open_llm().info

    def __repr__(self) -> str:
        return repr(self._llm).replace("<LLM", "<AsyncLLM") if self._llm is not None else "<AsyncLLM, not open>"

    # -- inside --------------------------------------------------------------------------------------------------

    def _open_llm(self) -> LLM:
        if self._closed:
            raise closed()
        if self._llm is None:
            raise UsageError("This AsyncLLM is not open.", hint="Use it within `async with`, or await its open().")
        return self._llm

    async def _call(self, fn: Callable[[LLM], T]) -> T:
        self._open_llm()
        assert self._worker is not None
        try:
            return await self._worker.call(fn)
        except Closing:
            raise closed() from None

    async def submit(self, prepare: Callable[[LLM], Prepared]) -> Stream:
        """Prepares a request in a thread and queues it.

        Raises:
            HearthError: as `prepare` and the engine.
        """
        prepared = await asyncio.to_thread(prepare, self._open_llm())
        self._open_llm()
        assert self._worker is not None
        try:
            return await self._worker.submit(prepared)
        except Closing:
            raise closed() from None

    @property
    def is_closed(self) -> bool:
        return self._closed


class AsyncAnswerStream(AsyncIterator[Chunk]):
    """Iterates over the chunks of one answer, which begins with the first one asked for.

    Leaving the loop by `break` cancels what is not computed yet when the object is collected; `aclose`, or
    `async with`, at once.

    Attributes:
        completion: the whole answer; None until the stream has ended or was closed.
    """

    def __init__(self, llm: AsyncLLM, prepare: Callable[[LLM], Prepared]) -> None:
        self.completion: Completion | None = None
        self._llm = llm
        self._prepare = prepare
        self._stream: Stream | None = None
        self._ready: deque[Chunk] = deque()

    async def __anext__(self) -> Chunk:
        while not self._ready:
            if self.completion is not None:
                raise StopAsyncIteration
            if self._stream is None:
                self._stream = await self._llm.submit(self._prepare)
            try:
                self._ready += await anext(self._stream)
            except StopAsyncIteration:
                self._finish(self._stream)
            except Closing:
                raise closed() from None
        return self._ready.popleft()

    async def read(self) -> Completion:
        """Runs to the end and returns the whole answer; cancelled, it takes the request with it."""
        async with self:
            async for _ in self:
                pass
        assert self.completion is not None
        return self.completion

    async def aclose(self) -> None:
        """Cancels what is not computed yet; what has come stays in `completion`."""
        if self._stream is not None and self.completion is None:
            await self._stream.aclose()
            self.completion = self._stream.completion

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _finish(self, stream: Stream) -> None:
        done = stream.completion
        if done is None or (done.finish_reason == "cancelled" and self._llm.is_closed):
            raise closed()
        self.completion = done


async def _kept(answer: Coroutine[Any, Any, Completion]) -> Result:
    """The answer, or the exception instead of it."""
    try:
        return await answer
    except Exception as error:
        return error


__all__ = ["AsyncAnswerStream", "AsyncLLM"]
