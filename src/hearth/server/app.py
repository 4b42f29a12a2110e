"""The application: `create_app` puts the routes together and the layers around them.

Outside in: `access` (log, counters, safe headers), `unprefixed` (short names of routes), `security` (names, other web
pages), CORS for pages that are allowed, `security` (keys), `limits` (size, nesting, time), `warning` (what a request is
told), then the routes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.middleware.cors import CORSMiddleware

from hearth.distribution import version
from hearth.server import anthropic, openai, tokens, vision
from hearth.server.access import Access
from hearth.server.errors import add_error_handlers
from hearth.server.limits import Limits, Traffic
from hearth.server.metrics import CONTENT_TYPE, Metrics
from hearth.server.model_card import ModelCard
from hearth.server.security import HostGuard, KeyGuard
from hearth.server.settings import ServerSettings
from hearth.server.unprefixed import WithoutPrefix
from hearth.server.visitors import OwnMachine
from hearth.server.warning import HEADER, Warned

if TYPE_CHECKING:
    from hearth.server.chatpage import ChatPage
    from hearth.server.models import Models
    from hearth.server.visitors import VisitorsPage

_ABOUT = "A private model server: OpenAI's and Anthropic's protocols on your own machine."


def create_app(
    models: Models, settings: ServerSettings, *, page: ChatPage | None = None, visitors: VisitorsPage | None = None
) -> FastAPI:
    """The server's application.

    Routes find `models`, `settings`, `metrics` and `traffic` in `request.app.state`.

    Args:
        page: the private chat page (`hearth app`); None: a server without one.
        visitors: the packaged page (`--page`). Beside a private chat page it is all that other machines get.
    """
    # FastAPI's own pages of documentation load scripts from elsewhere; the document itself is served.
    app = FastAPI(
        title="Hearth", version=version(), description=_ABOUT, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.state.models = models
    app.state.settings = settings
    app.state.metrics = Metrics(models)
    app.state.traffic = Traffic()
    add_error_handlers(app)
    for protocol in (openai, anthropic, tokens, vision):
        app.include_router(protocol.router)
    add_own_routes(app)
    app.add_middleware(Warned, strict=settings.strict_fields)  # the innermost layer: also of a replica
    _add_document(app)
    if page is not None:
        app.include_router(page.router)
    if visitors is not None:
        app.include_router(visitors.router)
        if page is not None:
            app.add_middleware(OwnMachine, visitors=visitors)
    public_paths = page.public_paths if page is not None else frozenset()
    add_guards(app, settings, public_paths=public_paths, visitors=visitors)
    return app


def add_guards(
    app: FastAPI,
    settings: ServerSettings,
    *,
    public_paths: frozenset[str] = frozenset(),
    visitors: VisitorsPage | None = None,
) -> None:
    """The layers around the routes. `app.state` has `traffic` and `metrics`.

    Args:
        public_paths: what is answered without a key, beside `/health` and `visitors`.
    """
    # The last one added is the outermost.
    app.add_middleware(Limits, settings=settings, traffic=app.state.traffic)
    app.add_middleware(KeyGuard, settings=settings, public_paths=public_paths, visitors=visitors)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origin_regex=settings.origin_pattern,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=["x-request-id", "request-id", "retry-after", HEADER],
            allow_private_network=True,
        )
    app.add_middleware(HostGuard, settings=settings)
    app.add_middleware(WithoutPrefix)
    app.add_middleware(Access, settings=settings, metrics=app.state.metrics, visitors=visitors)


def _add_document(app: FastAPI) -> None:
    @app.get("/openapi.json", include_in_schema=False)
    def document() -> JSONResponse:  # in a thread: it takes half a second to make, the first time
        return JSONResponse(app.openapi())


def _device(card: ModelCard) -> dict[str, str]:
    """Where a model runs, and why there."""
    placement = card.device if card.loaded else None
    if placement is None:
        return {}
    return {"device": placement.device, "device_name": placement.name, "device_reason": placement.why}


def add_own_routes(app: FastAPI) -> None:
    """`/health` and `/metrics`."""

    @app.get("/health", tags=["server"], responses={503: {"description": "It stops: no new answer is begun."}})
    async def health(request: Request) -> JSONResponse:
        """Whether the server lives and is ready: 200, or 503 while it stops. With a key, or where none is needed:
        each model, too."""
        state = request.app.state
        ready = not state.traffic.stopping
        body: dict[str, Any] = {"status": "ready" if ready else "stopping", "live": True, "ready": ready}
        if not state.settings.keys:
            body["models"] = [
                {"id": card.id, "loaded": card.loaded, "running": card.running, "waiting": card.waiting} | _device(card)
                for card in state.models.cards()
            ]
        return JSONResponse(body, 200 if ready else 503)

    @app.get("/metrics", tags=["server"], response_class=Response)
    async def metrics(request: Request) -> Response:
        """Counters and gauges in Prometheus' text format."""
        return Response(request.app.state.metrics.render(), headers={"content-type": CONTENT_TYPE})
