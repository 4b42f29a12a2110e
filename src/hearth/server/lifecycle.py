"""A server's life: takes its port, loads its models, opens, answers, and stops without breaking off what it says.

The port is taken first, so that one in use is told before a model is loaded, and opened last. The first SIGTERM or
SIGINT stops it: no new connection, no new answer; running ones may end for `drain_timeout_s`, then they are ended as
their protocol ends an answer. A second one stops it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI

from hearth.errors import AddressInUse, HearthError, UsageError
from hearth.server.connection import connection_class, uvicorn_limits
from hearth.server.settings import ServerSettings

if TYPE_CHECKING:
    from hearth.server.models import Models

log = logging.getLogger("hearth.server")

_CLOSING_S = 3  # beyond the drain: last events are written, connections closed


def take_port(settings: ServerSettings) -> socket.socket:
    """A socket at the settings' address that does not listen yet.

    Raises:
        AddressInUse: another program has the port. UsageError: no such address, or not allowed.
    """
    host, port = settings.host.strip("[]"), settings.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--host {host!r} is no address of this machine.", why=str(error)) from error
    family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    taken = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
    except OSError as error:
        taken.close()
        raise _not_free(host, port, error) from error
    taken.setblocking(False)
    return taken


def _not_free(host: str, port: int, error: OSError) -> HearthError:
    if error.errno == errno.EADDRINUSE:
        return AddressInUse(
            f"Port {port} on {host} is in use.",
            why="Another program, perhaps another Hearth, is listening there.",
            hint=f"Stop it (`hearth ps` shows yours), or take another port: --port {port % 65535 + 1}"
            " (--port 0 is any free one).",
        )
    hint = "Ports below 1024 need rights that a model server should not have." if error.errno == errno.EACCES else ""
    return UsageError(f"Cannot listen on {host}, port {port}.", why=str(error), hint=hint)


def url_of(settings: ServerSettings, taken: socket.socket) -> str:
    """Where a program on this machine finds the server."""
    host, port = taken.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """uvicorn with this life.

    Args:
        app: from `create_app`.
        on_open: called with the URL when the port is open.
    """

    def __init__(
        self,
        app: FastAPI,
        models: Models,
        settings: ServerSettings,
        *,
        on_open: Callable[[str], None] = lambda url: None,
    ) -> None:
        config = uvicorn.Config(
            app,
            http=connection_class(settings),
            ws="none",
            lifespan="on",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=round(settings.drain_timeout_s) + _CLOSING_S,
        )
        uvicorn_limits(config, settings)
        super().__init__(config)
        self._app = app
        self._models = models
        self._settings = settings
        self._on_open = on_open

    @property
    def running(self) -> int:
        """Requests that are being answered."""
        count: int = self._app.state.traffic.in_flight
        return count

    @property
    def drain_timeout_s(self) -> float:
        return self._settings.drain_timeout_s

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing: `serve` takes the signals. uvicorn would raise them again at the end, and so be killed by one."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except OSError as error:  # another program has begun to listen since `take_port`
            await self.lifespan.shutdown()
            raise _not_free(self._settings.host, self._settings.port, error) from error
        for taken in sockets or []:
            self._on_open(url_of(self._settings, taken))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.traffic.stopping = True
        draining = asyncio.create_task(self._models.close(self._settings.drain_timeout_s))
        await super().shutdown(sockets)
        if self.server_state.tasks:  # cancelled now; they may say a last word
            await asyncio.wait(set(self.server_state.tasks), timeout=_CLOSING_S)
        await draining


async def serve(
    server: Server, taken: socket.socket, load: Callable[[], Awaitable[None]], *, signals: bool = True
) -> None:
    """Loads, opens, and answers until a signal comes (or `server.should_exit` is set).

    Args:
        load: opens the models that shall be there from the start.
        signals: answer SIGTERM and SIGINT; only in a process's main thread.
    """
    stopping = _Signals(server) if signals else contextlib.nullcontext()
    try:
        with stopping:
            await load()
            await server.serve(sockets=[taken])
    finally:
        taken.close()


class _Signals:
    """While it lasts: the first signal stops the server, a second one ends the process."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._before: dict[int, object] = {}

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._stop)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what `signal.signal` gave

    def _stop(self, number: int, _: FrameType | None) -> None:
        if not self._server.started or self._server.should_exit:
            log.warning("Stopped at once.")
            logging.shutdown()
            os._exit(128 + number)
        self._server.should_exit = True
        running = self._server.running
        log.info(
            "Stopping. %s",
            f"{running} requests may finish within {self._server.drain_timeout_s:g} s; a second signal stops at once."
            if running
            else "Nothing is running.",
        )
