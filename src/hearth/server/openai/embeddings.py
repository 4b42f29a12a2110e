"""`POST /v1/embeddings`: texts as vectors of length 1. Request, answer and route."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from numpy.typing import NDArray
from pydantic import BaseModel, Discriminator, Field, Tag

from hearth.chat.embedding import EmbeddingInput, normalized
from hearth.llm import LLM
from hearth.server import field_tables
from hearth.server.answers import check_limit, check_prompt_tokens, settings_of
from hearth.server.errors import ApiError
from hearth.server.long_lists import long_list
from hearth.server.model_slot import OpenEncoder
from hearth.server.openai.parts import ERRORS
from hearth.server.streaming import until_gone
from hearth.server.wire import WHOLE, ClientBody, ModelName, Text, TokenIds

if TYPE_CHECKING:
    from hearth.server.models import Models, OpenModel

router = APIRouter(tags=["OpenAI"])
MAX_INPUTS = 2048
FilledText = Annotated[Text, Field(min_length=1)]


def _kind(value: Any) -> str:
    """Which of the four forms an input has, by its first element."""
    if isinstance(value, str):
        return "(text)"
    first = value[0] if isinstance(value, list) and value else None
    return {int: "(tokens)", float: "(tokens)", list: "(token lists)"}.get(type(first), "(texts)")


class EmbeddingRequest(ClientBody):
    """The fields of OpenAI's request."""

    rules = field_tables.EMBEDDING
    model: ModelName | None = None
    input: Annotated[
        Annotated[FilledText, Tag("(text)")]
        | Annotated[TokenIds, Tag("(tokens)")]
        | Annotated[list[FilledText], Field(min_length=1, max_length=MAX_INPUTS), Tag("(texts)")]
        | Annotated[list[TokenIds], Field(min_length=1, max_length=MAX_INPUTS), Tag("(token lists)")],
        Discriminator(_kind),
    ]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1, le=1 << 20, description="Must be the model's own."), WHOLE] | None = None

    def inputs(self) -> list[str | list[int]]:
        """One or several: a text or token ids each."""
        if isinstance(self.input, str):
            return [self.input]
        tokens = [one for one in self.input if isinstance(one, int)]
        return [tokens] if tokens else [one for one in self.input if not isinstance(one, int)]


class Embedding(BaseModel):
    """One input's vector."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    """What a request cost."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(BaseModel):
    """The answer."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


@router.post("/v1/embeddings", response_model=Embeddings, responses=ERRORS)
async def create_embeddings(body: EmbeddingRequest, request: Request) -> Any:
    """A vector of each input, made as the model's authors say, of a language model else the mean over its tokens;
    scaled to length 1."""
    settings = settings_of(request)
    inputs = body.inputs()
    check_limit("input", len(inputs), settings.max_inputs)
    models: Models = request.app.state.models
    async with models.use_for_texts(body.model) as opened:
        if isinstance(opened, OpenEncoder):
            embedder = opened.embedder
            _check_dimensions(body.dimensions, (*embedder.info.dimensions, embedder.size))
            prepared = await run_sync(lambda: embedder.prepare(inputs))
            check_prompt_tokens(max(len(one.ids) for one in prepared), settings)
            made = partial(embedder.embed_prepared, prepared, dimensions=body.dimensions)
            vectors = list(map(normalized, await until_gone(request, run_sync(made, abandon_on_cancel=True))))
            counts = [len(one.ids) for one in prepared]
        else:
            llm = opened.llm
            _check_dimensions(body.dimensions, (llm.embedding_size,))
            given = await run_sync(lambda: [llm.prepare_embedding(one) for one in inputs])
            check_prompt_tokens(max(len(one.ids) for one in given), settings)
            vectors = await until_gone(request, _embed(opened, given))
            counts = [len(one.ids) for one in given]
    count = sum(counts)
    return await long_list(
        "data",
        (
            {"object": "embedding", "index": index, "embedding": _encoded(vector, body.encoding_format)}
            for index, vector in enumerate(vectors)
        ),
        object="list",
        model=opened.name,
        usage={"prompt_tokens": count, "total_tokens": count},
    )


def _check_dimensions(wanted: int | None, known: Sequence[int]) -> None:
    if wanted is not None and wanted not in known:
        why = "" if len(known) > 1 else ": this model's vectors are not made to be cut"
        raise ApiError(
            400,
            f"dimensions is not supported, except {', '.join(map(str, known))}{why}.",
            code="unsupported_parameter",
            param="dimensions",
        )


async def _embed(opened: OpenModel, inputs: list[EmbeddingInput]) -> list[NDArray[np.float32]]:
    """Between steps of the engine, one input at a time, so that running answers wait for one at most."""
    vectors = []
    for one in inputs:
        vectors.append(normalized(await opened.worker.call(partial(LLM.embed_prepared, prepared=one))))
    return vectors


def _encoded(vector: NDArray[np.float32], encoding: str | None) -> list[float] | str:
    if encoding == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    numbers: list[float] = vector.tolist()
    return numbers
