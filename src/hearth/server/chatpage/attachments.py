"""Files that go along with a message: their text is taken out and kept, they themselves are not."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, File, Query, Request, UploadFile

from hearth.errors import HearthError
from hearth.server.chatpage.extract import extract
from hearth.server.chatpage.names import known_name
from hearth.server.chatpage.schema import ERRORS, AttachedFile, AttachedText
from hearth.store import Store

_PREVIEW = 400


def routes(store: Store) -> APIRouter:
    router = APIRouter(prefix="/api/attachments", tags=["chat page"], responses=ERRORS)
    one_at_a_time = asyncio.Semaphore(1)  # a PDF file may take a gigabyte

    @router.post("")
    async def attach(
        request: Request,
        file: Annotated[UploadFile, File(description="Text or PDF.")],
        model: Annotated[str | None, Query(max_length=500)] = None,
    ) -> AttachedFile:
        """Takes the text out of a file and counts its tokens."""
        async with one_at_a_time:
            found = await extract(file.filename or "file", await file.read())
        tokens = await count_tokens(request, model, found.text)
        kept = await run_sync(
            lambda: store.add_attachment(found.name, found.kind, found.text, tokens=tokens, pages=found.pages)
        )
        return AttachedFile(**asdict(kept), preview=found.text[:_PREVIEW])

    @router.get("/{id}")
    async def attachment(id: str) -> AttachedText:
        """An attached file's text."""
        file, text = await run_sync(store.attachment, id)
        return AttachedText(**asdict(file), text=text)

    @router.delete("/{id}", status_code=204)
    async def delete(id: str) -> None:
        """Deletes a file that has not been sent."""
        await run_sync(store.delete_attachment, id)

    return router


async def count_tokens(request: Request, model: str | None, text: str) -> int:
    """Tokens of the text alone; 0 where no model is there to count."""
    models: Any = request.app.state.models
    try:
        name = await run_sync(known_name, models, model or "")
        async with models.use(name or None) as opened:
            return len(await run_sync(lambda: opened.llm.tokenize(text, add_special=False)))
    except HearthError:
        return 0
