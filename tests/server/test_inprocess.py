"""The application called without a network: whole answers, pieces as they come, and an end when the caller leaves."""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.types import Receive, Scope, Send

from hearth.server.inprocess import call, exchange, http_scope


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 201, "headers": [(b"x-path", scope["path"].encode())]})
    await send({"type": "http.response.body", "body": body[:3], "more_body": True})
    await send({"type": "http.response.body", "body": body[3:], "more_body": False})


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise RuntimeError("inside")


def test_an_answer_comes_whole() -> None:
    answer = asyncio.run(call(echo, "/v1/x", {"größe": 1}))
    assert (answer.status, answer.headers["x-path"], json.loads(answer.body)) == (201, "/v1/x", {"größe": 1})


def test_what_the_application_raises_is_raised() -> None:
    with pytest.raises(RuntimeError, match="inside"):
        asyncio.run(call(broken, "/", {}))


def test_a_caller_who_leaves_ends_the_application_where_it_waits() -> None:
    ended: list[str] = []

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def leave() -> None:
        messages = exchange(endless, http_scope("GET", "/", []), b"")
        assert (await anext(messages))["status"] == 200
        await messages.aclose()

    asyncio.run(leave())
    assert ended == ["cancelled"]


def test_a_call_that_is_cancelled_ends_the_application_too() -> None:
    ended: list[str] = []

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        try:
            assert (await receive())["type"] == "http.disconnect"
            ended.append("told")
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def cancel() -> None:
        task = asyncio.create_task(call(waiting, "/", {}))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert len(ended) == 1
