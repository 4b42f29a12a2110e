"""Conversations: the list, one of them, changes, deleting for good, and files of them out and in."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Any, Literal
from urllib.parse import quote

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request, Response

from hearth.errors import CorruptFile, UsageError
from hearth.server.chatpage.names import known_name
from hearth.server.chatpage.running import RunningAnswers
from hearth.server.chatpage.schema import ERRORS, Change, Listed, NewConversation
from hearth.store import Conversation, Store
from hearth.store.exchange import from_json, to_json, to_markdown

_UNFIT = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')  # for a file's name, on one system or another


def routes(store: Store, running: RunningAnswers) -> APIRouter:
    router = APIRouter(prefix="/api/conversations", tags=["chat page"], responses=ERRORS)

    @router.get("", response_model=Listed)
    async def conversations(
        query: Annotated[str, Query(max_length=1000)] = "",
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        before: Annotated[str | None, Query(max_length=40)] = None,
    ) -> Any:
        """The newest first; with a query those in whose title or messages all its words stand."""
        found, more = await run_sync(lambda: store.conversations(query, limit=limit, before=before))
        return Listed(conversations=found, more=more)

    @router.post("")
    async def create(body: NewConversation) -> Conversation:
        """Begins a conversation."""
        return await run_sync(lambda: store.create(**body.model_dump()))

    @router.post("/import")
    async def bring_in(request: Request) -> Conversation:
        """Takes in what `export` gave as JSON, or what `hearth chat` saved. It gets ids of its own."""
        data = await request.body()
        try:
            return await run_sync(lambda: store.insert(*from_json(data)))
        except CorruptFile as error:  # it is the page's file, not one of Hearth's own
            raise UsageError(error.what, why=error.why, hint=error.hint) from error

    @router.get("/{id}")
    async def conversation(id: str, request: Request) -> Conversation:
        """With the messages of all branches."""
        return await _named_as_now(request, await run_sync(store.conversation, id))

    @router.patch("/{id}")
    async def change(id: str, body: Change, request: Request) -> Conversation:
        """Changes what is given."""
        return await _named_as_now(request, await run_sync(lambda: store.change(id, **body.model_dump())))

    @router.delete("/{id}", status_code=204)
    async def delete(id: str) -> None:
        """Deletes it for good."""
        await running.stop(id)
        await run_sync(store.delete, id)

    @router.get("/{id}/export", response_class=Response)
    async def export(id: str, format: Literal["json", "markdown"] = "json") -> Response:
        """The conversation as a file: JSON with all branches, or the shown one as Markdown."""

        def made() -> tuple[str, str]:
            whole = store.conversation(id)
            text = to_json(whole, store.contents(whole.messages)) if format == "json" else to_markdown(whole)
            return text, whole.title

        text, title = await run_sync(made)
        kind, ending = ("application/json", "json") if format == "json" else ("text/markdown; charset=utf-8", "md")
        name = f"{' '.join(_UNFIT.sub(' ', title).split()).strip(' .')[:80] or 'conversation'}.{ending}"
        disposition = f"attachment; filename=\"conversation.{ending}\"; filename*=UTF-8''{quote(name, safe='')}"
        return Response(text.encode(), media_type=kind, headers={"content-disposition": disposition})

    return router


async def _named_as_now(request: Request, conversation: Conversation) -> Conversation:
    """With the name that its model has in lists."""
    return replace(conversation, model=await run_sync(known_name, request.app.state.models, conversation.model))
