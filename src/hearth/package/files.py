"""What of a site's folder is handed out, and with which headers, whichever server does it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hearth.package.site import BLOBS, LATER

MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}
"""By suffix, whatever this system's own tables say: browsers run no module of another type."""

PAGE_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
"""Of every file of a page that Hearth serves. All that it loads is its own, and nobody puts it in a frame. Those of
opener and embedder let a page compute on several threads (docs/browser.md)."""

SITE_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; font-src 'self';"
    " connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'"
)
"""As the page's own index.html has it. Workers have the policy that their file comes with, so each file has it."""

FOR_EVER: Final = "public, max-age=31536000, immutable"
_NAME: Final = re.compile(rf"{BLOBS}/[0-9a-f]{{64}}|(?:{LATER}/)?\w[\w-]*(?:\.\w+)+", re.ASCII)


@dataclass(frozen=True)
class SiteFile:
    """A file and the headers that it is sent with."""

    path: Path
    headers: Mapping[str, str]


def site_file(folder: Path, name: str) -> SiteFile | None:
    """A file of a site; None where there is none.

    Args:
        name: its address relative to the page; empty: the page itself. What has not the form of such a name is not
            looked for.
    """
    name = name or "index.html"
    if _NAME.fullmatch(name) is None or not _is_file(folder / name):
        return None
    is_chunk = name.startswith(f"{BLOBS}/")
    headers = {
        "content-type": MEDIA_TYPES.get(Path(name).suffix, "application/octet-stream"),
        "cache-control": FOR_EVER if is_chunk else "no-cache",
        "content-security-policy": f"{SITE_POLICY}; frame-ancestors 'none'",
    }
    return SiteFile(folder / name, PAGE_HEADERS | headers)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than the system's names
        return False
