"""One of several engines: `Replica`, the whole application with its own models, called through Ray.

What arrives has passed the gateway's guards; the application has the same guards all the same.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from importlib import import_module
from typing import Any

import ray
from starlette.types import Message, Scope

from hearth.server.app import create_app
from hearth.server.inprocess import exchange
from hearth.server.log import configure_log
from hearth.server.models import Models, ModelSettings, model_id
from hearth.server.settings import ServerSettings

log = logging.getLogger("hearth.server")


def stay_on_loopback() -> None:
    """On a Ray of this machine only, has the replica's own gRPC server listen there only.

    Ray Serve opens it on all addresses, and has no setting for it, though calls between actors do not use it. It asks
    for Ray's secret as everything else does, but what need not be reached should not be. Called before it is opened.
    """
    address_of: Any = ray.util.get_node_ip_address  # untyped in Ray
    if address_of() != "127.0.0.1":
        return
    opens = "add_port_to_grpc_server"
    module: Any = import_module("ray.serve._private.replica")
    original = getattr(module, opens)  # a Ray without it is one to look at again
    setattr(module, opens, lambda server, address: original(server, address.replace("[::]", "127.0.0.1")))


class Replica:
    """Args:
    names: the models; each is known, those in `load` are opened before the first request.
    """

    async def __init__(  # type: ignore[misc]  # Ray Serve awaits it
        self, names: Sequence[str], load: Sequence[str], models: ModelSettings, settings: ServerSettings
    ) -> None:
        stay_on_loopback()
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
