"""Getting a model from the page: downloaded from a hub on this machine, compiled, opened, and asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import hearth.hub
from hearth.server.chatpage import chat_page
from hearth.server.models import Models, ModelSettings
from hearth.store import Store
from hub.conftest import use_hub  # noqa: F401  (a fixture)
from hub.server import FakeHub

from ..running import running
from .page import Page, events_of

STARTER = Path(hearth.hub.__file__).parent / "starter"
NAME = "someone/small"


@pytest.mark.usefixtures("cache")
def test_a_model_of_the_hub_is_got_with_progress_and_then_answers(
    use_hub: Callable[[str], Path],  # noqa: F811
    tmp_path: Path,
) -> None:
    models = Models(["starter"], ModelSettings(threads=2))
    with FakeHub() as hub, Store(tmp_path / "chats") as store, running(models, page=chat_page(store)) as server:
        use_hub(hub.url)
        hub.publish(NAME, {path.name: path.read_bytes() for path in STARTER.iterdir()})
        page = Page(server.http)
        assert [model["name"] for model in page.get("/models")["models"]] == ["starter"]

        with server.http.stream("POST", "/api/models/pull", json={"name": NAME}) as response:
            *told, last = events_of(response)
        assert last == {"type": "done", "name": NAME}
        assert told
        assert {event["type"] for event in told} == {"progress"}
        assert all(event["stage"] in ("download", "compile", "load") for event in told)
        assert all(0 <= event["done"] <= event["total"] for event in told if event["total"])
        assert hub.gets("model.safetensors")

        loaded = {model["name"]: model["loaded"] for model in page.get("/models")["models"]}
        assert loaded[NAME]
        _, answer = page.ask("What is the capital of France?", model=NAME, settings={"temperature": 0})
        assert answer["content"] == "The capital of France is Paris."
        assert answer["model"] == NAME

        again = server.http.post("/api/models/pull", json={"name": NAME})
        assert '"done"' in again.text
        assert len(hub.gets("model.safetensors")) == 1, "what is here is not got again"
