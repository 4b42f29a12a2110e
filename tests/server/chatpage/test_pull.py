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

        before = len(hub.gets("model.safetensors"))
        again = server.http.post("/api/models/pull", json={"name": NAME})
        assert '"done"' in again.text
        assert len(hub.gets("model.safetensors")) == before, "what is here is not got again"


@pytest.mark.usefixtures("cache")
def test_a_gguf_from_the_page_has_the_name_that_it_is_listed_by(
    use_hub: Callable[[str], Path],  # noqa: F811
    tmp_path: Path,
) -> None:
    """Else its conversations would not find it after the next start."""
    models = Models(["starter"], ModelSettings(threads=2))
    twin = (Path(__file__).parents[2] / "golden" / "llama3" / "twin.gguf").read_bytes()
    with FakeHub() as hub, Store(tmp_path / "chats") as store, running(models, page=chat_page(store)) as server:
        use_hub(hub.url)
        hub.publish("someone/twin-GGUF", {"twin-F16.gguf": twin, "mmproj.gguf": b"x"})
        page = Page(server.http)
        for typed in ("someone/twin-GGUF", f"{hub.url}/someone/twin-GGUF", "someone/twin-GGUF:f16"):
            with server.http.stream("POST", "/api/models/pull", json={"name": typed}) as response:
                *_, last = events_of(response)
            assert last == {"type": "done", "name": "someone/twin-GGUF:F16"}
        shown = [model["name"] for model in page.get("/models")["models"]]
        listed = [model.name for model in hearth.hub.list_models() if model.path.is_relative_to(tmp_path)]
        assert shown == ["starter", *listed] == ["starter", "someone/twin-GGUF:F16"]
        for asked in ("someone/twin-GGUF", "hf:someone/twin-GGUF:twin-F16.gguf"):
            body = {"model": asked, "prompt": [1, 2, 3], "max_tokens": 1}
            answer = server.http.post("/v1/completions", json=body)
            assert answer.status_code != 404, answer.text


@pytest.mark.usefixtures("cache")
def test_the_page_is_told_before_the_download_what_cannot_be_had(
    use_hub: Callable[[str], Path],  # noqa: F811
    tmp_path: Path,
) -> None:
    models = Models(["starter"], ModelSettings(threads=2))
    with FakeHub() as hub, Store(tmp_path / "chats") as store, running(models, page=chat_page(store)) as server:
        use_hub(hub.url)
        hub.publish("someone/moe", {"config.json": b'{"model_type": "mixtral"}', "model.safetensors": bytes(1000)})
        answer = server.http.post("/api/models/pull", json={"name": "someone/moe"})
        assert answer.status_code == 400
        assert "mixtral" in answer.text
        assert not hub.gets("model.safetensors")
        assert [model["name"] for model in Page(server.http).get("/models")["models"]] == ["starter"]
