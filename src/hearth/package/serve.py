"""A packaged site to look at, or to hand to a phone in the same house: a plain web server, for as long as it is wanted.

Whoever hosts a site for others takes a real one.
"""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from hearth.errors import UsageError
from hearth.package.site import BLOBS

# With these a page may compute on several threads (docs/browser.md).
ISOLATION = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}


class _Files(SimpleHTTPRequestHandler):
    """The files of a folder; of no folder what is in it."""

    protocol_version = "HTTP/1.1"
    # Whatever this system's own tables say: browsers run no module of another type.
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".webmanifest": "application/manifest+json",
    }

    _found = False

    def send_response(self, code: int, message: str | None = None) -> None:
        self._found = code == 200
        super().send_response(code, message)

    def end_headers(self) -> None:
        is_chunk = self._found and self.path.startswith(f"/{BLOBS}/")
        self.send_header("Cache-Control", "public, max-age=31536000, immutable" if is_chunk else "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in ISOLATION.items():
            self.send_header(name, value)
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        """Who looks at the page is nobody's business."""


def site_server(folder: Path, host: str, port: int) -> ThreadingHTTPServer:
    """A server of a site's folder that listens; `serve_forever` answers until `shutdown`.

    Args:
        port: 0: any that is free.

    Raises:
        UsageError: the address cannot be had.
    """
    try:
        return ThreadingHTTPServer((host, port), partial(_Files, directory=str(folder)))
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"Cannot listen on {host}, port {port}.", why=str(error), hint="Name another with --host, --port."
        ) from error
