"""The user's documents on the page: added as text or PDF, searched by what is asked, and what is found goes along with
a message as an attached file that names where it is from.

Texts and vectors stay in the store; an encoder makes the vectors.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from functools import partial
from typing import Annotated, Any

import numpy as np
from anyio.to_thread import run_sync
from fastapi import APIRouter, File, Query, Request, UploadFile

from hearth.embedder import Embedder
from hearth.encoding.passages import passages
from hearth.errors import UsageError
from hearth.server.chatpage.attachments import count_tokens
from hearth.server.chatpage.extract import extract
from hearth.server.chatpage.schema import ERRORS, AttachedFile, Sought
from hearth.server.model_slot import OpenEncoder
from hearth.store import Document, Passage, Store

_PASSAGE_TOKENS = 200  # of the encoder: a few sentences
_ROOM_TOKENS = 12  # of a passage's limit: for what a model puts around a text
_MOST_FOUND = 6
_MOST_CHARS = 6000
_CHARS_A_TOKEN = 3  # about; of the context a third is for what is found
_PREVIEW = 400
_AT_ONCE = 256  # passages that are given to the model together


def routes(store: Store) -> APIRouter:
    router = APIRouter(prefix="/api/documents", tags=["chat page"], responses=ERRORS)
    one_at_a_time = asyncio.Semaphore(1)  # as with attachments

    @router.get("")
    async def documents() -> list[Document]:
        """All of them, the newest first."""
        return await run_sync(store.documents.all)

    @router.post("")
    async def add(
        request: Request,
        file: Annotated[UploadFile, File(description="Text or PDF.")],
        model: Annotated[str, Query(max_length=500, description="The encoder that makes vectors of it.")],
    ) -> Document:
        """Takes the text out of a file, keeps it, and makes vectors of its passages."""
        async with one_at_a_time:
            found = await extract(file.filename or "file", await file.read())
            made = await run_sync(partial(store.documents.add, found.name, found.kind, found.text, pages=found.pages))
            try:
                await _index(request, store, model, [made])
            except BaseException:
                await run_sync(store.documents.delete, made.id)
                raise
        return replace(made, model=model)

    @router.delete("/{id}", status_code=204)
    async def delete(id: str) -> None:
        """Deletes a document for good. What was found in it stays in the conversations that have it."""
        await run_sync(store.documents.delete, id)

    @router.post("/found")
    async def find(body: Sought, request: Request) -> AttachedFile | None:
        """What the documents say of a question, as a file to send along with it; null: there are none."""
        known = await run_sync(store.documents.all)
        await _index(request, store, body.encoder, [one for one in known if one.model != body.encoder])
        everything = await run_sync(store.documents.passages, body.encoder)
        if not everything:
            return None
        async with _encoder(request, body.encoder) as embedder:
            best = await run_sync(_best, embedder, body.query, everything)
        text, sources = await run_sync(_text, store, best, _room(request, body.model))
        name = ", ".join(sources)
        tokens = await count_tokens(request, body.model, text)
        kept = await run_sync(partial(store.add_attachment, name, "text", text, tokens=tokens))
        return AttachedFile(**asdict(kept), preview=text[:_PREVIEW])

    return router


@asynccontextmanager
async def _encoder(request: Request, model: str) -> AsyncIterator[Embedder]:
    """The encoder of that name, open. Raises UsageError for a model that makes no vectors."""
    async with request.app.state.models.use_for_texts(model) as opened:
        if not isinstance(opened, OpenEncoder) or opened.embedder.info.task != "embed":
            raise UsageError(
                f"{opened.name} makes no vectors of texts.", hint="Documents are searched with an encoder."
            )
        yield opened.embedder


async def _index(request: Request, store: Store, model: str, documents: Sequence[Document]) -> None:
    """Makes vectors of documents that have none of this model."""
    if not documents:
        return
    async with _encoder(request, model) as embedder:
        for one in documents:
            await run_sync(_make_vectors, store, embedder, model, one.id)


def _make_vectors(store: Store, embedder: Embedder, model: str, id: str) -> None:
    text = store.documents.text(id)
    most = max(16, min(_PASSAGE_TOKENS, embedder.info.max_tokens - _ROOM_TOKENS))
    spans = passages(text, embedder.count_tokens, most)
    made = []
    for begin in range(0, len(spans), _AT_ONCE):
        part = spans[begin : begin + _AT_ONCE]
        vectors = embedder.embed([text[slice(*span)] for span in part], kind=_kind(embedder, "document"), truncate=True)
        made += [(*span, _unit(vector).tobytes()) for span, vector in zip(part, vectors, strict=True)]
    store.documents.set_passages(id, model, made)


def _kind(embedder: Embedder, kind: Any) -> Any:
    """The kind of text, where the model tells kinds apart."""
    return kind if kind in embedder.info.prompts else None


def _unit(vector: Any) -> Any:
    """A vector of length 1, as little-endian f32."""
    return (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype("<f4")


def _best(embedder: Embedder, query: str, everything: Sequence[Passage]) -> list[Passage]:
    """The passages that are nearest to a query, the nearest first."""
    vector = _unit(embedder.embed(query, kind=_kind(embedder, "query"), truncate=True))
    every = np.frombuffer(b"".join(one.vector for one in everything), "<f4").reshape(len(everything), -1)
    order = np.argsort(-(every @ vector), kind="stable")[:_MOST_FOUND]
    return [everything[i] for i in order]


def _room(request: Request, model: str) -> int:
    """Characters for what is found: a third of the context, where that is known."""
    cards = {card.id: card for card in request.app.state.models.cards()}
    context = cards[model].context if model in cards else None
    return _MOST_CHARS if context is None else min(_MOST_CHARS, context * _CHARS_A_TOKEN // 3)


def _text(store: Store, best: Sequence[Passage], room: int) -> tuple[str, list[str]]:
    """The best passages that there is room for, document by document and in order, each under its source; and the
    names of the sources, the best first."""
    taken: list[Passage] = []
    for one in best:
        if taken and sum(other.end - other.begin for other in (*taken, one)) > room:
            break
        taken.append(one)
    sources = list(dict.fromkeys(one.name for one in taken))
    parts = []
    for document in dict.fromkeys(one.document for one in taken):
        text = store.documents.text(document)
        own = sorted((one for one in taken if one.document == document), key=lambda one: one.begin)
        pieces = "\n[...]\n".join(text[one.begin : one.end] for one in own)
        parts.append(f'From "{own[0].name}":\n{pieces}')
    return "\n\n".join(parts), sources
