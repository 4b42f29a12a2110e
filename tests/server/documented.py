"""Requests that schemathesis makes up from the served document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

# What rules between fields, the vocabulary, the context and the models and conversations that are there refuse is not
# in the document: a request that it allows may still be refused.
SKIPPED = [positive_data_acceptance]


def ask(
    described: Any, route: str, mode: GenerationMode, examples: int, mend: Callable[[Case, int], None]
) -> list[int]:
    """Sends made-up requests, checks each answer against the document, and returns the statuses.

    Args:
        route: its method and path.
        mend: names in a request what is really there; is told its number.
    """
    method, path = route.split()
    statuses: list[int] = []

    @given(case=described[path][method].as_strategy(generation_mode=mode))
    @settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    def send(case: Case) -> None:
        mend(case, len(statuses))
        response = case.call()
        if response.status_code == 413:
            return  # a list past its length can be past the limit of bytes, too, which no schema tells
        statuses.append(response.status_code)
        case.validate_response(response, excluded_checks=SKIPPED)

    send()
    return statuses
