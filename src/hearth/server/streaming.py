"""Server-sent events: `sse` sends what an async iterator gives, and ends the iterator when nobody listens any more.

A stream is two tasks. One runs the source and puts its events in a short buffer; the other sends them. When the client
leaves, the source is cancelled where it waits and closed before anything else happens: the model stops within one
step. A client that reads slowly fills the buffer, and the source waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from hearth.server.errors import ApiError, as_api_error, error_body, log_fault
from hearth.server.limits import STOPPING, TIME_LIMIT, ClientGone

T = TypeVar("T")
Event = str | Mapping[str, Any]

MAX_BUFFERED = 64
_LAST_WORDS_S = 5.0  # for a client that does not read, when its time is over


def sse(
    events: AsyncIterator[Event], *, named: bool = False, done: str | None = None, limited: bool = True
) -> StreamingResponse:
    """An answer of server-sent events.

    What goes wrong before the first event is raised as if there were no stream, so that it gets its own status.

    Args:
        events: a text is sent as it is, a mapping as JSON. Closed (`aclose`, awaited) in every case.
        named: each event carries its mapping's "type" as its name (Anthropic's protocol, OpenAI's responses).
        done: the last event, also after an error ("[DONE]").
        limited: whether the request's time limit holds; a download may take hours.
    """
    return EventStream(events, named=named, done=done, limited=limited)


async def until_gone(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled when the client leaves. For answers that are no streams.

    Raises:
        ClientGone: nobody waits for the answer any more.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnect(request.receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        _count_gone(request.scope)
        raise ClientGone
    finally:
        await cancelled(task)
        await cancelled(gone)


class EventStream(StreamingResponse):
    """The response that `sse` makes."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[Event], *, named: bool, done: str | None, limited: bool) -> None:
        super().__init__((), headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        self._events = events
        self._named = named
        self._done = done
        self._limited = limited

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope["app"].state
        deadline = self._take_over_time_limit(scope)
        buffer = _Buffer()
        pump = asyncio.create_task(self._pump(buffer))
        gone = asyncio.create_task(_disconnect(receive))
        gone.add_done_callback(lambda _: buffer.wake())
        try:
            await self._send(scope, send, buffer, pump, gone, deadline, state.settings.keepalive_s)
        finally:
            if gone.done() and not pump.done():
                _count_gone(scope)
            await cancelled(pump)
            await cancelled(gone)
            if not buffer.ended:  # cancelled before it had begun
                await self._close()

    def _take_over_time_limit(self, scope: Scope) -> float | None:
        limit = scope.get(TIME_LIMIT)
        if limit is None:
            return None
        deadline: float | None = limit.when()
        limit.reschedule(None)
        return deadline if self._limited else None

    async def _pump(self, buffer: _Buffer) -> None:
        try:
            async for event in self._events:
                await buffer.put(self._encoded(event))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            buffer.error = error
        finally:
            await self._close()
            buffer.ended = True
            buffer.wake()

    async def _close(self) -> None:
        close = getattr(self._events, "aclose", None)
        if close is not None:
            await close()

    async def _send(
        self,
        scope: Scope,
        send: Send,
        buffer: _Buffer,
        pump: asyncio.Task[None],
        gone: asyncio.Task[None],
        deadline: float | None,
        keepalive_s: float,
    ) -> None:
        loop = asyncio.get_running_loop()
        started = False

        async def write(body: bytes, *, more: bool = True) -> None:
            nonlocal started
            if not started:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                started = True
            await send({"type": "http.response.body", "body": body, "more_body": more})

        error: Exception | None = None
        limit = asyncio.timeout_at(deadline)
        try:
            async with limit:
                while not gone.done():
                    silence_ends = loop.time() + keepalive_s
                    data = await buffer.take(silence_ends)
                    if gone.done():
                        return
                    if data:
                        await write(data)
                    elif buffer.ended:
                        error = buffer.error
                        break
                    else:
                        await write(b": waiting\n\n")
        except TimeoutError:
            if not limit.expired():
                raise
            error = ApiError(504, "The answer took longer than the server's time limit.", code="timeout")
        except asyncio.CancelledError:
            if not scope["app"].state.traffic.cut_off():
                raise
            error = ApiError(503, STOPPING, code="stopping")
        if gone.done():
            return
        await cancelled(pump)  # the source ends before the client is told that it has, however slowly that one reads
        if error is not None and not started:
            raise error
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await write(self._ending(scope, error), more=False)

    def _ending(self, scope: Scope, error: Exception | None) -> bytes:
        parts = []
        if error is not None:
            told = as_api_error(error)
            if told.status >= 500:
                log_fault(f"{scope['method']} {scope['path']} (streaming)", error)
            parts.append(self._encoded(stream_error(scope["path"], told)))
        if self._done is not None:
            parts.append(self._encoded(self._done))
        return b"".join(parts)

    def _encoded(self, event: Event) -> bytes:
        if isinstance(event, str):
            return b"".join(b"data: %s\n" % line.encode() for line in event.split("\n")) + b"\n"
        data = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        name = f"event: {event['type']}\n".encode() if self._named else b""
        return b"%sdata: %s\n\n" % (name, data)


def stream_error(path: str, error: ApiError) -> dict[str, Any]:
    """The event that ends a stream that failed, as this path's clients read it."""
    if path.startswith("/api/"):
        message, hint = error.owner
        return {"type": "error", "message": message, "hint": hint, "kind": error.kind}
    if path == "/v1/responses":
        message, param = error.told(path)
        return {"type": "error", "code": error.code or error.type, "message": message, "param": param}
    return error_body(path, error)


class _Buffer:
    """Encoded events between the task that makes them and the one that sends them; no more than `MAX_BUFFERED`."""

    def __init__(self) -> None:
        self.ended = False
        self.error: Exception | None = None
        self._events: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def wake(self) -> None:
        self._wake.set()

    async def put(self, event: bytes) -> None:
        self._events.append(event)
        self._wake.set()
        if len(self._events) >= MAX_BUFFERED:
            self._room.clear()
            await self._room.wait()

    async def take(self, until: float) -> bytes:
        """All that is there, as one piece; empty when it has ended, or when nothing came until then (loop time)."""
        if not self._events and not self.ended:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._wake.wait()
        data = b"".join(self._events)
        self._events.clear()
        self._room.set()
        return data


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def cancelled(task: asyncio.Future[Any]) -> None:
    """Cancels a task and waits until it has ended."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # it is told elsewhere, or nobody is left to be told


def _count_gone(scope: Scope) -> None:
    state = scope["app"].state
    state.metrics.client_gone.labels(route_of(scope)).inc()


def route_of(scope: Scope) -> str:
    """The route's own path, with its variables unfilled: few values, whatever clients ask for."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else "none"
