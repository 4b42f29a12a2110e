"""The page's API is what its document says: schemathesis asks every route, with what is allowed and what is not."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from schemathesis import Case, GenerationMode

from .. import documented
from .conftest import App
from .page import Page

EXAMPLES = 12
ROUTES = (
    "GET /api/status",
    "GET /api/models",
    "GET /api/models/suggested",
    "POST /api/models/unload",
    "GET /api/models/pulls",
    "POST /api/models/pulls",
    "DELETE /api/models/pulls",
    "GET /api/conversations",
    "POST /api/conversations",
    "POST /api/conversations/import",
    "GET /api/conversations/{id}",
    "PATCH /api/conversations/{id}",
    "DELETE /api/conversations/{id}",
    "GET /api/conversations/{id}/export",
    "POST /api/conversations/{id}/messages",
    "POST /api/conversations/{id}/answer",
    "GET /api/conversations/{id}/answer",
    "POST /api/conversations/{id}/stop",
    "POST /api/conversations/{id}/count",
    "POST /api/attachments",
    "GET /api/attachments/{id}",
    "GET /api/attachments/{id}/picture",
    "DELETE /api/attachments/{id}",
    "GET /api/documents",
    "POST /api/documents",
    "DELETE /api/documents/{id}",
    "POST /api/documents/found",
    "POST /api/vision",
)
WITH_BODY = (
    "POST /api/models/unload",
    "POST /api/models/pulls",
    "POST /api/conversations",
    "PATCH /api/conversations/{id}",
    "POST /api/conversations/{id}/messages",
    "POST /api/conversations/{id}/answer",
    "POST /api/conversations/{id}/count",
)


@pytest.fixture(scope="session")
def described(app: App) -> Any:
    return schemathesis.openapi.from_url(f"{app.server.url}/openapi.json")


def test_the_document_has_these_routes_and_no_422(page: Page) -> None:
    paths = page.http.get("/openapi.json").json()["paths"]
    found = {f"{method.upper()} {path}": paths[path][method] for path in paths for method in paths[path]}
    assert {route for route in found if " /api/" in route} == set(ROUTES)
    assert not [route for route in ROUTES if "422" in found[route]["responses"]]


@pytest.mark.parametrize("route", ROUTES)
def test_what_the_document_allows_is_answered_as_it_says(described: Any, page: Page, route: str) -> None:
    ask(described, route, GenerationMode.POSITIVE, conversation=page.create())


@pytest.mark.parametrize("route", WITH_BODY)
def test_what_the_document_forbids_is_refused(described: Any, route: str) -> None:
    assert set(ask(described, route, GenerationMode.NEGATIVE)) <= {400, 404, 415}


def ask(described: Any, route: str, mode: GenerationMode, conversation: str = "") -> list[int]:
    """Half of the requests about a conversation are about this one, where one is given."""

    def mend(case: Case, number: int) -> None:
        if conversation and "conversations/{id}" in route and number % 2:
            case.path_parameters["id"] = conversation

    return documented.ask(described, route, mode, EXAMPLES, mend)
