"""A batch on this machine: the server's application with one open model, called without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from fastapi import FastAPI

from hearth.batch.lines import MAX_LINE_BYTES
from hearth.prepare import Progress
from hearth.server.app import create_app
from hearth.server.inprocess import Answer, call
from hearth.server.models import Models, ModelSettings, model_id
from hearth.server.settings import ServerSettings

_MAX_WAITING = 1 << 20  # the number of requests in flight bounds it
# Nobody waits at the other end, and the file is the user's own.
_SETTINGS: Final = ServerSettings(timeout_s=86400, max_body_bytes=MAX_LINE_BYTES, max_connections=1 << 16, max_n=128)


@dataclass
class LocalAnswerer:
    """Answers through the application.

    Attributes:
        model: its name in requests.
        concurrency: as many as are computed at once, and as many that wait, so that no place stays empty.
    """

    model: str
    concurrency: int
    fingerprint: str
    _app: FastAPI

    async def answer(self, url: str, body: Mapping[str, Any]) -> Answer:
        return await call(self._app, url, body)


@asynccontextmanager
async def local_answerer(
    model: str, settings: ModelSettings, progress: Callable[[Progress], None] | None = None
) -> AsyncIterator[LocalAnswerer]:
    """Opens the model for as long as the block lasts.

    Raises:
        HearthError: it cannot be opened.
    """
    models = Models([model], replace(settings, max_waiting=_MAX_WAITING))
    app = create_app(models, _SETTINGS)
    try:
        opened = await models.load(model_id(model), progress)
        fingerprint = opened.manifest.source_fingerprint
        yield LocalAnswerer(model_id(model), 2 * settings.max_seqs, fingerprint, app)
    finally:
        await models.close(0.0)
