"""Which models the page can choose, getting further ones from the hub, and what the server is.

A name that comes from the page is only ever looked up on the hub: it is no path and no address.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from hearth.distribution import version
from hearth.hub.names import LocalPath, parse, parse_hub_name
from hearth.prepare import Progress
from hearth.server.chatpage.schema import ERRORS, ModelLine, ModelLines, Status, Wanted
from hearth.server.models import Models, OpenModel
from hearth.server.streaming import sse
from hearth.store import Store

_EVERY_S = 0.25  # between two events of progress
_LEAST_FREE_BYTES = 1 << 20


def routes(store: Store) -> APIRouter:
    router = APIRouter(prefix="/api", tags=["chat page"], responses=ERRORS)
    pulls: dict[str, _Pull] = {}

    @router.get("/status", response_model=Status)
    def status(request: Request) -> Any:
        """What this server is; `read_only` where there is no room for further messages."""
        return Status(version=version(), default_model=_models(request).default, read_only=not _has_room(store))

    @router.get("/models", response_model=ModelLines)
    async def models(request: Request) -> Any:
        """The models that can be chosen, the default first."""
        return ModelLines(
            models=[
                ModelLine(
                    name=card.id,
                    loaded=card.loaded,
                    context=card.context,
                    size_bytes=card.size_bytes,
                    thinking=card.thinking,
                    tools=card.tools,
                )
                for card in _models(request).cards()
            ]
        )

    @router.post("/models/pull", response_class=StreamingResponse)
    async def pull(body: Wanted, request: Request) -> Response:
        """Downloads, compiles and opens a model, as server-sent events: progress ..., done. A page that goes away
        does not end it, and one that asks again is told how far it is."""
        name = hub_name(body.name)
        if name not in pulls or pulls[name].task.done():
            pulls[name] = _Pull(_models(request), name)
        return sse(pulls[name].events(), limited=False)

    return router


def hub_name(name: str) -> str:
    """What opens this model of the hub, whatever files lie on this disk.

    Raises:
        ModelNotFound: it is no name that a model on the hub can have.
    """
    plain = str(parse_hub_name(name))
    return f"hf:{plain}" if isinstance(parse(plain), LocalPath) else plain


class _Pull:
    """A model on its way from the hub. Goes on whether or not somebody watches."""

    def __init__(self, models: Models, name: str) -> None:
        self._name = name
        self._models = models
        self._latest: Progress | None = None
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> OpenModel:
        # It goes by the name that it has after the next start, too: of a repository of GGUF files, that of one of them.
        name = hub_name(await self._models.fetch(self._name, self._tell))
        was_known = any(card.id == name for card in self._models.cards())
        self._models.add(name)
        try:
            return await self._models.load(name, self._tell)
        except BaseException:
            if not was_known:
                self._models.forget(name)
            raise

    def _tell(self, progress: Progress) -> None:
        self._latest = progress  # from another thread; only the latest one counts

    async def events(self) -> AsyncGenerator[dict[str, Any]]:
        told: Progress | None = None
        while True:
            await asyncio.wait({self.task}, timeout=_EVERY_S)
            now = self._latest
            if now is not None and now is not told:
                told = now
                yield {"type": "progress", "stage": now.stage, "label": now.label, "done": now.done, "total": now.total}
            if self.task.done():
                opened = self.task.result()
                yield {"type": "done", "name": opened.name}
                return


def _models(request: Request) -> Models:
    models: Models = request.app.state.models
    return models


def _has_room(store: Store) -> bool:
    try:
        free = shutil.disk_usage(store.path.parent).free
    except OSError:
        return False
    return free >= _LEAST_FREE_BYTES and os.access(store.path, os.W_OK)
