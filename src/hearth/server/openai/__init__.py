"""OpenAI's protocol: `router` has its routes."""

from __future__ import annotations

from fastapi import APIRouter

from hearth.server.openai import chat, completions, embeddings, models, rerank, responses

router = APIRouter()
for part in (chat, completions, responses, embeddings, rerank, models):
    router.include_router(part.router)

__all__ = ["router"]
