"""`/v1/models`: what this server can answer with; loading and unloading, which OpenAI's protocol does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from hearth.server.openai.parts import ERRORS

if TYPE_CHECKING:
    from hearth.server.models import ModelCard, Models

router = APIRouter(tags=["models"], responses=ERRORS)


class Model(BaseModel):
    """A model that this server knows. What follows `owned_by` is an extension."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: Literal["hearth"]
    loaded: bool
    context: int | None
    size_bytes: int | None
    template: str | None
    thinking: bool
    tools: bool
    sees: bool
    kind: Literal["text", "encoder", "vision"] | None
    task: str | None


class ModelList(BaseModel):
    """All models that this server knows."""

    object: Literal["list"]
    data: list[Model]


@router.get("/v1/models", response_model=ModelList)
async def list_models(request: Request) -> Any:
    """All models that a request may name."""
    models = _models(request)
    cards = (*models.cards(), *models.adapters(), *models.aliases())
    return {"object": "list", "data": [_model(card) for card in cards]}


@router.get("/v1/models/{model_id:path}", response_model=Model)
async def retrieve_model(model_id: str, request: Request) -> Any:
    """One model."""
    return _found(request, model_id)


@router.post("/v1/models/{model_id:path}/load", response_model=Model)
async def load_model(model_id: str, request: Request) -> Any:
    """Extension: brings a model into memory, so that its first answer need not wait for that."""
    async with _models(request).use_any(model_id) as opened:
        return _found(request, opened.name)


@router.post("/v1/models/{model_id:path}/unload", response_model=Model)
async def unload_model(model_id: str, request: Request) -> Any:
    """Extension: gives a model's memory back, once its running answers have ended."""
    found = _found(request, model_id)
    await _models(request).unload(found["id"])
    return _found(request, found["id"])


def _models(request: Request) -> Models:
    models: Models = request.app.state.models
    return models


def _found(request: Request, model_id: str) -> dict[str, Any]:
    return _model(_models(request).card(model_id))


def _model(card: ModelCard) -> dict[str, Any]:
    return {
        "id": card.id,
        "object": "model",
        "created": card.created,
        "owned_by": "hearth",
        "loaded": card.loaded,
        "context": card.context,
        "size_bytes": card.size_bytes,
        "template": card.template,
        "thinking": card.thinking,
        "tools": card.tools,
        "sees": card.sees,
        "kind": card.kind,
        "task": card.task,
    }
