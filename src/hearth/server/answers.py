"""One request's way through a model: opened, prepared in a thread, queued, and its answers as they come.

Every protocol begins an `Answers` and reads it, as a whole or piece by piece; what the pieces look like is the
protocol's. Whatever happens in between, `aclose` cancels what is not computed yet and lets the model go.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from anyio.to_thread import run_sync
from fastapi import Request

from hearth.chat.answer import Chunk, Completion
from hearth.chat.request import Prepared
from hearth.llm import LLM
from hearth.server.errors import ApiError
from hearth.server.metrics import Followed, Metrics
from hearth.server.settings import ServerSettings
from hearth.server.streaming import until_gone

if TYPE_CHECKING:
    from hearth.server.models import Models, OpenModel

T = TypeVar("T")
SHUTTING_DOWN = "The server is shutting down; this answer is not finished."


@dataclass(frozen=True)
class Piece:
    """What has come of one answer.

    Attributes:
        index: which answer of the request.
        chunks: new ones; may be empty.
        done: the whole answer, with the last piece.
    """

    index: int
    chunks: Sequence[Chunk]
    done: Completion | None = None


class Answers:
    """The answers to one request. Made by `begin`; to be closed by whoever has it.

    Attributes:
        model: that answers.
        prepared: one for each answer.
    """

    def __init__(
        self, model: OpenModel, prepared: Sequence[Prepared], streams: Sequence[Followed], stack: AsyncExitStack
    ) -> None:
        self.model = model
        self.prepared = prepared
        self._streams = streams
        self._stack = stack

    @classmethod
    async def begin(cls, request: Request, model: str | None, prepare: Callable[[LLM], Sequence[Prepared]]) -> Answers:
        """Opens the model, prepares in a thread and queues.

        Args:
            model: as the client names it.
            prepare: makes the request, once for each answer; touches no session.

        Raises:
            HearthError: as the model, `prepare` or the queue says. ApiError: the prompt is too long for this server.
        """
        models: Models = request.app.state.models
        metrics: Metrics = request.app.state.metrics
        async with AsyncExitStack() as stack:
            opened = await stack.enter_async_context(models.use(model))
            prepared = await run_sync(prepare, opened.llm)
            check_prompt_tokens(max(len(one.request.prompt_ids) for one in prepared), settings_of(request))
            streams: list[Followed] = []
            for one in prepared:
                streams.append(metrics.follow(await opened.worker.submit(one), opened.name))
                stack.push_async_callback(streams[-1].aclose)
            return cls(opened, prepared, streams, stack.pop_all())

    @property
    def prompt_tokens(self) -> int:
        """Of the first prompt."""
        return len(self.prepared[0].request.prompt_ids)

    async def pieces(self) -> AsyncIterator[Piece]:
        """All answers' pieces, as they come.

        Raises:
            HearthError: the engine failed. ApiError: the server shuts down.
        """
        if len(self._streams) == 1:  # the common case, without a task for each step
            async for batch in self._streams[0]:
                yield Piece(0, batch)
            yield Piece(0, (), _finished(self._streams[0].completion))
            return
        waiting = {self._next(index): index for index in range(len(self._streams))}
        try:
            while waiting:
                ready, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in sorted(ready, key=waiting.__getitem__):
                    index = waiting.pop(task)
                    chunks = task.result()
                    if chunks is None:
                        yield Piece(index, (), _finished(self._streams[index].completion))
                    else:
                        yield Piece(index, chunks)
                        waiting[self._next(index)] = index
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def read(self, request: Request, take: Callable[[Piece], None] | None = None) -> list[Completion]:
        """Runs to the end; a client that goes away ends it at once. Closes, whatever happens.

        Args:
            take: is shown each piece.
        """
        done: dict[int, Completion] = {}

        async def all_pieces() -> None:
            async for piece in self.pieces():
                if take is not None:
                    take(piece)
                if piece.done is not None:
                    done[piece.index] = piece.done

        try:
            await until_gone(request, all_pieces())
        finally:
            await self.aclose()
        return [done[index] for index in range(len(self._streams))]

    def events(self, source: AsyncGenerator[T, None]) -> EventSource[T]:
        """A stream of events made of these answers, which closes them however it ends."""
        return EventSource(source, self)

    async def reasoning_tokens(self, done: Completion) -> int:
        """Tokens of the thinking, counted by its text."""
        if not done.thinking:
            return 0
        return len(await run_sync(lambda: self.model.llm.tokenize(done.thinking, add_special=False)))

    async def aclose(self) -> None:
        """Cancels what is not computed yet and lets the model go."""
        await self._stack.aclose()

    def _next(self, index: int) -> asyncio.Task[list[Chunk] | None]:
        async def take() -> list[Chunk] | None:
            return await anext(self._streams[index], None)

        return asyncio.create_task(take())


class EventSource(AsyncIterator[T], Generic[T]):
    """An async generator over answers whose `aclose` closes these even if it was never begun."""

    def __init__(self, source: AsyncGenerator[T, None], answers: Answers) -> None:
        self._source = source
        self._answers = answers

    async def __anext__(self) -> T:
        return await anext(self._source)

    async def aclose(self) -> None:
        try:
            await self._source.aclose()
        finally:
            await self._answers.aclose()


def settings_of(request: Request) -> ServerSettings:
    """What the server was told at its start."""
    settings: ServerSettings = request.app.state.settings
    return settings


def check_limit(field: str, count: int, limit: int) -> None:
    """Refuses a list or a number that is larger than this server takes."""
    if count > limit:
        raise ApiError(400, f"{field}: {count}, but this server takes at most {limit}.", param=field)


def check_prompt_tokens(count: int, settings: ServerSettings) -> None:
    """Refuses a prompt that is longer than this server takes, whatever the context holds."""
    limit = settings.max_prompt_tokens
    if limit is not None and count > limit:
        message = f"The prompt has {count} tokens, but this server takes at most {limit}."
        raise ApiError(400, message, code="context_length_exceeded")


def new_id(prefix: str) -> str:
    """`prefix` and 24 letters that nobody can guess."""
    return f"{prefix}{secrets.token_hex(12)}"


def nth_seed(seed: int | None, index: int) -> int | None:
    """The seed of one of several answers: the first has the one that was given, each next one the next number."""
    return None if seed is None else (seed + index) % 2**64


def _finished(done: Completion | None) -> Completion:
    """The answer, unless the server had to cut it."""
    if done is None or done.finish_reason == "cancelled":
        raise ApiError(503, SHUTTING_DOWN, code="shutting_down")
    return done
