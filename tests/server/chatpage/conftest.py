"""The chat page's routes on a real server with the starter model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.waiting import slow_steps

from hearth import LLM
from hearth.server.chatpage import chat_page
from hearth.server.models import Models, ModelSettings
from hearth.store import Store

from ..running import Running, running
from .page import Page


@dataclass
class App:
    """A server with a page, and its store."""

    server: Running
    store: Store


@pytest.fixture(scope="session")
def app(starter: LLM, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    models = Models(["starter"], ModelSettings(threads=2, offline=True))
    with (
        Store(tmp_path_factory.mktemp("chats")) as store,
        running(models, load=["starter"], page=chat_page(store)) as server,
    ):
        yield App(server, store)


@pytest.fixture
def page(app: App) -> Page:
    return Page(app.server.http)


@pytest.fixture
def http(app: App) -> httpx.Client:
    return app.server.http


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    slow_steps(monkeypatch, lambda: 0.02)
