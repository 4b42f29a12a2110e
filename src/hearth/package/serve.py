"""A packaged site to look at, or to hand to a phone in the same house: a plain web server, for as long as it is wanted.

Whoever hosts a site for others takes a real one.
"""

from __future__ import annotations

import ipaddress
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hearth.errors import UsageError
from hearth.package.files import SiteFile, site_file


class _Files(SimpleHTTPRequestHandler):
    """The files of a site; of no folder what is in it."""

    protocol_version = "HTTP/1.1"
    _file: SiteFile | None = None
    _is_sent = False

    def __init__(self, *connection: Any, host: str, directory: str) -> None:
        self._host = host.lower()
        super().__init__(*connection, directory=directory)  # answers until the connection ends

    def send_head(self) -> Any:
        if not self._is_own_name():
            self.send_error(403, "Open this page by the IP address of its machine.")
            return None
        self._file = site_file(Path(self.directory), urlsplit(self.path).path.removeprefix("/"))
        if self._file is not None and self.headers["If-Modified-Since"] != self._last_modified(self._file.path):
            # Also where what the browser has is newer: an older site may have been put back.
            del self.headers["If-Modified-Since"]
        return super().send_head()

    def _last_modified(self, file: Path) -> str:
        return self.date_time_string(int(file.stat().st_mtime))

    def _is_own_name(self) -> bool:
        """Whether the Host header is no name that somebody else may have made to point here (DNS rebinding)."""
        try:
            name = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
            if name in ("localhost", self._host):
                return True
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def translate_path(self, path: str) -> str:
        return "" if self._file is None else str(self._file.path)

    def guess_type(self, path: Any) -> str:
        return "" if self._file is None else self._file.headers["content-type"]

    def send_response(self, code: int, message: str | None = None) -> None:
        self._is_sent = code in (200, 304)
        super().send_response(code, message)

    def end_headers(self) -> None:
        headers = self._file.headers if self._file is not None and self._is_sent else {"cache-control": "no-cache"}
        for name, value in headers.items():
            if name != "content-type":
                self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Who looks at the page is nobody's business."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Visitors who leave while something is sent to them are none."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def site_server(folder: Path, host: str, port: int) -> ThreadingHTTPServer:
    """A server of a site's folder that listens; `serve_forever` answers until `shutdown`.

    Args:
        port: 0: any that is free.

    Raises:
        UsageError: the address cannot be had.
    """
    try:
        return _Server((host, port), partial(_Files, host=host, directory=str(folder)))
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"Cannot listen on {host}, port {port}.", why=str(error), hint="Name another with --host, --port."
        ) from error
