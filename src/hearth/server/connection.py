"""One connection: uvicorn's HTTP/1.1 protocol with limits on time, on connections, and on how long one may hold on.

A client that is answered before its request has come whole is let go: it is told so (`Connection: close`), what it goes
on sending is thrown away for a moment, since one that is cut off in the middle never sees the answer, and then the
connection is closed, whatever still comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from hearth.server.settings import ServerSettings

if TYPE_CHECKING:
    from uvicorn.config import Config

SPARE_CONNECTIONS = 16
"""Above `max_connections`: for those that are told why they are refused."""

BODY_ARRIVES: Final = "hearth.body_arrives"
"""Key of a scope's state: a function that says whether the request's body is still on its way."""

LINGER_S: Final = 2.0
_READ_BYTES: Final = 16 << 10  # at once: a body of one-byte chunks costs some 5 us a chunk, and others wait meanwhile


def connection_class(settings: ServerSettings) -> type[asyncio.Protocol]:
    """The class that uvicorn makes connections of."""

    class Connection(H11Protocol):
        """Closed when the headers of a request take too long, whether they come slowly or not at all."""

        _headers_late: asyncio.TimerHandle | None = None

        def __init__(self, config: Any, server_state: Any, app_state: dict[str, Any], _loop: Any = None) -> None:
            super().__init__(config, server_state, {**app_state, BODY_ARRIVES: self._body_arrives}, _loop)

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
            transport.max_size = _READ_BYTES  # type: ignore[attr-defined]  # asyncio's, undocumented
            lingering = _Lingering(transport, self._is_unfinished, self.loop)
            super().connection_made(cast("asyncio.Transport", lingering))
            self.access_log = False  # uvicorn's has query strings in it, and comes with any handler of its logger
            if len(self.connections) > settings.max_connections + SPARE_CONNECTIONS:
                transport.abort()
                return
            self._watch_headers()

        def data_received(self, data: bytes) -> None:
            if not self.transport.is_closing():
                super().data_received(data)
                self._watch_headers()

        def on_response_complete(self) -> None:
            if self._body_arrives():
                self.transport.close()
            super().on_response_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._unwatch_headers()

        def _body_arrives(self) -> bool:
            return self.conn.their_state is h11.SEND_BODY

        def _is_unfinished(self) -> bool:
            """Whether the client may be in the middle of sending; of what is no HTTP nobody knows the end."""
            return self.conn.their_state in (h11.SEND_BODY, h11.ERROR)

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


class _Lingering:
    """A transport that, while the client is in the middle of sending, first says its own last word and then closes."""

    def __init__(
        self, transport: asyncio.Transport, unfinished: Callable[[], bool], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._transport = transport
        self._unfinished = unfinished
        self._loop = loop
        self._leaving = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._leaving or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        if not self._leaving:
            self._transport.write(data)

    def close(self) -> None:
        if self.is_closing():
            return
        if not self._unfinished():
            self._transport.close()
            return
        self._leaving = True
        self._transport.write_eof()
        self._transport.resume_reading()  # and drop it: `data_received` asks `is_closing`
        self._loop.call_later(LINGER_S, self._transport.abort)


def uvicorn_limits(config: Config, settings: ServerSettings) -> None:
    """What uvicorn itself holds to, behind the application's own limits."""
    config.h11_max_incomplete_event_size = settings.max_header_bytes
    config.timeout_keep_alive = max(1, round(settings.idle_timeout_s))
    config.limit_concurrency = settings.max_connections + SPARE_CONNECTIONS
