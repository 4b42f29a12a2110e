"""How much a request may be: bytes, nesting, time, and how many at once.

A JSON body is read whole here, under its limits, before anything parses it; a body with files is counted while the
route reads it. The time limit covers the whole request; a stream takes it over (`streaming`), so that it can end with
a last event.
"""

from __future__ import annotations

import asyncio
import re
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hearth.server.errors import ApiError, refuse
from hearth.server.settings import ServerSettings

UPLOAD_PATHS: Final = frozenset({"/api/attachments"})
"""Routes that take multipart/form-data instead of JSON."""

TIME_LIMIT: Final = "hearth.time_limit"
"""Key of the scope: the request's `asyncio.Timeout`."""

STOPPING: Final = "The server is stopping."
_DISCARD_FACTOR = 8
_DISCARD_S = 2.0
# Strings are skipped: a bracket inside of one opens nothing. One that is not closed reaches to the end. Nothing is
# tried twice (possessive), so the time is linear.
_STRUCTURE: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


class ClientGone(Exception):
    """The connection was closed before its request was complete."""


class Traffic:
    """What the whole server is doing: for the limit on requests at once, and for its end.

    Attributes:
        in_flight: requests that are being answered.
        stopping: no further ones.
    """

    def __init__(self) -> None:
        self.in_flight = 0
        self.stopping = False

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == "/health":
            await self._app(scope, receive, send)
            return
        try:
            self._admit(scope)
            self._traffic.in_flight += 1
            try:
                await self._limited(scope, receive, send)
            finally:
                self._traffic.in_flight -= 1
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

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        limit = asyncio.timeout(self._settings.timeout_s)
        try:
            async with limit:
                scope[TIME_LIMIT] = limit
                await self._app(scope, await self._receiver(scope, receive), sending)
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

    async def _receiver(self, scope: Scope, receive: Receive) -> Receive:
        """What the application reads the body from."""
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return receive
        headers = Headers(scope=scope)
        if "content-encoding" in headers:
            raise ApiError(415, "A compressed body is not taken.", param="content-encoding")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["path"] in UPLOAD_PATHS and kind == "multipart/form-data":
            return _Counted(receive, self._settings).receive
        body = await self._read(receive)
        if body and kind != "application/json":
            raise ApiError(415, f"The body must be application/json, but is {kind[:100] or 'of no kind'!r}.")
        check_depth(body, self._settings.max_json_depth)
        return _Replayed(body, receive).receive

    async def _read(self, receive: Receive) -> bytes:
        """The whole body.

        Raises:
            ApiError: too long, or too slow. ClientGone.
        """
        most = self._settings.max_body_bytes
        body = bytearray()
        more = True
        limit = asyncio.timeout(self._settings.body_timeout_s)
        try:
            async with limit:
                while more and len(body) <= most:
                    part, more = await _next_part(receive)
                    body += part
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise _too_slow(self._settings.body_timeout_s) from error
        if len(body) > most:
            body.clear()
            if more:
                await _discard(receive, most * _DISCARD_FACTOR)
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

    def __init__(self, receive: Receive, settings: ServerSettings) -> None:
        self._receive = receive
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
        self._size += len(message.get("body", b""))
        self._done = not message.get("more_body", False)
        if self._size > self._most:
            if not self._done:
                await _discard(self._receive, self._most * _DISCARD_FACTOR)
            self._done = True
            raise _too_large(self._most)
        return message


def check_depth(body: bytes, most: int) -> None:
    """Refuses JSON whose objects and lists stand deeper inside of each other than `most`: parsers recurse.

    Raises:
        ApiError: it is deeper.
    """
    if body.count(b"[") + body.count(b"{") <= most:
        return
    depth = 0
    for match in _STRUCTURE.finditer(body):
        first = body[match.start()]
        if first in b"[{":
            depth += 1
            if depth > most:
                raise ApiError(400, f"The body nests deeper than {most} levels.", code="too_deep")
        elif first in b"]}":
            depth -= 1


async def _next_part(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message.get("body", b""), message.get("more_body", False)


async def _discard(receive: Receive, most: int) -> None:
    """Reads what a client is still sending, for a while: one that is cut off in the middle never sees the answer."""
    try:
        async with asyncio.timeout(_DISCARD_S):
            more = True
            while more and most > 0:
                part, more = await _next_part(receive)
                most -= len(part)
    except TimeoutError:
        pass


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
