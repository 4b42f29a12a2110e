"""The private chat page: its files, and the API under `/api` that it speaks, over a `Store`.

The page is served by the same process and asks nobody else. `web/` is where its files are made.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.routing import APIRoute

from hearth.server.chatpage import attachments, conversations, documents, entry, messages, models, sight, static
from hearth.server.chatpage.entry import Entry
from hearth.server.chatpage.running import RunningAnswers
from hearth.store import Store


@dataclass(frozen=True)
class ChatPage:
    """What `create_app` puts into the application.

    Attributes:
        router: all routes of the page.
        public_paths: those that are answered without a key. The page's files hold nothing of anybody's.
    """

    router: APIRouter
    public_paths: frozenset[str]


def chat_page(store: Store, admission: Entry | None = None) -> ChatPage:
    """The page over a store, which stays the caller's to close, after the server has stopped.

    Args:
        admission: gives the page the token that the server wants as its key; None: the server wants none.
    """
    running = RunningAnswers(store)
    router = APIRouter()
    router.include_router(conversations.routes(store, running))
    router.include_router(messages.routes(store, running))
    router.include_router(attachments.routes(store))
    router.include_router(documents.routes(store))
    router.include_router(models.routes(store))
    router.include_router(sight.routes())
    files = static.routes()
    router.include_router(files)
    public = {route.path for route in files.routes if isinstance(route, APIRoute)}
    if admission is not None:
        router.include_router(admission.routes())
        public.add(entry.PATH)
    return ChatPage(router, frozenset(public))


__all__ = ["ChatPage", "Entry", "chat_page"]
