"""The page's own files, as the build of `web/` left them beside this package. Only these: no path is ever opened."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response

from hearth.errors import StorageError
from hearth.package.files import FOR_EVER, MEDIA_TYPES, PAGE_HEADERS

FOLDER: Final = Path(__file__).parent.parent / "page"
# Nothing from elsewhere, no script or style that does not come as a file, no frame around the page. Pictures may also
# be those that the page itself holds: what its owner shows to a model.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' blob:; font-src 'self';"
    " connect-src 'self'; object-src 'none'; worker-src 'none'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
_HASHED: Final = re.compile(r"assets/.+-[\w-]{8}\.\w+")


def routes(folder: Path = FOLDER) -> APIRouter:
    """A route for each file that is there now; `/` is index.html.

    Raises:
        StorageError: the page has not been built.
    """
    if not (folder / "index.html").is_file():
        raise StorageError(
            f"The chat page is not there: {folder} has no index.html.",
            why="This Hearth was installed from sources without its page.",
            hint="Build it: npm ci && npm run build in web/.",
        )
    router = APIRouter(include_in_schema=False)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in MEDIA_TYPES:
            name = path.relative_to(folder).as_posix()
            address = "/" if name == "index.html" else f"/{name}"
            router.add_api_route(address, _file(path, name), methods=["GET", "HEAD"])
    return router


def _file(path: Path, name: str) -> Callable[[Request], Awaitable[Response]]:
    data = path.read_bytes()
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    # A file whose name holds its hash never changes; others are asked for again, and answered briefly.
    cache = FOR_EVER if _HASHED.fullmatch(name) else "no-cache"
    headers = {
        **PAGE_HEADERS,
        "content-security-policy": CONTENT_SECURITY_POLICY,
        "cache-control": cache,
        "etag": tag,
    }

    async def send(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(data, media_type=MEDIA_TYPES[path.suffix], headers=headers)

    return send
