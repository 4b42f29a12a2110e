"""The outermost layer: each request gets a name, a line in the log, its place in the counters and safe headers.

The line says who, what, how it ended and how long it took: never what was asked or answered, and no query string. What
no other layer has caught ends here as an answer 500.
"""

from __future__ import annotations

import logging
import secrets
import time
from typing import Final

import h11
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hearth.server.connection import BODY_ARRIVES
from hearth.server.errors import ApiError, as_api_error, log_fault, refuse
from hearth.server.limits import ClientGone
from hearth.server.metrics import Metrics
from hearth.server.settings import ServerSettings
from hearth.server.streaming import route_of
from hearth.server.visitors import VisitorsPage

log = logging.getLogger("hearth.server.access")
content_log = logging.getLogger("hearth.server.content")

QUIET_PATHS: Final = frozenset({"/health", "/metrics"})
_MAX_LOGGED = 64 << 10
_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}


class Access:
    """See the module."""

    def __init__(
        self, app: ASGIApp, settings: ServerSettings, metrics: Metrics, visitors: VisitorsPage | None = None
    ) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._visitors = visitors

    def _shown(self, path: str) -> str:
        return _printable(path if self._visitors is None else self._visitors.without_secret(path))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Seen(scope, receive, send, keep=self._settings.log_requests)
        begin = time.perf_counter()
        try:
            _check_framing(scope)
            await self._app(scope, request.receive, request.send)
        except ClientGone:
            pass
        except Exception as error:
            told = as_api_error(error)
            if told.status >= 500:
                log_fault(
                    f"{request.id} {scope['method']} {self._shown(scope['path'])!r}",
                    error,
                    quote=self._settings.log_requests,
                )
            if request.status is not None:
                raise Aborted from None
            await refuse(told, scope, receive, request.send)
        finally:
            self._tell(scope, request, time.perf_counter() - begin)

    def _tell(self, scope: Scope, request: _Seen, seconds: float) -> None:
        route = route_of(scope)
        status = str(request.status or "gone")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(route, method, status).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)
        quiet = scope["path"] in QUIET_PATHS and status == "200"
        client = scope["client"][0] if scope.get("client") else "-"
        log.log(
            logging.DEBUG if quiet else logging.INFO,
            "%s %s %s %s %s %.0f ms",
            request.id,
            client,
            method,
            self._shown(scope["path"]),
            status,
            1e3 * seconds,
        )
        if self._settings.log_requests:
            content_log.info("%s asked: %s", request.id, _text(request.asked))
            content_log.info("%s answered: %s", request.id, _text(request.answered))


class Aborted(Exception):
    """An answer that had begun cannot be finished: the connection is closed. The log has said why."""


_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class _Seen:
    """One request as it passes by."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, keep: bool) -> None:
        self.id = f"req_{secrets.token_hex(8)}"
        self.status: int | None = None
        self.asked = bytearray()
        self.answered = bytearray()
        self._body_arrives = scope.get("state", {}).get(BODY_ARRIVES, lambda: False)
        self._receive = receive
        self._send = send
        self._keep = keep

    async def receive(self) -> Message:
        message = await self._receive()
        if self._keep and len(self.asked) < _MAX_LOGGED:
            self.asked += message.get("body", b"")
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(raw=list(message["headers"]))
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers["x-request-id"] = headers["request-id"] = self.id  # as OpenAI's and Anthropic's clients look for it
            if self._body_arrives():
                headers["connection"] = "close"
            message = {**message, "headers": headers.raw}
        elif self._keep and len(self.answered) < _MAX_LOGGED:
            self.answered += message.get("body", b"")
        try:
            await self._send(message)
        except h11.LocalProtocolError as error:  # it broke HTTP after its headers, and has been told so
            self.status = None
            raise ClientGone from error


def _check_framing(scope: Scope) -> None:
    """Two lengths for one body: a proxy in front may have believed the other one, and takes the rest for a request.

    Raises:
        ApiError: there are two.
    """
    names = {name for name, _ in scope["headers"]}
    if {b"content-length", b"transfer-encoding"} <= names:
        raise ApiError(
            400, "A request has Content-Length or Transfer-Encoding, not both.", headers={"connection": "close"}
        )


def _printable(path: str) -> str:
    """A path cannot write a line of its own into the log, nor fill it."""
    return "".join(c if c.isprintable() and c != " " else "?" for c in path[:200])


def _text(body: bytearray) -> str:
    return repr(bytes(body[:_MAX_LOGGED]).decode("utf-8", "replace"))[1:-1]
