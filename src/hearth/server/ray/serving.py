"""Deploys the application on Ray Serve, and serves it until a signal comes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ray import serve
from ray.serve.config import AutoscalingConfig, RequestRouterConfig
from starlette.types import Message, Scope

from hearth.errors import HearthError
from hearth.server.lifecycle import Server, take_port
from hearth.server.lifecycle import serve as serve_until_signal
from hearth.server.models import ModelSettings
from hearth.server.ray.cluster import connected, from_anywhere, shares
from hearth.server.ray.gateway import NoModelsHere, create_gateway
from hearth.server.ray.replica import Replica
from hearth.server.ray.router import PrefixRouter
from hearth.server.settings import ServerSettings

APPLICATION = "hearth"
_UPSCALE_S = 5.0
_DOWNSCALE_S = 300.0  # opening a model costs more than keeping it
_HEALTH_S = 5.0


@dataclass(frozen=True)
class RaySettings:
    """How an application is spread.

    Attributes:
        address: of a running cluster; None: a Ray of its own on this machine.
        replicas: so many engines, or the least and the most.
    """

    address: str | None = None
    replicas: int | tuple[int, int] = 2

    @property
    def most(self) -> int:
        return self.replicas if isinstance(self.replicas, int) else self.replicas[1]


class Handle:
    """The replicas through Ray Serve's handle."""

    def __init__(self, handle: Any) -> None:
        self._exchange = handle.options(method_name="exchange", stream=True)

    def exchange(self, scope: Scope, body: bytes, prefix: tuple[bytes, ...]) -> _Running:
        return _Running(self._exchange.remote(scope, body, prefix=prefix))


class _Running:
    def __init__(self, response: Any) -> None:
        self._response = response

    def __aiter__(self) -> AsyncIterator[Message]:
        stream: AsyncIterator[Message] = self._response.__aiter__()
        return stream

    def cancel(self) -> None:
        self._response.cancel()


def deploy(
    names: Sequence[str], load: Sequence[str], models: ModelSettings, settings: ServerSettings, spread: RaySettings
) -> Handle:
    """Starts the replicas and waits until they are ready. Ray is connected.

    Raises:
        HearthError: they do not start.
    """
    threads, memory_bytes = shares(spread.most, models.threads, models.memory_bytes, local=spread.address is None)
    models = replace(models, threads=threads, memory_bytes=memory_bytes)
    scale: dict[str, Any] = {"num_replicas": spread.replicas}
    if not isinstance(spread.replicas, int):
        least, most = spread.replicas
        scale = {
            "autoscaling_config": AutoscalingConfig(
                min_replicas=least,
                max_replicas=most,
                target_ongoing_requests=models.max_seqs,
                upscale_delay_s=_UPSCALE_S,
                downscale_delay_s=_DOWNSCALE_S,
                look_back_period_s=2 * _UPSCALE_S,
            )
        }
    router: dict[str, Any] = {"request_router_class": PrefixRouter}
    # Ray's own web servers are not started: the gateway is the only door.
    serve.start(proxy_location="Disabled", logging_config={"log_level": "WARNING", "enable_access_log": False})
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    deployment: Any = serve.deployment(
        Replica,
        name="replica",
        max_ongoing_requests=models.max_seqs + models.max_waiting,
        max_queued_requests=models.max_waiting,
        ray_actor_options={"num_cpus": threads},
        request_router_config=RequestRouterConfig(**router),
        graceful_shutdown_timeout_s=settings.drain_timeout_s,
        graceful_shutdown_wait_loop_s=0.5,
        health_check_period_s=_HEALTH_S,
        **scale,
    )
    names, load = [from_anywhere(name) for name in names], [from_anywhere(name) for name in load]
    application = deployment.bind(names, load, models, settings)
    try:
        handle = serve.run(application, name=APPLICATION, route_prefix=None, logging_config={"log_level": "WARNING"})
    except RuntimeError as error:
        raise HearthError("The replicas do not start.", why=str(error), hint="The messages above say more.") from error
    return Handle(handle)


def serve_on_ray(
    names: Sequence[str],
    load: Sequence[str],
    models: ModelSettings,
    settings: ServerSettings,
    spread: RaySettings,
    *,
    on_open: Callable[[str], None],
) -> None:
    """Serves until a signal comes; then running answers may end, and all is taken down.

    Raises:
        HearthError: the port is taken, Ray or the replicas do not start.
    """
    taken = take_port(settings)
    try:
        with connected(spread.address):
            try:
                app = create_gateway(deploy(names, load, models, settings, spread), settings)
                server = Server(app, NoModelsHere(), settings, on_open=on_open)  # type: ignore[arg-type]
                asyncio.run(serve_until_signal(server, taken, _nothing))
            finally:
                serve.delete(APPLICATION)
                if spread.address is None:
                    stop: Any = serve.shutdown  # untyped in Ray
                    stop()
    finally:
        taken.close()


async def _nothing() -> None:
    pass
