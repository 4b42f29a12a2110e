"""A server with the real starter model, as `hearth serve starter` runs it, and the official clients of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from anthropic import Anthropic
from openai import OpenAI

from hearth import LLM
from hearth.server.models import Models, ModelSettings

from .running import Running, running


@pytest.fixture(scope="session")
def served(starter: LLM, cache: Path) -> Iterator[Running]:
    """One server for all tests that only ask it something. It shares the compiled model with `starter`."""
    models = Models(["starter"], ModelSettings(threads=2, offline=True))
    with running(models, load=["starter"]) as server:
        yield server


@pytest.fixture(scope="session")
def client(served: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0) as one:
        yield one


@pytest.fixture(scope="session")
def anthropic(served: Running) -> Iterator[Anthropic]:
    with Anthropic(base_url=served.url, api_key="any", max_retries=0) as one:
        yield one
