"""Runs the real server in a thread, as `hearth serve` runs it in a process."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
from fastapi import FastAPI

from hearth.server.app import create_app
from hearth.server.chatpage import ChatPage
from hearth.server.lifecycle import Server, serve, take_port
from hearth.server.settings import ServerSettings
from hearth.server.visitors import VisitorsPage


class NoModels:
    """For tests of what happens before any model is asked."""

    def cards(self) -> list[Any]:
        return []

    def aliases(self) -> list[Any]:
        return []

    def adapters(self) -> list[Any]:
        return []

    def opened(self) -> list[Any]:
        return []

    async def load(self, name: str) -> None:
        raise AssertionError("there is none")

    async def close(self, drain_s: float) -> None:
        pass


@dataclass
class Running:
    """A server that answers.

    Attributes:
        url: without a slash at its end.
        port: the same, for sockets.
        http: a client of it.
        stop: ends it as a signal would and waits; what the server raised is raised.
    """

    url: str
    port: int
    app: FastAPI
    models: Any
    server: Server
    http: httpx.Client
    stop: Callable[[], None]

    def metric(self, name: str, **labels: str) -> float:
        value = self.app.state.metrics.registry.get_sample_value(name, labels)
        return 0.0 if value is None else value

    def raw(self, data: bytes, *, timeout_s: float = 10) -> bytes:
        """Sends bytes over a connection of its own and returns all that comes until it is closed or silent."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s) as connection:
            connection.sendall(data)
            return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except (TimeoutError, ConnectionResetError):
        pass
    return b"".join(parts)


@contextmanager
def running(
    models: Any = None,
    settings: ServerSettings | None = None,
    *,
    load: Sequence[str] = (),
    page: ChatPage | None = None,
    visitors: VisitorsPage | None = None,
    routes: Callable[[FastAPI], None] = lambda app: None,
    **changed: Any,
) -> Iterator[Running]:
    """A server on a free port, for as long as the block lasts.

    Args:
        page: the chat page, as `hearth app` serves it.
        visitors: the packaged page, as `--page` serves it.
        routes: adds further routes.
        **changed: settings.
    """
    settings = settings or replace(ServerSettings(port=0, drain_timeout_s=2), **changed)
    models = models or NoModels()
    app = create_app(models, settings, page=page, visitors=visitors)
    routes(app)
    taken = take_port(settings)
    opened = threading.Event()
    failed: list[BaseException] = []
    urls: list[str] = []

    def on_open(url: str) -> None:
        urls.append(url)
        opened.set()

    server = Server(app, models, settings, on_open=on_open)

    async def load_all() -> None:
        for name in load:
            await models.load(name)

    def run() -> None:
        try:
            asyncio.run(serve(server, taken, load_all, signals=False))
        except BaseException as error:
            failed.append(error)
        finally:
            opened.set()

    thread = threading.Thread(target=run, name="server under test", daemon=True)

    def stop() -> None:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive(), "the server does not stop"
        if failed:
            raise failed[0]

    thread.start()
    assert opened.wait(300), "the server does not start"
    if failed:
        raise failed[0]
    with httpx.Client(base_url=urls[0], timeout=60, trust_env=False) as http:
        try:
            yield Running(urls[0], int(urls[0].rsplit(":", 1)[1]), app, models, server, http, stop)
        finally:
            stop()
