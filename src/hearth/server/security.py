"""Who may talk to the server: names it answers to, web pages it refuses, keys it wants.

A server on 127.0.0.1 is reached by every program of this machine, and so by every web page that is open in its
browser. Three checks keep the pages out. A page whose own DNS name is made to point here (DNS rebinding) sends that
name as Host: it is none of ours. A page of another site that sends a request here says so in Origin or in
Sec-Fetch-Site: it is refused, even where it could not read the answer. And JSON is only taken as application/json
(`limits`), which a page cannot send without asking first (CORS), and that is off.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from hearth.server.errors import ApiError, refuse
from hearth.server.settings import LOOPBACK_NAMES, ServerSettings
from hearth.server.visitors import PATH, VisitorsPage

PUBLIC_PATHS: Final = frozenset({"/health"})
"""What is answered without a key: a supervisor asks it."""

_HOST: Final = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[^\[\]:/@\s]+)(?::(?P<port>\d{1,5}))?", re.ASCII)


def host_name(value: str) -> str | None:
    """The name in a Host header or of an origin: lower case, no port, no brackets; None where it is malformed."""
    match = _HOST.fullmatch(value)
    return match["name"].strip("[]").lower().rstrip(".") if match else None


class HostGuard:
    """Refuses requests that came by a name that is not this server's, and those that other web pages sent."""

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app = app
        own = {host_name(name) or name for name in (*settings.allow_hosts, settings.host)}
        self._names = LOOPBACK_NAMES | own - {"0.0.0.0", "::"}  # where it listens, but no name of a machine
        # Rebinding needs a DNS name. A server that others may reach is reached by any of the machine's addresses.
        self._any_address = not settings.is_local
        self._allows_origin = settings.allows_origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            error = self._checked(Headers(scope=scope), scope["scheme"])
            if error is not None:
                await refuse(error, scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _checked(self, headers: Headers, scheme: str) -> ApiError | None:
        host = headers.get("host", "")
        name = host_name(host)
        if name is None or not self._is_own(name):
            return ApiError(
                403,
                f"This server does not answer to the host name {name or ''!r}.",
                code="host_not_allowed",
                hint="Use 127.0.0.1 or localhost, or start the server with --allow-host and that name.",
            )
        origin = headers.get("origin")
        if origin is not None:
            if self._allows_origin(origin) or origin.lower() == f"{scheme}://{host.lower()}":
                return None
            return self._cross_site(origin)
        # Pages send no Origin with a plain GET; browsers say where it comes from all the same.
        site = headers.get("sec-fetch-site", "none")
        return None if site in ("same-origin", "none") else self._cross_site(site)

    def _is_own(self, name: str) -> bool:
        if name in self._names:
            return True
        if not self._any_address:
            return False
        try:
            return not ipaddress.ip_address(name).is_unspecified
        except ValueError:
            return False

    @staticmethod
    def _cross_site(source: str) -> ApiError:
        return ApiError(
            403,
            f"A web page of another site ({source[:100]!r}) may not use this server.",
            code="cross_site",
            hint="Start the server with --cors-origin and the page's origin if it is yours.",
        )


class KeyGuard:
    """Wants one of the keys, as `Authorization: Bearer KEY` (OpenAI's clients) or `x-api-key: KEY` (Anthropic's).

    The chat page sends the token of `hearth app` in the same way. The packaged page has a secret of its own.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: ServerSettings,
        public_paths: frozenset[str] = frozenset(),
        visitors: VisitorsPage | None = None,
    ) -> None:
        self._app = app
        self._keys = settings.keys
        self._public = PUBLIC_PATHS | public_paths
        self._visitors = visitors

    def _is_public(self, path: str) -> bool:
        return path in self._public or (self._visitors is not None and self._visitors.covers(path))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._keys and not self._is_public(scope["path"]):
            error = self._checked(Headers(scope=scope), scope["path"])
            if error is not None:
                await refuse(error, scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _checked(self, headers: Headers, path: str) -> ApiError | None:
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        given = [headers.get("x-api-key", ""), bearer.strip() if kind.lower() == "bearer" else ""]
        if any(self._keys.accepts(key) for key in given if key):
            return None
        message = "This API key is not known here." if any(given) else "This server wants an API key."
        hint = "Send it as Authorization: Bearer KEY or x-api-key: KEY."
        if path.startswith("/api/"):
            message = "This browser may not open these conversations."
            hint = "Open the link that `hearth app` printed."
        elif self._visitors is not None and path.startswith(PATH):
            message = "This link is not known here."
            hint = "Open the link that was printed when Hearth started."
        return ApiError(
            401,
            message,
            code="invalid_api_key",
            hint=hint,
            headers={"www-authenticate": "Bearer"},
        )
