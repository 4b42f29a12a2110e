"""The chat page's routes on a real server with the starter model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from hearth import LLM
from hearth.engine.engine import Engine
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
    """The starter ends its longest answer in a fraction of a second: too soon to do anything in between."""
    step = Engine.step

    def paced(self: Engine) -> Any:
        time.sleep(0.02)
        return step(self)

    monkeypatch.setattr(Engine, "step", paced)
