"""A picture that the page shows to a model that sees. Nothing of it is kept."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from hearth.server import vision
from hearth.server.chatpage.schema import ERRORS


def routes() -> APIRouter:
    router = APIRouter(prefix="/api", tags=["chat page"], responses=ERRORS)

    @router.post("/vision", response_model=vision.VisionAnswer, response_model_exclude_none=True)
    async def look(request: Request) -> Any:
        """What a model sees in a picture: as `/v1/vision`, with errors in the page's form."""
        return await vision.answer(request)

    return router
