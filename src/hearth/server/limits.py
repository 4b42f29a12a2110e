"""How much a request may be: bytes, nesting, time, and how many at once.

A JSON body is read whole here, under its limits, before anything parses it; a body with files is counted while the
route reads it. The time limit covers the whole request; a stream takes it over (`streaming`), so that it can end with
a last event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hearth.runtime.memory import give_memory_back
from hearth.server.errors import ApiError, refuse
from hearth.server.json_shape import measure
from hearth.server.settings import ServerSettings
from hearth.server.wire import MAX_TOKENS

UPLOAD_PATHS: Final = frozenset({"/api/attachments", "/api/documents", "/api/vision", "/v1/vision"})
"""Routes that take multipart/form-data, too."""

TIME_LIMIT: Final = "hearth.time_limit"
"""Key of the scope: the request's `asyncio.Timeout`."""

_TRIM_ABOVE_BYTES: Final = 32 << 20
_TRIM_AFTER_S: Final = 1.0
STOPPING: Final = "The server is stopping."
# What an honest body may hold: a list of a million tokens, thousands of messages, a hundred schemas. Beyond that
# parsing would keep everybody else waiting for seconds, since parsers hold Python's lock.
MAX_JSON_ITEMS: Final = MAX_TOKENS + 100_000
MAX_JSON_BRANCHES: Final = 100_000  # or one in so many bytes, where a server takes larger bodies than usual
_BYTES_A_BRANCH: Final = 80
_SMALL_BYTES: Final = 64 << 10


class ClientGone(Exception):
    """The connection was closed before its request was complete."""


class Traffic:
    """What the whole server is doing: for the limits on what there is at once, and for its end.

    Attributes:
        in_flight: requests that are being answered.
        body_bytes: of those of their bodies that are large, as far as these have come.
        stopping: no further ones.
    """

    def __init__(self) -> None:
        self.in_flight = 0
        self.body_bytes = 0
        self.stopping = False
        self._largest_bytes = 0  # of `body_bytes` since memory was given back

    @contextmanager
    def request(self) -> Iterator[_Share]:
        """A request, for as long as it is answered."""
        share = _Share(self)
        self.in_flight += 1
        try:
            yield share
        finally:
            self.in_flight -= 1
            self.body_bytes -= share.size_bytes
            if self.in_flight == 0 and self._largest_bytes > _TRIM_ABOVE_BYTES:
                self._largest_bytes = 0
                asyncio.get_running_loop().call_later(_TRIM_AFTER_S, give_memory_back)

    def count(self, size_bytes: int) -> None:
        self.body_bytes += size_bytes
        self._largest_bytes = max(self._largest_bytes, self.body_bytes)

    def cut_off(self) -> bool:
        """Whether a CancelledError of this task is the server's end. If so the task may go on, for its last words."""
        task = asyncio.current_task()
        if not self.stopping or task is None:
            return False
        task.uncancel()
        return True


