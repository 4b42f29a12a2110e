"""The packaged page of a model under `/page/`: for a browser, often another machine's, that runs the model itself.

A browser that opens a link sends no API key. Where the server wants keys, the link therefore holds a secret that
follows from the key and opens nothing but these files; it is short enough to be typed on a phone. It stands in no log.
"""

from __future__ import annotations

import hmac
import ipaddress
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from hearth.package import site_file
from hearth.server.errors import ApiError, refuse
from hearth.server.keys import ApiKeys

PATH: Final = "/page/"


class VisitorsPage:
    """A site's files in a server.

    Args:
        folder: of the site.
        keys: the server's; without any the page is at `/page/` for everybody who reaches it.

    Attributes:
        path: where it is: `/page/`, or `/page/SECRET/`.
        router: its routes.
    """

    def __init__(self, folder: Path, keys: ApiKeys) -> None:
        self._folder = folder
        self._secret = keys.derived("page")
        self.path = f"{PATH}{self._secret}/" if self._secret else PATH
        self._files = StaticFiles(directory=folder)
        self.router = APIRouter(include_in_schema=False)
        self.router.add_api_route("/page/{name:path}", self._send, methods=["GET", "HEAD"])

    def covers(self, path: str) -> bool:
        """Whether a path of a request is this page's: such are answered without a key."""
        if not self._secret:
            return path.startswith(PATH)
        given = path.removeprefix(PATH).partition("/")[0] if path.startswith(PATH) else ""
        return hmac.compare_digest(given.encode(), self._secret.encode())

    def without_secret(self, path: str) -> str:
        """A path as it may stand in a log."""
        return f"{PATH}.../{path.removeprefix(self.path)}" if self._secret and self.covers(path) else path

    async def _send(self, request: Request) -> Response:
        path = request.scope["path"]
        if not path.startswith(self.path):
            return RedirectResponse(self.path)  # without the slash, whose files it names would lie elsewhere
        file = site_file(self._folder, path.removeprefix(self.path))
        if file is None:
            raise ApiError(404, "The page has no such file.")
        response = self._files.file_response(file.path, file.path.stat(), request.scope)
        response.headers.update(file.headers)
        return response


class OwnMachine:
    """Lets other machines have the packaged page, and nothing else: the rest is for this machine's own browser."""

    def __init__(self, app: ASGIApp, visitors: VisitorsPage) -> None:
        self._app = app
        self._visitors = visitors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._visitors.covers(scope["path"]) and not _is_from_here(scope):
            error = ApiError(
                403, "This is for the machine itself.", hint="Open the link that was printed for the page."
            )
            await refuse(error, scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_from_here(scope: Scope) -> bool:
    """Whether the other end of the connection is on this machine. Its address is the kernel's word, not a header's."""
    client, server = scope.get("client"), scope.get("server")
    if client is None or server is None:
        return False
    try:
        return client[0] == server[0] or ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False
