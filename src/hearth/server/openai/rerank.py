"""`POST /v1/rerank`: documents by how well they answer a query, as Jina, Cohere, llama.cpp's server and vLLM have it.
Request, answer and route."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from hearth.chat.embedding import EmbeddingInput
from hearth.chat.ranking import Ranker
from hearth.checkpoint.task import Task
from hearth.embedder import Ranked, ranked
from hearth.llm import LLM
from hearth.server import field_tables
from hearth.server.answers import check_limit, check_prompt_tokens, settings_of
from hearth.server.errors import ApiError
from hearth.server.model_slot import OpenEncoder
from hearth.server.openai.parts import ERRORS
from hearth.server.streaming import until_gone
from hearth.server.wire import WHOLE, ClientBody, ModelName, Text

if TYPE_CHECKING:
    from hearth.server.models import Models, OpenModel

router = APIRouter(tags=["OpenAI"])
MAX_DOCUMENTS = 2048
FilledText = Annotated[Text, Field(min_length=1)]


class TextDocument(BaseModel):
    """A document as an object."""

    text: FilledText


class RerankRequest(ClientBody):
    """The fields of a request."""

    rules = field_tables.RERANK
    model: ModelName | None = None
    query: FilledText
    documents: Annotated[list[FilledText | TextDocument], Field(min_length=1, max_length=MAX_DOCUMENTS)]
    top_n: Annotated[int, Field(ge=1, description="Only so many, the best."), WHOLE] | None = None
    return_documents: bool | None = None

    def texts(self) -> list[str]:
        return [one if isinstance(one, str) else one.text for one in self.documents]


class RankedDocument(BaseModel):
    """One document's place."""

    index: int
    relevance_score: float
    document: TextDocument | None = None


class RerankUsage(BaseModel):
    """What a request cost."""

    prompt_tokens: int
    total_tokens: int


class RerankAnswer(BaseModel):
    """The answer, the best document first."""

    object: Literal["list"]
    model: str
    results: list[RankedDocument]
    usage: RerankUsage


@router.post("/v1/rerank", response_model=RerankAnswer, response_model_exclude_none=True, responses=ERRORS)
@router.post("/v1/reranking", response_model=RerankAnswer, response_model_exclude_none=True, include_in_schema=False)
async def rerank(body: RerankRequest, request: Request) -> Any:
    """Documents by how well they answer a query; the model is a reranker (a cross encoder)."""
    settings = settings_of(request)
    texts = body.texts()
    check_limit("documents", len(texts), settings.max_inputs)
    models: Models = request.app.state.models
    async with models.use_for_texts(body.model) as opened:
        if isinstance(opened, OpenEncoder):
            embedder = opened.embedder
            pairs = await run_sync(lambda: embedder.prepare_pairs(body.query, texts))
            counts = [len(pair.ids) for pair in pairs]
            check_prompt_tokens(max(counts), settings)
            found = await until_gone(
                request, run_sync(partial(embedder.rerank_prepared, pairs), abandon_on_cancel=True)
            )
        else:
            ranker = opened.llm.ranker
            if ranker is None:
                raise ApiError(400, f"{opened.name} ranks no documents: it is a language model.", param="model")
            adapter = opened.llm.adapter
            given = await run_sync(lambda: [replace(ranker.pair(body.query, text), adapter=adapter) for text in texts])
            counts = [len(pair.ids) for pair in given]
            check_prompt_tokens(max(counts), settings)
            found = await until_gone(request, _ranked(opened, ranker, given))
    count = sum(counts)
    results = [
        {"index": one.index, "relevance_score": one.score}
        | ({"document": {"text": texts[one.index]}} if body.return_documents else {})
        for one in found[: body.top_n]
    ]
    return {
        "object": "list",
        "model": opened.name,
        "results": results,
        "usage": {"prompt_tokens": count, "total_tokens": count},
    }


async def _ranked(opened: OpenModel, ranker: Ranker, pairs: list[EmbeddingInput]) -> list[Ranked]:
    """Between steps of the engine, one pair at a time, so that running answers wait for one at most."""
    logits = []
    for one in pairs:
        logits.append(await opened.worker.call(partial(LLM.embed_prepared, prepared=one, maker=ranker.maker)))
    return ranked(logits, Task("classify", ("score",), ranker.pairs.scores))