class Limits:
    """Holds each request to the limits of the settings."""

    def __init__(self, app: ASGIApp, settings: ServerSettings, traffic: Traffic) -> None:
        self._app = app
        self._settings = settings
        self._traffic = traffic
        self._most_branches = max(MAX_JSON_BRANCHES, settings.max_body_bytes // _BYTES_A_BRANCH)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == "/health":
            await self._app(scope, receive, send)
            return
        try:
            self._admit(scope)
            with self._traffic.request() as share:
                await self._limited(scope, receive, send, share)
        except ApiError as error:
            await refuse(error, scope, receive, send)
        except ClientGone:
            pass

    def _admit(self, scope: Scope) -> None:
        # What arrives in one piece is parsed before it is measured.
        size = len(scope["raw_path"]) + len(scope["query_string"])
        size += sum(len(name) + len(value) for name, value in scope["headers"])
        if size > self._settings.max_header_bytes:
            raise ApiError(431, f"The headers are larger than {self._settings.max_header_bytes} bytes.")
        if self._traffic.stopping:
            raise ApiError(503, STOPPING, code="stopping", headers={"connection": "close"})
        if self._traffic.in_flight >= self._settings.max_connections:
            raise ApiError(
                503,
                f"The server is busy with {self._traffic.in_flight} requests, its limit.",
                code="too_many_requests",
                headers={"retry-after": "1"},
            )

    async def _limited(self, scope: Scope, receive: Receive, send: Send, share: _Share) -> None:
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        limit = asyncio.timeout(self._settings.timeout_s)
        try:
            async with limit:
                scope[TIME_LIMIT] = limit
                await self._app(scope, await self._receiver(scope, receive, share), sending)
        except TimeoutError as error:
            if not limit.expired() or started:
                raise
            raise ApiError(
                504, f"The answer took longer than {self._settings.timeout_s:g} seconds.", code="timeout"
            ) from error
        except asyncio.CancelledError:
            if started or not self._traffic.cut_off():
                raise
            raise ApiError(503, STOPPING, code="stopping") from None

    async def _receiver(self, scope: Scope, receive: Receive, share: _Share) -> Receive:
        """What the application reads the body from."""
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return receive
        headers = Headers(scope=scope)
        if "content-encoding" in headers:
            raise ApiError(415, "A compressed body is not taken.", param="content-encoding")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["path"] in UPLOAD_PATHS and kind == "multipart/form-data":
            return _Counted(receive, self._settings, share).receive
        body = await self._read(receive, headers, share)
        if body and kind != "application/json":
            raise ApiError(415, f"The body must be application/json, but is {kind[:100] or 'of no kind'!r}.")
        if len(body) > _SMALL_BYTES:
            await asyncio.to_thread(check_json, body, self._settings.max_json_depth, self._most_branches)
        else:
            check_json(body, self._settings.max_json_depth)
        return _Replayed(body, receive).receive

    async def _read(self, receive: Receive, headers: Headers, share: _Share) -> bytes:
        """The whole body.

        Raises:
            ApiError: too long, too slow, or too much with those of all others. ClientGone.
        """
        most = self._settings.max_body_bytes
        announced = headers.get("content-length", "")
        if announced.isdecimal() and int(announced[:20]) > most:
            raise _too_large(most)
        body = bytearray()
        more = True
        limit = asyncio.timeout(self._settings.body_timeout_s)
        try:
            async with limit:
                while more and len(body) <= most:
                    part, more = await _next_part(receive)
                    share.take(len(part), self._settings)
                    body += part
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise _too_slow(self._settings.body_timeout_s) from error
        if len(body) > most:
            raise _too_large(most)
        return bytes(body)


class _Replayed:
    """Gives a body that was read already, then whatever comes after it: the news that the client is gone."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def receive(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


class _Counted:
    """Passes a long body on piece by piece, no more than is allowed, and none that comes too late."""

    def __init__(self, receive: Receive, settings: ServerSettings, share: _Share) -> None:
        self._receive = receive
        self._settings = settings
        self._share = share
        self._most = settings.max_attachment_bytes
        self._silence_s = settings.body_timeout_s
        self._size = 0
        self._done = False

    async def receive(self) -> Message:
        if self._done:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._silence_s)
        except TimeoutError as error:
            raise _too_slow(self._silence_s) from error
        part = len(message.get("body", b""))
        self._size += part
        self._done = not message.get("more_body", False)
        if self._size > self._most:
            self._done = True
            raise _too_large(self._most)
        self._share.take(part, self._settings)
        return message


class _Share:
    """One request's part of what large bodies may take together. Small ones are taken at all times: their number is
    limited."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._come_bytes = 0
        self.size_bytes = 0

    def take(self, size_bytes: int, settings: ServerSettings) -> None:
        """Counts what has come.

        Raises:
            ApiError: there is no room for it now.
        """
        self._come_bytes += size_bytes
        more = max(0, self._come_bytes - _SMALL_BYTES) - self.size_bytes
        if more > 0 and self._traffic.body_bytes + more > settings.bodies_budget_bytes:
            raise ApiError(
                503,
                "The server holds as many large requests as it may.",
                code="too_many_requests",
                headers={"retry-after": "2", "connection": "close"},
            )
        self.size_bytes += more
        self._traffic.count(more)


def check_json(body: bytes, max_depth: int, max_branches: int = MAX_JSON_BRANCHES) -> None:
    """Refuses JSON that would take long to parse: parsers recurse, and keep everybody else waiting.

    Raises:
        ApiError: it nests deeper than `max_depth`, or holds too many values.
    """
    if len(body) <= _SMALL_BYTES and body.count(b"[") + body.count(b"{") <= max_depth:
        return
    shape = measure(body)
    if shape.depth > max_depth:
        raise ApiError(400, f"The body nests deeper than {max_depth} levels.", code="too_deep")
    if shape.branches > max_branches or shape.items > MAX_JSON_ITEMS:
        raise ApiError(
            400,
            f"The body holds more than {max_branches} names, objects and lists, or {MAX_JSON_ITEMS} values.",
            code="too_many_values",
        )


async def _next_part(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message.get("body", b""), message.get("more_body", False)


def _too_large(most: int) -> ApiError:
    return ApiError(
        413, f"The body is larger than {most} bytes.", code="request_too_large", headers={"connection": "close"}
    )


def _too_slow(seconds: float) -> ApiError:
    return ApiError(
        408,
        f"The body did not come within {seconds:g} seconds.",
        code="body_timeout",
        headers={"connection": "close", "x-should-retry": "false"},
    )
