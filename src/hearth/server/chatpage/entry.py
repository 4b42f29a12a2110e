"""Who may open the page: whoever holds the token, which is kept beside the conversations.

Every program of this machine can connect to 127.0.0.1, and so can those of its other users. The page therefore sends
the token with each request, as clients of the protocols send an API key. It gets it from the link that `hearth app`
prints, whose fragment (`#token=...`) no browser sends to anyone, and keeps it in the storage of its origin. A cookie
would not do: a browser sends the cookies of 127.0.0.1 to every port of it, whoever listens there.

The browser is opened by a command, and all users can read the arguments of commands. What stands there is a ticket
that is good once, for a short time, and only for a program of the user who runs Hearth, where the system can tell.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import socket
import stat
import sys
import time
from pathlib import Path
from typing import Annotated, Final

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from hearth.server.chatpage.schema import ERRORS
from hearth.server.errors import ApiError
from hearth.server.keys import ApiKeys
from hearth.server.wire import Body

log = logging.getLogger("hearth.server")

PATH: Final = "/api/entry"
_FILE: Final = "token"
_TOKEN: Final = re.compile(r"[\w-]{43}", re.ASCII)  # 256 bits
_TICKET_S: Final = 120.0
_SOCKETS: Final = Path("/proc/net/tcp")


class Ticket(Body):
    ticket: Annotated[str, Field(max_length=100)]


class Admitted(BaseModel):
    token: str


class Entry:
    """The token and the tickets that are out.

    Args:
        folder: where the token is kept.
        new: a new token; links from before, and browsers that hold the old one, are refused.
    """

    def __init__(self, folder: Path, *, new: bool = False) -> None:
        self._token = kept_token(folder, new=new)
        self._tickets: dict[str, float] = {}

    @property
    def keys(self) -> ApiKeys:
        return ApiKeys([self._token])

    def link(self, url: str) -> str:
        """What the user opens, now and later."""
        return f"{url}/#token={self._token}"

    def ticket_link(self, url: str) -> str:
        """What the browser is started with."""
        ticket = secrets.token_urlsafe(32)
        self._tickets[ticket] = time.monotonic() + _TICKET_S
        return f"{url}/#ticket={ticket}"

    def redeem(self, ticket: str) -> str | None:
        """The token for a ticket, once."""
        until = self._tickets.pop(ticket, 0.0)
        return self._token if time.monotonic() < until else None

    def routes(self) -> APIRouter:
        router = APIRouter(tags=["chat page"], responses=ERRORS)

        @router.post(PATH)
        async def enter(request: Request, body: Ticket) -> Admitted:
            """Gives the token for a ticket."""
            client, server = request.scope["client"], request.scope["server"]
            token = self.redeem(body.ticket) if await run_sync(is_own_user, client, server) else None
            if token is None:
                raise ApiError(401, "This link was good once.", hint="Open the link that `hearth app` printed.")
            return Admitted(token=token)

        return router


def kept_token(folder: Path, *, new: bool = False) -> str:
    """The token of earlier starts, so that bookmarks go on working.

    A new one if there is none, if `new`, or if others could have read it. Where it cannot be kept it is good for this
    run only.
    """
    path = folder / _FILE
    token = None if new else _read(path)
    if token is not None:
        return token
    token = secrets.token_urlsafe(32)
    fresh = folder / f"{_FILE}.new"
    try:
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{token}\n")
        fresh.replace(path)
    except OSError as error:
        log.warning("The page's token cannot be kept; its link is good for this run only: %s", error)
    return token


def _read(path: Path) -> str | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return None
        if os.name == "posix" and (found.st_uid != os.getuid() or found.st_mode & 0o077):
            return None
        text = os.read(descriptor, 100).decode("ascii", "replace").strip()
    finally:
        os.close(descriptor)
    return text if _TOKEN.fullmatch(text) else None


def is_own_user(client: tuple[str, int], server: tuple[str, int], sockets: Path = _SOCKETS) -> bool:
    """Whether the other end of a connection within 127.0.0.1 is a program of this user, or of the administrator.

    Linux lists the sockets with their owners; where nothing does, it is taken to be one.
    """
    try:
        lines = sockets.read_text().splitlines()[1:]
    except OSError:
        return True
    wanted = [_listed(client), _listed(server)]
    for line in lines:
        fields = line.split()  # sl local_address rem_address st tx:rx tr:when retrnsmt uid ...
        if fields[1:3] == wanted:
            return int(fields[7]) in (0, os.getuid())
    return True


def _listed(address: tuple[str, int]) -> str:
    """As the kernel writes it: the IPv4 address as a number of this machine's byte order, hexadecimal."""
    number = int.from_bytes(socket.inet_aton(address[0]), sys.byteorder)
    return f"{number:08X}:{address[1]:04X}"
