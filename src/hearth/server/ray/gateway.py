"""The front door of a server on Ray: the guards, and `Forward`, which passes a request on to a replica.

A replica that dies takes its own streams with it and no others. A request of which nothing was answered yet is given to
another replica; a stream that had begun ends with an error event in its protocol's form.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Final, Protocol, cast

from fastapi import FastAPI
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayActorError, WorkerCrashedError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from hearth.server.app import add_guards, add_own_routes
from hearth.server.errors import ApiError, add_error_handlers, refuse
from hearth.server.limits import STOPPING, Traffic
from hearth.server.metrics import Metrics
from hearth.server.models import ModelCard
from hearth.server.ray.prefix import prompt_blocks
from hearth.server.settings import ServerSettings
from hearth.server.streaming import stream_error

_TRIES = 5
_PAUSE_S = 0.2
_LOST = (ActorDiedError, ActorUnavailableError, RayActorError, WorkerCrashedError)
# Of the scope, what can travel and what a replica needs to know.
_CARRIED: Final = frozenset(
    {"type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string", "root_path", "headers"}
    | {"client", "server"}
)


class Stream(Protocol):
    """A running call of a replica, as Ray Serve's handle gives it."""

    def __aiter__(self) -> AsyncIterator[Message]: ...
    def cancel(self) -> None: ...


class Replicas(Protocol):
    """The replicas.

    Raises (while streaming):
        One of Ray's errors.
    """

    def exchange(self, scope: Scope, body: bytes, prefix: tuple[bytes, ...]) -> Stream: ...


class NoModelsHere:
    """What the routes and counters of a server ask of its models, where these are in the replicas."""

    def cards(self) -> list[ModelCard]:
        return []

    async def close(self, drain_s: float) -> None:
        pass


def create_gateway(replicas: Replicas, settings: ServerSettings) -> FastAPI:
    """The application of the front door."""
    app = FastAPI(title="Hearth", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.models = models = NoModelsHere()
    app.state.settings = settings
    app.state.metrics = Metrics(cast(Any, models))
    app.state.traffic = Traffic()
    add_error_handlers(app)
    add_own_routes(app)

    @app.post("/v1/models/{model_id:path}/{action}")
    async def change(model_id: str, action: str) -> None:
        raise ApiError(501, "On Ray, each replica keeps the models that it was started with.", code="unsupported")

    app.mount("/", Forward(replicas, app.state.traffic))
    add_guards(app, settings)
    return app


class Forward:
    """An application that has others answer."""

    def __init__(self, replicas: Replicas, traffic: Traffic) -> None:
        self._replicas = replicas
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _whole(receive)
        answer = _Answer(scope, send)
        working = asyncio.create_task(self._answer(scope, body, answer))
        gone = asyncio.create_task(_disconnect(receive))
        try:
            await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        except asyncio.CancelledError:
            if not self._traffic.cut_off():
                raise
            await _cancelled(working)
            await answer.fail(ApiError(503, STOPPING, code="stopping"))
        finally:
            await _cancelled(working)
            await _cancelled(gone)

    async def _answer(self, scope: Scope, body: bytes, answer: _Answer) -> None:
        portable = {key: value for key, value in scope.items() if key in _CARRIED}
        # Mounted applications find the path of their mount taken off.
        portable["path"], portable["root_path"] = scope["path"], ""
        blocks = prompt_blocks(scope["path"], body)
        for attempt in range(1, _TRIES + 1):
            stream = self._replicas.exchange(portable, body, blocks)
            try:
                async for message in stream:
                    await answer.send(message)
                return
            except BackPressureError:
                full = "All replicas are busy, and the queue before them is full."
                await answer.fail(
                    ApiError(429, full, type="rate_limit_error", code="queue_full", headers={"retry-after": "1"})
                )
                return
            except DeploymentUnavailableError:
                await answer.fail(ApiError(503, "No replica can be started.", code="unavailable"))
                return
            except _LOST:
                if answer.started or attempt == _TRIES:
                    await answer.fail(ApiError(503, "The replica that answered was lost.", code="replica_lost"))
                    return
                await asyncio.sleep(_PAUSE_S * attempt)
            finally:
                with contextlib.suppress(Exception):  # it has ended already, or its replica is gone
                    stream.cancel()


class _Answer:
    """What the client has been sent so far."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._is_stream = False
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            kind = Headers(raw=list(message["headers"])).get("content-type", "")
            self._is_stream = kind.startswith("text/event-stream")
        await self._send(message)

    async def fail(self, error: ApiError) -> None:
        """Ends it in the protocol's form: with a status, or with a last event."""
        if not self.started:
            await refuse(error, self._scope, _nothing, self._send)
        elif self._is_stream:
            last = _last_events(self._scope["path"], error)
            await self._send({"type": "http.response.body", "body": last, "more_body": False})
        else:
            raise error


def _last_events(path: str, error: ApiError) -> bytes:
    event = stream_error(path, error)
    data = b"data: " + json.dumps(event).encode() + b"\n\n"
    if path in ("/v1/messages", "/v1/responses"):  # whose events have names
        return f"event: {event['type']}\n".encode() + data
    return data + b"data: [DONE]\n\n"


async def _whole(receive: Receive) -> bytes:
    """The body, which the limits have read and measured already."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return bytes(body)
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


async def _cancelled(task: asyncio.Task[Any]) -> None:
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.exception()
