"""Calls the application without a network: the same routes, checks and answers for who is in the same process.

`hearth batch` and the replicas of `hearth serve --ray` come in this way.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Scope

_CLIENT: Final = ("127.0.0.1", 0)
_MAX_BUFFERED = 64


@dataclass(frozen=True)
class Answer:
    """A whole answer of the application."""

    status: int
    headers: Headers
    body: bytes


async def call(app: ASGIApp, path: str, body: Mapping[str, Any]) -> Answer:
    """Posts JSON. Cancelling it cancels what the application does."""
    data = json.dumps(body).encode()
    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]
    status, told, parts = 500, Headers(), bytearray()
    messages = exchange(app, http_scope("POST", path, headers), data)
    try:
        async for message in messages:
            if message["type"] == "http.response.start":
                status, told = message["status"], Headers(raw=list(message["headers"]))
            else:
                parts += message.get("body", b"")
    finally:
        await messages.aclose()
    return Answer(status, told, bytes(parts))


def http_scope(method: str, path: str, headers: Iterable[tuple[bytes, bytes]]) -> Scope:
    """What a web server would tell the application of a request from this machine."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": list(headers),
        "client": _CLIENT,
        "server": _CLIENT,
    }


async def exchange(app: ASGIApp, scope: Scope, body: bytes) -> AsyncGenerator[Message, None]:
    """What the application sends for one request, message by message.

    Closing the generator tells the application that its client has left, and cancels it where it does not listen.

    Raises:
        Whatever the application raises.
    """
    asked = False
    gone = asyncio.Event()
    messages: asyncio.Queue[Message] = asyncio.Queue(_MAX_BUFFERED)

    async def receive() -> Message:
        nonlocal asked
        if asked:
            await gone.wait()
            return {"type": "http.disconnect"}
        asked = True
        return {"type": "http.request", "body": body, "more_body": False}

    running = asyncio.ensure_future(app(scope, receive, messages.put))
    try:
        while True:
            waiting = asyncio.ensure_future(messages.get())
            await asyncio.wait({waiting, running}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                yield waiting.result()
                continue
            waiting.cancel()
            while not messages.empty():
                yield messages.get_nowait()
            await running
            return
    finally:
        gone.set()
        if not running.done():
            running.cancel()
            await asyncio.wait({running})
        if not running.cancelled():
            running.exception()  # the caller has it already, or has gone
