"""`POST /tokenize` and `POST /detokenize`: what a model makes of a text, and back. Hearth's own routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from hearth.chat.tokenizer import Tokenizer
from hearth.errors import UsageError
from hearth.llm import LLM
from hearth.server import field_tables
from hearth.server.long_lists import long_list
from hearth.server.openai.chat import as_dict
from hearth.server.openai.chat_schema import Message
from hearth.server.openai.parts import ERRORS
from hearth.server.prompts import for_template
from hearth.server.wire import MAX_MESSAGES, ClientBody, ModelName, Text, TokenList

if TYPE_CHECKING:
    from hearth.server.models import Models

router = APIRouter(tags=["tokens"], responses=ERRORS)


class TokenizeRequest(ClientBody):
    """A text, or messages, which are written as the model's chat template writes them."""

    rules = field_tables.TOKENS
    content: Text | None = None
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)] | None = None
    model: ModelName | None = None
    add_special: Annotated[bool, Field(description="With the tokens that the model expects around a text.")] = False
    with_pieces: Annotated[bool, Field(description="Each token with its text.")] = False

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.content is None) == (self.messages is None):
            raise PydanticCustomError("one_of_two", "give either content or messages")
        return self


class TokenPiece(BaseModel):
    """A token and its text; its bytes where these are no text by themselves."""

    id: int
    piece: str | list[int]


class Tokens(BaseModel):
    """The tokens of a text."""

    tokens: list[int] | list[TokenPiece]


class DetokenizeRequest(ClientBody):
    """Token ids."""

    tokens: TokenList
    model: ModelName | None = None


class Content(BaseModel):
    """The text of tokens."""

    content: str


@router.post("/tokenize", response_model=Tokens)
async def tokenize(body: TokenizeRequest, request: Request) -> Any:
    """Token ids of a text or of a conversation."""
    async with _models(request).use(body.model) as opened:
        ids = await run_sync(_ids, opened.llm, body)
        if not body.with_pieces:
            return await long_list("tokens", ids)
        tokenizer = opened.llm.tokenizer
        return await long_list("tokens", ({"id": token, "piece": _piece(tokenizer, token)} for token in ids))


@router.post("/detokenize", response_model=Content)
async def detokenize(body: DetokenizeRequest, request: Request) -> Any:
    """The text of token ids, control tokens written out."""
    async with _models(request).use(body.model) as opened:
        text = await run_sync(lambda: opened.llm.detokenize(_known(opened.llm, body.tokens), skip_special=False))
        return {"content": text}


def _models(request: Request) -> Models:
    models: Models = request.app.state.models
    return models


def _ids(llm: LLM, body: TokenizeRequest) -> Sequence[int]:
    if body.messages is None:
        return llm.tokenize(body.content or "", add_special=body.add_special)
    return llm.prompt_ids(
        for_template([as_dict(message, sees=llm.sees) for message in body.messages], llm.chat_template)
    )


def _piece(tokenizer: Tokenizer, token: int) -> str | list[int]:
    data = tokenizer.token_bytes(token)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return list(data)


def _known(llm: LLM, ids: list[int]) -> list[int]:
    size = llm.info.vocab_size
    unknown = next((token for token in ids if token >= size), None)
    if unknown is not None:
        raise UsageError(f"tokens: {unknown} is no token of this model, which has {size}.")
    return ids
