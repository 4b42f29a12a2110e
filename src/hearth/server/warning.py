"""What a request is told beside its answer: one header that names what had no effect, on whole answers and streams.

`Warned` is the layer that begins a list for each request and writes it into the answer's headers; whoever finds
something to tell calls `warn`, in the request's own task or a thread that it started. Without the layer nothing is
kept: a request body can be checked anywhere.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER: Final = "x-hearth-warning"
_MAX_HEADER: Final = 1000
_MAX_NAME: Final = 300
_MAX_NAMES: Final = 200  # of one request; the header holds fewer
_STRANGE: Final = re.compile(r"[^\x20-\x7e]")


@dataclass
class Told:
    """What one request has been told so far.

    Attributes:
        strict: unknown fields are refused instead.
        renamed: fields that were given under another name -> that name, for errors.
    """

    strict: bool = False
    renamed: dict[str, str] = field(default_factory=dict)
    _names: dict[str, dict[str, None]] = field(default_factory=dict)

    def add(self, what: str, name: str) -> None:
        """One more name of what happened to it ("ignored")."""
        names = self._names.setdefault(what, {})
        if len(names) < _MAX_NAMES:
            names[_STRANGE.sub("?", name)[:_MAX_NAME].strip() or "(empty)"] = None

    def header(self) -> str:
        """`ignored: a, b; left out: c`: ASCII of bounded length; "" where there is nothing to tell."""
        text = "; ".join(f"{what}: {', '.join(names)}" for what, names in self._names.items())
        return text if len(text) <= _MAX_HEADER else text[: _MAX_HEADER - 5].rpartition(",")[0] + ", ..."


_TOLD: ContextVar[Told | None] = ContextVar("told", default=None)


def told() -> Told | None:
    """Of the request that is being answered; None outside of any."""
    return _TOLD.get()


def warn(what: str, name: str) -> None:
    """Tells the client of the request that is being answered.

    Args:
        what: happened ("ignored", "left out").
        name: of the field or thing it happened to.
    """
    current = _TOLD.get()
    if current is not None:
        current.add(what, name)


class Warned:
    """Begins the list of a request, and adds the header to whatever answer begins.

    Args:
        strict: unknown fields are refused.
    """

    def __init__(self, app: ASGIApp, *, strict: bool) -> None:
        self._app = app
        self._strict = strict

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        current = Told(self._strict)

        async def sending(message: Message) -> None:
            header = current.header() if message["type"] == "http.response.start" else ""
            if header:
                headers = MutableHeaders(raw=list(message["headers"]))
                headers[HEADER] = header
                message = {**message, "headers": headers.raw}
            await send(message)

        token = _TOLD.set(current)
        try:
            await self._app(scope, receive, sending)
        finally:
            _TOLD.reset(token)
