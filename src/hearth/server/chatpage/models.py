"""Which models the page can choose, getting further ones from the hub, and what the server is.

A name that comes from the page is only ever looked up on the hub: it is no path and no address of another place.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request

from hearth.distribution import version
from hearth.server.chatpage.names import hub_name, known_name
from hearth.server.chatpage.pulls import Pulls
from hearth.server.chatpage.schema import (
    ERRORS,
    ModelLines,
    PullLine,
    PullLines,
    Status,
    SuggestedLooking,
    SuggestedModel,
    SuggestedModels,
    Wanted,
)
from hearth.server.chatpage.shelf import Shelf
from hearth.server.chatpage.suggestions import suggested, suggested_looking
from hearth.server.models import Models
from hearth.store import Store

_LEAST_FREE_BYTES = 1 << 20


@dataclass(frozen=True)
class _Here:
    """What belongs to the models of one application."""

    models: Models
    shelf: Shelf
    pulls: Pulls


def routes(store: Store) -> APIRouter:
    router = APIRouter(prefix="/api", tags=["chat page"], responses=ERRORS)
    made: dict[int, _Here] = {}

    def here(request: Request) -> _Here:
        """The application has its models only when it runs."""
        models: Models = request.app.state.models
        if id(models) not in made:
            shelf = Shelf(models)
            made[id(models)] = _Here(models, shelf, Pulls(models, shelf))
        return made[id(models)]

    @router.get("/status", response_model=Status)
    def status(request: Request) -> Any:
        """What this server is; `read_only` where there is no room for further messages."""
        default = request.app.state.models.default
        return Status(version=version(), default_model=default, read_only=not _has_room(store))

    @router.get("/models", response_model=ModelLines)
    async def models(request: Request) -> Any:
        """The models that can be chosen, the default first. `looking`: more will be known of some in a moment."""
        return await here(request).shelf.lines()

    @router.get("/models/suggested", response_model=SuggestedModels)
    async def suggestions(request: Request) -> Any:
        """Models of the hub that suit this machine, the best first."""
        names = [card.id for card in here(request).models.cards()]
        entries = await run_sync(suggested, names)
        return SuggestedModels(
            models=[
                SuggestedModel(
                    name=entry.name,
                    parameters=entry.parameters,
                    download_bytes=entry.download_bytes,
                    memory_bytes=entry.memory_bytes(),
                    good_at=entry.good_at,
                    sees=entry.sees,
                )
                for entry in entries
            ],
            looking=[
                SuggestedLooking(name=entry.name, task=entry.task, download_bytes=entry.download_bytes)
                for entry in suggested_looking(names)
            ],
        )

    @router.post("/models/unload", status_code=204)
    async def unload(body: Wanted, request: Request) -> None:
        """Gives a model's memory back. Answers that it writes are stopped; it is opened again when it is asked."""
        known = here(request).models
        await known.unload(await run_sync(known_name, known, body.name), drain_s=0.0)

    @router.get("/models/pulls", response_model=PullLines)
    async def pulls(request: Request) -> Any:
        """The models on their way, and those that have come or failed since the page took note."""
        return PullLines(pulls=here(request).pulls.lines())

    @router.post("/models/pulls", response_model=PullLine)
    async def pull(body: Wanted, request: Request) -> Any:
        """Begins to download and compile a model, or goes on with it. It goes on whether or not a page is open."""
        return here(request).pulls.begin(await run_sync(hub_name, body.name))

    @router.delete("/models/pulls", status_code=204)
    async def drop(request: Request, name: Annotated[str, Query(max_length=500)]) -> None:
        """Ends a pull, or takes one that has ended off the list. What has come is kept."""
        here(request).pulls.drop(name)

    return router


def _has_room(store: Store) -> bool:
    try:
        free = shutil.disk_usage(store.path.parent).free
    except OSError:
        return False
    return free >= _LEAST_FREE_BYTES and os.access(store.path, os.W_OK)
