"""Routes without `/v1`, as some clients and other servers have them: `/chat/completions` is `/v1/chat/completions`."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

_PATHS: Final = frozenset(
    {"/chat/completions", "/completions", "/responses", "/embeddings", "/models", "/messages", "/messages/count_tokens"}
    | {"/responses/input_tokens", "/rerank", "/reranking", "/vision"}
)


class WithoutPrefix:
    """Gives the short paths their full ones before anything looks at them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (scope["path"] in _PATHS or scope["path"].startswith("/models/")):
            path = "/v1" + scope["path"]
            scope = {**scope, "path": path, "raw_path": b"/v1" + scope.get("raw_path", scope["path"].encode())}
        await self._app(scope, receive, send)
