"""One of several engines: `Replica`, the whole application with its own models, called through Ray.

What arrives has passed the gateway's guards; the application has the same guards all the same.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence

from starlette.types import Message, Scope

from hearth.server.app import create_app
from hearth.server.inprocess import exchange
from hearth.server.log import configure_log
from hearth.server.models import Models, ModelSettings, model_id
from hearth.server.settings import ServerSettings

log = logging.getLogger("hearth.server")


class Replica:
    """Args:
    names: the models; each is known, those in `load` are opened before the first request.
    """

    async def __init__(  # type: ignore[misc]  # Ray Serve awaits it
        self, names: Sequence[str], load: Sequence[str], models: ModelSettings, settings: ServerSettings
    ) -> None:
        configure_log("warning")  # the gateway's log has every request already
        self._models = Models(names, models)
        self._app = create_app(self._models, settings)
        for name in load:
            await self._models.load(model_id(name))

    async def exchange(self, scope: Scope, body: bytes, *, prefix: tuple[bytes, ...] = ()) -> AsyncIterator[Message]:
        """What the application sends for one request. Closing the stream cancels it within one step.

        Args:
            prefix: read by the router on the way here.
        """
        messages = exchange(self._app, scope, body)
        try:
            async for message in messages:
                yield message
        finally:
            await messages.aclose()

    async def __del__(self) -> None:
        # Ray has let the running requests end before (graceful_shutdown_timeout_s).
        await self._models.close(0.0)
