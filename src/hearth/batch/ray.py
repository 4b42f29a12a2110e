"""A batch through Ray: several engines, each an actor with the server's application, here or in a cluster.

Requests go one by one to the engine that has the fewest, rather than in blocks: an engine that is done with one has the
next at once, and what is finished is written at once. An actor that dies is started again by Ray, and what it was
asked is asked again; the output is written by this process alone, so that a run is resumed as one without Ray.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.exceptions import RayTaskError
from starlette.datastructures import Headers

from hearth.batch.local import LocalAnswerer, local_answerer
from hearth.errors import HearthError
from hearth.server.inprocess import Answer
from hearth.server.models import ModelSettings
from hearth.server.ray.cluster import connected, from_anywhere, shares

_RETRIES = 5


class _Engine:
    """Runs in a process of its own."""

    def __init__(self, model: str, settings: ModelSettings) -> None:
        self._model = model
        self._settings = settings
        self._stack = AsyncExitStack()
        self._answerer: LocalAnswerer | None = None
        self._opening = asyncio.Lock()

    async def fingerprint(self) -> str:
        """Opens the model."""
        async with self._opening:
            if self._answerer is None:
                opening = local_answerer(self._model, self._settings)
                self._answerer = await self._stack.enter_async_context(opening)
        return self._answerer.fingerprint

    async def answer(self, url: str, body: Mapping[str, Any]) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        await self.fingerprint()  # it may have been started again
        assert self._answerer is not None
        answer = await self._answerer.answer(url, body)
        return answer.status, answer.headers.raw, answer.body

    async def close(self) -> None:
        await self._stack.aclose()


@dataclass
class _Pool:
    """See the module."""

    fingerprint: str
    concurrency: int
    _engines: list[Any]
    _running: list[int]

    async def answer(self, url: str, body: Mapping[str, Any]) -> Answer:
        index = self._running.index(min(self._running))
        self._running[index] += 1
        try:
            status, headers, content = await self._engines[index].answer.remote(url, body)
        finally:
            self._running[index] -= 1
        return Answer(status, Headers(raw=headers), content)


@asynccontextmanager
async def ray_answerer(model: str, settings: ModelSettings, count: int, address: str | None) -> AsyncIterator[_Pool]:
    """So many engines, for as long as the block lasts.

    Raises:
        HearthError: Ray or the engines do not start.
    """
    threads, memory_bytes = shares(count, settings.threads, settings.memory_bytes, local=address is None)
    settings = replace(settings, threads=threads, memory_bytes=memory_bytes)
    with connected(address):
        remote: Any = ray.remote(_Engine)
        actor = remote.options(
            num_cpus=threads,
            max_restarts=_RETRIES,
            max_task_retries=_RETRIES,
            max_concurrency=2 * settings.max_seqs + 2,
        )
        engines = [actor.remote(from_anywhere(model), settings) for _ in range(count)]
        try:
            # The first one compiles the model where that is needed; the others find it.
            fingerprint = await engines[0].fingerprint.remote()
            await asyncio.gather(*(engine.fingerprint.remote() for engine in engines[1:]))
        except RayTaskError as error:
            cause = error.cause
            raise (
                cause if isinstance(cause, HearthError) else HearthError("The engines do not start.", why=str(cause))
            ) from error
        yield _Pool(fingerprint, count * 2 * settings.max_seqs, engines, [0] * count)
