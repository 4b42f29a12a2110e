"""What the server says about itself is true: schemathesis asks every route of the served OpenAPI document."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from schemathesis import Case, GenerationMode

from . import documented
from .running import Running

EXAMPLES = 25
WITH_BODY = (
    "POST /v1/chat/completions",
    "POST /v1/completions",
    "POST /v1/responses",
    "POST /v1/responses/input_tokens",
    "POST /v1/embeddings",
    "POST /v1/messages",
    "POST /v1/messages/count_tokens",
    "POST /tokenize",
    "POST /detokenize",
)
OF_PICTURES = ("POST /v1/vision",)
OF_ENCODERS = ("POST /v1/rerank",)  # which the starter model cannot answer
WITHOUT_BODY = (
    "GET /v1/models",
    "GET /v1/models/{model_id}",
    "POST /v1/models/{model_id}/load",
    "POST /v1/models/{model_id}/unload",
    "GET /health",
    "GET /metrics",
)


def test_the_document_has_these_routes_and_no_422(served: Running) -> None:
    paths = served.http.get("/openapi.json").json()["paths"]
    assert {f"{method.upper()} {path}" for path in paths for method in paths[path]} == {
        *WITH_BODY,
        *OF_ENCODERS,
        *OF_PICTURES,
        *WITHOUT_BODY,
    }
    for path in paths:
        for operation in paths[path].values():
            assert "422" not in operation["responses"], f"{path}: a body that is not valid is answered with 400 here"


@pytest.fixture(scope="session")
def described(served: Running) -> Any:
    """The served document, as schemathesis reads it."""
    return schemathesis.openapi.from_url(f"{served.url}/openapi.json")


def ask(described: Any, route: str, mode: GenerationMode) -> list[int]:
    """Half of the requests that name a model in their path, and all that do in a valid body, name one that is there."""

    def mend(case: Case, number: int) -> None:
        if mode is GenerationMode.POSITIVE and isinstance(case.body, dict) and "model" in case.body:
            case.body["model"] = "starter"
        if "model_id" in case.path_parameters and number % 2:
            case.path_parameters["model_id"] = "starter"

    return documented.ask(described, route, mode, EXAMPLES, mend)


@pytest.mark.parametrize("route", [*WITH_BODY, *WITHOUT_BODY])
def test_what_the_document_allows_is_answered_as_it_says(described: Any, route: str) -> None:
    assert 200 in ask(described, route, GenerationMode.POSITIVE), "all of them were refused"


@pytest.mark.parametrize("route", [*WITH_BODY, *OF_ENCODERS])
def test_what_the_document_forbids_is_refused(described: Any, route: str) -> None:
    assert set(ask(described, route, GenerationMode.NEGATIVE)) <= {400, 404, 415}
