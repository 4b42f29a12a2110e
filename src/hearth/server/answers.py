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
from hearth.server.errors import ApiError, PromptTooLong
from hearth.server.metrics import Followed, Metrics
from hearth.server.places import Places, in_places, renamed
from hearth.server.settings import ServerSettings
from hearth.server.streaming import until_gone
from hearth.server.warning import warn

if TYPE_CHECKING:
    from hearth.server.models import Models, OpenModel

T = TypeVar("T")
SHARED_TOKENS = 64
"""A prompt at least this long is computed once for all answers to it: the others find it in the prefix cache."""

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

    def __init__(self, model: OpenModel, prepared: Sequence[Prepared], metrics: Metrics, stack: AsyncExitStack) -> None:
        self.model = model
        self.prepared = prepared
        self._metrics = metrics
        self._stack = stack
        self._streams: dict[int, Followed] = {}
        self._followers = _followers(prepared)

    @classmethod
    async def begin(
        cls,
        request: Request,
        model: str | None,
        prepare: Callable[[LLM], Sequence[Prepared]],
        *,
        places: Places = (),
    ) -> Answers:
        """Opens the model, prepares in a thread and queues.

        Args:
            model: as the client names it.
            prepare: makes the request, once for each answer; touches no session.
            places: what the client calls the places that errors and notices name.

        Raises:
            HearthError: as the model, `prepare` or the queue says. ApiError: the prompt is too long for this server.
        """
        models: Models = request.app.state.models
        metrics: Metrics = request.app.state.metrics
        async with AsyncExitStack() as stack:
            opened = await stack.enter_async_context(models.use(model))
            with in_places(places):
                prepared = await run_sync(prepare, opened.llm)
            for notice in prepared[0].notices:
                what, _, rest = renamed(notice, places).partition(": ")
                warn(what.lower(), rest.rstrip("."))
            check_prompt_tokens(max(len(one.request.prompt_ids) for one in prepared), settings_of(request))
            answers = cls(opened, prepared, metrics, stack.pop_all())
        try:
            await answers._submit(list(answers._followers))
        except BaseException:
            await answers.aclose()
            raise
        return answers

    @property
    def prompt_tokens(self) -> int:
        """Of the first prompt."""
        return len(self.prepared[0].request.prompt_ids)

    async def pieces(self) -> AsyncIterator[Piece]:
        """All answers' pieces, as they come.

        Raises:
            HearthError: the engine failed. ApiError: the server shuts down.
        """
        if len(self.prepared) == 1:  # the common case, without a task for each step
            async for batch in self._streams[0]:
                yield Piece(0, batch)
            yield Piece(0, (), _finished(self._streams[0].completion))
            return
        waiting = {self._next(index): index for index in self._streams}
        try:
            while waiting:
                ready, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in sorted(ready, key=waiting.__getitem__):
                    index = waiting.pop(task)
                    chunks = task.result()
                    later = self._followers.pop(index, [])  # the prompt is computed now
                    await self._submit(later)
                    waiting |= {self._next(follower): follower for follower in later}
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
        return [done[index] for index in range(len(self.prepared))]

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
        try:
            # Together: each takes a step of the model to let go.
            await asyncio.gather(*(stream.aclose() for stream in self._streams.values()))
        finally:
            await self._stack.aclose()

    async def _submit(self, indices: Sequence[int]) -> None:
        for index in indices:
            stream = await self.model.worker.submit(self.prepared[index])
            self._streams[index] = self._metrics.follow(stream, self.model.name)

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
        raise PromptTooLong(count, limit)


def new_id(prefix: str) -> str:
    """`prefix` and 24 letters that nobody can guess."""
    return f"{prefix}{secrets.token_hex(12)}"


def _followers(prepared: Sequence[Prepared]) -> dict[int, list[int]]:
    """Answers that begin at once -> those that wait for the first token of one, since they have its long prompt."""
    first: dict[tuple[int, ...], int] = {}
    followers: dict[int, list[int]] = {}
    for index, one in enumerate(prepared):
        ids = one.request.prompt_ids
        leader = first.setdefault(ids, index) if len(ids) >= SHARED_TOKENS else index
        followers.setdefault(leader, [])
        if leader != index:
            followers[leader].append(index)
    return followers


def _finished(done: Completion | None) -> Completion:
    """The answer, unless the server had to cut it."""
    if done is None or done.finish_reason == "cancelled":
        raise ApiError(503, SHUTTING_DOWN, code="shutting_down")
    if done.finish_reason == "repetition":  # no protocol has a word for it
        warn("cut", "an answer that repeated itself (repetition_stop)")
    return done
