"""The front door of a server on Ray, with replicas that fail as Ray's do. Needs Ray installed, but starts none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.types import Message, Scope

pytest.importorskip("ray.serve")
from ray.exceptions import ActorDiedError
from ray.serve.exceptions import BackPressureError

from hearth.server.inprocess import call, exchange, http_scope
from hearth.server.keys import ApiKeys
from hearth.server.ray.gateway import create_gateway
from hearth.server.settings import ServerSettings

CHAT = "/v1/chat/completions"
BODY = {"model": "m", "messages": []}
Answering = Callable[[], AsyncIterator[Message]]


class Replicas:
    """Answers the first call with the first of these, and so on."""

    def __init__(self, *answers: Answering) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[Scope, bytes]] = []
        self.cancelled = 0

    def exchange(self, scope: Scope, body: bytes, prefix: tuple[bytes, ...]) -> Any:
        self.asked.append((scope, body))
        messages = self._answers.pop(0)()
        replicas = self

        class Running:
            def __aiter__(self) -> AsyncIterator[Message]:
                return messages

            def cancel(self) -> None:
                replicas.cancelled += 1

        return Running()


def start(kind: bytes) -> Message:
    return {"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]}


def piece(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def good() -> AsyncIterator[Message]:
    yield start(b"application/json")
    yield piece(b'{"ok": true}', more=False)


async def lost() -> AsyncIterator[Message]:
    raise ActorDiedError
    yield


async def lost_in_the_middle() -> AsyncIterator[Message]:
    yield start(b"text/event-stream")
    yield piece(b"data: {}\n\n")
    raise ActorDiedError


async def full() -> AsyncIterator[Message]:
    raise BackPressureError(num_queued_requests=1, max_queued_requests=1)
    yield


async def endless() -> AsyncIterator[Message]:
    yield start(b"text/event-stream")
    while True:
        yield piece(b": waiting\n\n")
        await asyncio.sleep(0.01)


def asked(replicas: Replicas, path: str = CHAT, settings: ServerSettings | None = None) -> tuple[int, Any, Any]:
    answer = asyncio.run(call(create_gateway(replicas, settings or ServerSettings()), path, BODY))
    return answer.status, answer.headers, answer.body


def test_a_request_of_which_nothing_was_answered_goes_to_another_replica() -> None:
    replicas = Replicas(lost, lost, good)
    status, headers, body = asked(replicas)
    assert (status, body) == (200, b'{"ok": true}')
    assert headers["x-content-type-options"] == "nosniff"
    assert [json.loads(body) for _, body in replicas.asked] == [BODY] * 3
    assert {scope["path"] for scope, _ in replicas.asked} == {CHAT}


@pytest.mark.parametrize(("path", "end"), [(CHAT, b"data: [DONE]\n\n"), ("/v1/messages", b"}\n\n")])
def test_a_stream_whose_replica_is_lost_ends_with_an_error_in_its_protocols_form(path: str, end: bytes) -> None:
    replicas = Replicas(lost_in_the_middle, good)
    status, _, body = asked(replicas, path)
    assert status == 200
    assert len(replicas.asked) == 1, "an answer that had begun was asked again"
    assert body.startswith(b"data: {}\n\n")
    assert b"The replica that answered was lost." in body
    assert body.endswith(end)


def test_replicas_that_are_all_full_are_answered_with_429() -> None:
    status, headers, body = asked(Replicas(full))
    assert (status, headers["retry-after"]) == (429, "1")
    assert json.loads(body)["error"]["code"] == "queue_full"


def test_replicas_that_stay_lost_are_answered_with_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearth.server.ray.gateway._PAUSE_S", 0.0)
    status, _, body = asked(Replicas(*[lost] * 5))
    assert (status, json.loads(body)["error"]["code"]) == (503, "replica_lost")


def test_the_guards_refuse_before_any_replica_is_asked() -> None:
    replicas = Replicas()
    settings = ServerSettings(keys=ApiKeys(["a-long-secret-key-for-this-test"]))
    assert asked(replicas, settings=settings)[0] == 401
    app = create_gateway(replicas, ServerSettings())

    async def status(headers: list[tuple[bytes, bytes]], body: bytes = b"{}") -> int:
        messages = exchange(app, http_scope("POST", CHAT, headers), body)
        return next(iter([message["status"] async for message in messages if "status" in message]))

    kind = (b"content-type", b"application/json")
    assert asyncio.run(status([(b"host", b"evil.example"), kind])) == 403
    assert asyncio.run(status([(b"host", b"127.0.0.1"), (b"origin", b"https://evil.example"), kind])) == 403
    assert asyncio.run(status([(b"host", b"127.0.0.1"), (b"content-type", b"text/plain")])) == 415
    assert asyncio.run(status([(b"host", b"127.0.0.1"), kind], b"[" * 100)) == 400
    assert replicas.asked == []


def test_a_client_that_leaves_cancels_what_its_replica_computes() -> None:
    replicas = Replicas(endless)
    app = create_gateway(replicas, ServerSettings())

    async def leave() -> None:
        kind = (b"content-type", b"application/json")
        messages = exchange(app, http_scope("POST", CHAT, [(b"host", b"127.0.0.1"), kind]), b"{}")
        await anext(messages)
        await anext(messages)
        await messages.aclose()

    asyncio.run(leave())
    assert replicas.cancelled == 1


def test_a_model_is_not_unloaded_in_one_replica_only() -> None:
    status, _, body = asked(Replicas(), "/v1/models/m/unload")
    assert (status, json.loads(body)["error"]["code"]) == (501, "unsupported")
