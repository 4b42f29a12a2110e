"""The private chat page: its files, and the API under `/api` that it speaks, over a `Store`.

The page is served by the same process and asks nobody else. `web/` is where its files are made.
"""

from __future__ import annotations

from fastapi import APIRouter

from hearth.server.chatpage import attachments, conversations, messages, models, static
from hearth.server.chatpage.running import RunningAnswers
from hearth.store import Store


def page_router(store: Store) -> APIRouter:
    """All routes of the page. The store stays the caller's to close, after the server has stopped."""
    running = RunningAnswers(store)
    router = APIRouter()
    router.include_router(conversations.routes(store, running))
    router.include_router(messages.routes(store, running))
    router.include_router(attachments.routes(store))
    router.include_router(models.routes(store))
    router.include_router(static.routes())
    return router


__all__ = ["page_router"]
