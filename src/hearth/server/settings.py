"""What a server is told at its start: `ServerSettings`. Every value is checked here, once, for every caller."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final

from hearth.errors import UsageError
from hearth.server.keys import HINT, ApiKeys

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})

# Setting -> the least and the most that makes sense, and its unit.
_WEB: Final = ("http", "https")
_ORIGIN: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<host>\*|[^\s/*@]+)/?")
_RANGES: Final[dict[str, tuple[float, float, str]]] = {
    "port": (0, 65535, ""),
    "max_body_bytes": (1024, 1 << 30, " bytes"),
    "max_attachment_bytes": (1024, 1 << 30, " bytes"),
    "max_bodies_bytes": (1024, 1 << 40, " bytes"),
    "max_json_depth": (8, 512, " levels"),
    "max_header_bytes": (4096, 1 << 20, " bytes"),
    "max_prompt_tokens": (1, 1 << 24, " tokens"),
    "max_n": (1, 128, " answers"),
    "max_messages": (1, 1 << 16, " messages"),
    "max_tools": (1, 1024, " tools"),
    "max_inputs": (1, 1 << 14, " inputs"),
    "max_connections": (1, 1 << 16, " connections"),
    "timeout_s": (1, 86400, " seconds"),
    "body_timeout_s": (0.1, 3600, " seconds"),
    "header_timeout_s": (0.1, 3600, " seconds"),
    "idle_timeout_s": (0.1, 3600, " seconds"),
    "drain_timeout_s": (0, 3600, " seconds"),
    "keepalive_s": (0.05, 3600, " seconds"),
}


@dataclass(frozen=True)
class ServerSettings:
    """How a server listens, whom it answers, and how much it takes.

    Attributes:
        host, port: where it listens; port 0 is any free one.
        allow_hosts: further names in a Host header that mean this server.
        cors_origins: web pages, extensions and apps (`scheme://host[:port]`, RFC 6454) that may call it from a browser;
            `scheme://*` is all of a scheme that is none of the web's.
        keys: who may use it; empty: everybody who reaches it.
        insecure: may listen beyond this machine without a key.
        max_body_bytes, max_attachment_bytes: of one request; of one with a file.
        max_bodies_bytes: of the large ones among the requests that are being answered, together.
        max_json_depth: objects and lists inside of each other.
        max_header_bytes: request line and headers together.
        max_prompt_tokens: of one request; None: what the context holds.
        max_n, max_messages, max_tools, max_inputs: answers, messages, tools and texts to embed of one request.
        max_connections: open at the same time; further ones are refused.
        timeout_s: from a request's first byte to its answer's last.
        body_timeout_s, header_timeout_s, idle_timeout_s: a body, the headers, the next request on a connection.
        drain_timeout_s: what running answers get when the server stops.
        keepalive_s: a stream that is silent for so long sends a comment.
        log_requests: write what is asked and answered to the log.
        strict_fields: refuse fields of a request that would be ignored with a warning.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    allow_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    keys: ApiKeys = field(default_factory=ApiKeys)
    insecure: bool = False
    max_body_bytes: int = 8 << 20
    max_attachment_bytes: int = 21 << 20
    max_bodies_bytes: int = 128 << 20
    max_json_depth: int = 64
    max_header_bytes: int = 32 << 10
    max_prompt_tokens: int | None = None
    max_n: int = 16
    max_messages: int = 2048
    max_tools: int = 128
    max_inputs: int = 2048
    max_connections: int = 512
    timeout_s: float = 600.0
    body_timeout_s: float = 30.0
    header_timeout_s: float = 10.0
    idle_timeout_s: float = 15.0
    drain_timeout_s: float = 30.0
    keepalive_s: float = 15.0
    log_requests: bool = False
    strict_fields: bool = False

    def __post_init__(self) -> None:
        for name, (least, most, unit) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:  # also refuses NaN
                raise UsageError(f"{name} is {value}{unit}, but must be {least:g} to {most:g}.")
        for name in self.allow_hosts:
            if not name or any(c in name for c in "/*@ ") or name != name.strip():
                raise UsageError(
                    f"--allow-host {name!r} is not a host name.", hint="Give it as it stands in the URL: my-machine.lan"
                )
        for origin in self.cors_origins:
            match = _ORIGIN.fullmatch(origin)
            if match is None or (match["host"] == "*" and match["scheme"].lower() in _WEB):
                raise UsageError(
                    f"--cors-origin {origin!r} is not an origin.",
                    why="It is scheme, host and port, without a path; http://* would open the server to every page.",
                    hint="For example: --cors-origin http://localhost:3000 or app://obsidian.md or vscode-webview://*",
                )
        if not self.is_local and not self.keys and not self.insecure:
            raise UsageError(
                f"Listening on {self.host} lets other machines use this server, and no API key is set.",
                hint="Add --api-key-file FILE (or set HEARTH_API_KEY); --insecure if everybody may use it.",
            )

        if not self.is_local and self.keys.can_be_guessed and not self.insecure:
            raise UsageError(
                f"Listening on {self.host} lets other machines try keys, and one of the API keys can be guessed.",
                why="It has fewer than 16 characters, or fewer than 6 different ones.",
                hint=HINT,
            )

    @property
    def bodies_budget_bytes(self) -> int:
        """`max_bodies_bytes`, but room for a few of the largest."""
        return max(self.max_bodies_bytes, 4 * self.max_body_bytes, 2 * self.max_attachment_bytes)

    def allows_origin(self, origin: str) -> bool:
        """Whether a web page, an extension or an app of this origin may call the server from a browser."""
        return re.fullmatch(self.origin_pattern, origin) is not None

    @property
    def origin_pattern(self) -> str:
        """A regular expression for the origins that may; one for none where there are none."""
        if not self.cors_origins:
            return "(?!)"
        forms = (re.escape(origin.lower().rstrip("/")).replace(r"\*", r"[\w.-]+") for origin in self.cors_origins)
        return f"(?i:{'|'.join(forms)})"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        host = self.host.strip("[]")
        if host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False
