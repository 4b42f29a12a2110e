"""Files that go along with a message: of texts what stands in them is kept, pictures are kept as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Final

from anyio.to_thread import run_sync
from fastapi import APIRouter, File, Query, Request, Response, UploadFile

from hearth.errors import CorruptFile, HearthError, Unsupported, UsageError
from hearth.image import PictureFile, identify
from hearth.llm import LLM
from hearth.server.chatpage.extract import check_size, extract, is_picture, own_name
from hearth.server.chatpage.names import known_name
from hearth.server.chatpage.schema import ERRORS, AttachedFile, AttachedText
from hearth.store import Attachment, NotFound, Picture, Store

_PREVIEW = 400
# What a browser shows of it is a picture and nothing else, wherever it is opened.
_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; sandbox",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class UnreadablePicture(UsageError):
    """A picture that is damaged, cut short or larger than any is."""


class UnknownPicture(UsageError):
    """A picture of a kind that is not read here, or not shown by browsers."""


def routes(store: Store) -> APIRouter:
    router = APIRouter(prefix="/api/attachments", tags=["chat page"], responses=ERRORS)
    one_text, one_picture = asyncio.Semaphore(1), asyncio.Semaphore(1)  # each may take a gigabyte

    @router.post("")
    async def attach(
        request: Request,
        file: Annotated[UploadFile, File(description="Text, PDF or a picture.")],
        model: Annotated[str | None, Query(max_length=500)] = None,
    ) -> AttachedFile:
        """Takes the text out of a file, or keeps a picture, and counts its tokens."""
        name, data = file.filename or "file", await file.read()
        if is_picture(data):
            async with one_picture:
                picture = await run_sync(checked_picture, own_name(name), data)
                tokens = await _counted(request, model, lambda llm: picture_tokens(llm, data))
            return _told(await run_sync(lambda: store.add_picture(own_name(name), data, picture, tokens=tokens)))
        async with one_text:
            found = await extract(name, data)
        tokens = await count_tokens(request, model, found.text)
        kept = await run_sync(
            lambda: store.add_attachment(found.name, found.kind, found.text, tokens=tokens, pages=found.pages)
        )
        return _told(kept, found.text[:_PREVIEW])

    @router.get("/{id}")
    async def attachment(id: str) -> AttachedText:
        """An attached file's text; of a picture what is known beside its file."""
        file, content = await run_sync(store.attachment, id)
        return AttachedText(**_fields(file), text=content if isinstance(content, str) else "")

    @router.get("/{id}/picture", response_class=Response)
    async def picture(id: str) -> Response:
        """The file of a picture, as it was attached."""
        file, content = await run_sync(store.attachment, id)
        if file.picture is None or isinstance(content, str):
            raise NotFound(f"The attachment {id!r} is no picture.")
        return Response(content, media_type=file.picture.media_type, headers=_HEADERS)

    @router.delete("/{id}", status_code=204)
    async def delete(id: str) -> None:
        """Deletes a file that has not been sent."""
        await run_sync(store.delete_attachment, id)

    return router


def _fields(file: Attachment) -> dict[str, Any]:
    return asdict(file) | {"picture": file.picture}


def _told(file: Attachment, preview: str = "") -> AttachedFile:
    return AttachedFile(**_fields(file), preview=preview)


def checked_picture(name: str, data: bytes) -> Picture:
    """What a picture is.

    Raises:
        UnreadablePicture, UnknownPicture, UsageError: it cannot be kept and shown; says why.
    """
    check_size(name, data)
    try:
        found: PictureFile = identify(data, repr(name))
    except CorruptFile as error:
        raise UnreadablePicture(error.what, why=error.why, hint=error.hint) from error
    except Unsupported as error:
        raise UnknownPicture(error.what, why=error.why, hint=error.hint) from error
    return Picture(found.media_type, found.height, found.width, len(data))


def picture_tokens(llm: LLM, data: bytes) -> int:
    """Tokens that a picture takes; 0 where the model sees nothing."""
    if not llm.sees:
        return 0
    word = {"type": "text", "text": "?"}
    with_it, without = ([{"type": "image", "image": data}, word], [word])
    one, other = (len(llm.prompt_ids([{"role": "user", "content": content}])) for content in (with_it, without))
    return one - other


async def count_tokens(request: Request, model: str | None, text: str) -> int:
    """Tokens of the text alone; 0 where no model is there to count."""
    return await _counted(request, model, lambda llm: len(llm.tokenize(text, add_special=False)))


async def _counted(request: Request, model: str | None, count: Callable[[LLM], int]) -> int:
    models: Any = request.app.state.models
    try:
        name = await run_sync(known_name, models, model or "")
        async with models.use(name or None) as opened:
            return await run_sync(count, opened.llm)
    except HearthError:
        return 0
