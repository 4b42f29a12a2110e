"""One connection: uvicorn's HTTP/1.1 protocol with a time limit for headers and a limit on how many are open."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from hearth.server.settings import ServerSettings

if TYPE_CHECKING:
    from uvicorn.config import Config

SPARE_CONNECTIONS = 16
"""Above `max_connections`: for those that are told why they are refused."""


def connection_class(settings: ServerSettings) -> type[asyncio.Protocol]:
    """The class that uvicorn makes connections of."""

    class Connection(H11Protocol):
        """Closed when the headers of a request take too long, whether they come slowly or not at all."""

        _headers_late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
            super().connection_made(transport)
            self.access_log = False  # uvicorn's has query strings in it, and comes with any handler of its logger
            if len(self.connections) > settings.max_connections + SPARE_CONNECTIONS:
                transport.abort()
                return
            self._watch_headers()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch_headers()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._unwatch_headers()

        def _watch_headers(self) -> None:
            """The limit runs from the first moment in which a request may begin until its headers are complete."""
            if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
                self._unwatch_headers()
            elif self._headers_late is None:
                self._headers_late = self.loop.call_later(settings.header_timeout_s, self._close_late)

        def _unwatch_headers(self) -> None:
            if self._headers_late is not None:
                self._headers_late.cancel()
                self._headers_late = None

        def _close_late(self) -> None:
            self._headers_late = None
            if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
                self.transport.close()

    return cast("type[asyncio.Protocol]", Connection)


def uvicorn_limits(config: Config, settings: ServerSettings) -> None:
    """What uvicorn itself holds to, behind the application's own limits."""
    config.h11_max_incomplete_event_size = settings.max_header_bytes
    config.timeout_keep_alive = max(1, round(settings.idle_timeout_s))
    config.limit_concurrency = settings.max_connections + SPARE_CONNECTIONS
