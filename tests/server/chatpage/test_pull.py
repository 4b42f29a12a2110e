"""Getting models from the page: downloaded from a hub on this machine, compiled, asked; ended, resumed, refused."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hearth.hub
from hearth.hub import remove
from hearth.server.chatpage import chat_page
from hearth.server.models import Models, ModelSettings
from hearth.store import Store
from hub.conftest import use_hub  # noqa: F401  (a fixture)
from hub.server import FakeHub, Fault

from ..running import running
from .page import Page

STARTER = Path(hearth.hub.__file__).parent / "starter"
NAME = "someone/small"
PARIS = "The capital of France is Paris."


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        hub.publish(NAME, {path.name: path.read_bytes() for path in STARTER.iterdir()})
        yield hub


@pytest.fixture
def page(hub: FakeHub, use_hub: Callable[[str], Path], cache: Path, tmp_path: Path) -> Iterator[Page]:  # noqa: F811
    use_hub(hub.url)
    models = Models(["starter"], ModelSettings(threads=2))
    with Store(tmp_path / "chats") as store, running(models, page=chat_page(store)) as server:
        yield Page(server.http)


def pull(page: Page, name: str) -> dict[str, Any]:
    """Gets a model, and waits for its end."""
    page.post("/models/pulls", {"name": name})
    return until(page, name, lambda line: line["state"] != "running")


def until(page: Page, name: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    for _ in range(2400):
        (line,) = [line for line in page.get("/models/pulls")["pulls"] if line["name"] == name]
        if wanted(line):
            return dict(line)
        time.sleep(0.05)
    raise AssertionError(line)


def names(page: Page) -> list[str]:
    return [model["name"] for model in page.get("/models")["models"]]


def test_a_model_of_the_hub_is_got_and_then_answers(page: Page, hub: FakeHub) -> None:
    assert NAME not in names(page)
    line = pull(page, NAME)
    assert (line["state"], line["model"], line["error"]) == ("done", NAME, None)
    assert hub.gets("model.safetensors")
    (model,) = [model for model in page.get("/models")["models"] if model["name"] == NAME]
    assert not model["loaded"], "it takes memory when it is used"
    _, answer = page.ask("What is the capital of France?", model=NAME, settings={"temperature": 0})
    assert (answer["content"], answer["model"]) == (PARIS, NAME)

    before = len(hub.gets("model.safetensors"))
    assert pull(page, NAME)["state"] == "done"
    assert len(hub.gets("model.safetensors")) == before, "what is here is not got again"
    page.http.delete("/api/models/pulls", params={"name": NAME}).raise_for_status()
    assert page.get("/models/pulls")["pulls"] == []


def test_a_download_tells_its_speed_can_be_ended_and_goes_on_where_it_was(page: Page, hub: FakeHub) -> None:
    hub.faults.append(Fault("model.safetensors", pause_s=0.05))
    page.post("/models/pulls", {"name": NAME})
    line = until(page, NAME, lambda line: line["done"] > 2 << 20)
    assert line["stage"] == "download"
    assert line["done"] < line["total"]
    assert line["bytes_per_s"] > 0
    page.http.delete("/api/models/pulls", params={"name": NAME}).raise_for_status()
    assert page.get("/models/pulls")["pulls"] == []
    time.sleep(1.5)  # until the next MiB has come: then it ends
    hub.faults.clear()
    assert pull(page, NAME)["state"] == "done"
    begins = [int((request.range or "bytes=0-")[6:].split("-")[0]) for request in hub.gets("model.safetensors")]
    assert begins[-1] >= 1 << 20, "what had come is not asked for again"


def test_two_models_come_at_once(page: Page, hub: FakeHub) -> None:
    other = "someone/other"
    hub.publish(other, hub.files[NAME, hub.revisions[NAME, "main"]])
    hub.faults.append(Fault("model.safetensors", pause_s=0.05))
    for name in (NAME, other):
        page.post("/models/pulls", {"name": name})
    lines = {line["name"]: line["state"] for line in page.get("/models/pulls")["pulls"]}
    assert lines == {NAME: "running", other: "running"}
    for name in (NAME, other):
        assert until(page, name, lambda line: line["state"] != "running")["state"] == "done"


def test_what_cannot_run_is_refused_before_its_weights_come_with_its_kind(page: Page, hub: FakeHub) -> None:
    config = json.loads((STARTER / "config.json").read_text()) | {"model_type": "qwen9_vl", "architectures": ["Qwen9"]}
    files = {path.name: path.read_bytes() for path in STARTER.iterdir()}
    hub.publish("someone/odd", files | {"config.json": json.dumps(config).encode()})
    line = pull(page, "someone/odd")
    assert (line["state"], line["error"]["kind"]) == ("failed", "Unsupported")
    assert not hub.gets("model.safetensors")
    assert pull(page, "someone/nothing")["error"]["kind"] == "ModelNotFound"
    wrong = page.http.post("/api/models/pulls", json={"name": "llama3.2"})
    assert wrong.status_code == 404
    assert "/" in wrong.json()["error"]["hint"], "whole names are proposed"
    assert "hf:" not in wrong.text
    assert page.http.post("/api/models/pulls", json={"name": "/etc/passwd"}).status_code == 404


def test_a_model_that_a_shell_removes_is_gone_from_the_page(page: Page) -> None:
    pull(page, NAME)
    assert NAME in names(page)
    remove(NAME)
    assert NAME not in names(page)
    assert names(page)[0] == "starter"


def test_an_installed_model_shows_what_it_is_and_an_unsupported_one_that_it_is_none(page: Page, hub: FakeHub) -> None:
    pull(page, NAME)
    folder = hearth.hub.installed(NAME).path
    odd = folder.parents[2] / "models--someone--odd" / "snapshots" / ("0" * 40)
    shutil.copytree(folder, odd)
    (odd.parents[1] / "refs").mkdir()
    (odd.parents[1] / "refs" / "main").write_text("0" * 40)
    config = json.loads((odd / "config.json").read_text()) | {"model_type": "qwen9_vl"}
    (odd / "config.json").unlink()
    (odd / "config.json").write_text(json.dumps(config))
    for _ in range(1200):
        told = page.get("/models")
        if not told["looking"]:
            break
        time.sleep(0.05)
    lines = {model["name"]: model for model in told["models"]}
    assert lines[NAME]["problem"] == ""
    assert lines[NAME]["disk_bytes"] > 1_000_000
    assert lines[NAME]["memory_bytes"] > 1_000_000
    assert lines[NAME]["context"] == 512
    assert lines[NAME]["format"]
    assert lines[NAME]["fits"] is True
    assert lines["someone/odd"]["problem"] == "Unsupported"


def test_models_that_suit_this_machine_are_proposed_and_those_that_are_here_are_not(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    for usable, most in ((2 << 30, 3), (16 << 30, 3), (1, 0)):
        monkeypatch.setattr("hearth.server.chatpage.suggestions.usable_bytes", lambda usable=usable: usable)
        found = page.get("/models/suggested")["models"]
        chatting = [model for model in found if not model["sees"]]
        assert len(chatting) <= most
        assert [model["sees"] for model in found[len(chatting) :]] == [True] * bool(most)
        assert all(model["memory_bytes"] < usable for model in found)
        assert [model["download_bytes"] for model in chatting] == sorted(
            (model["download_bytes"] for model in chatting), reverse=True
        )
        if most:
            assert chatting
    looking = page.get("/models/suggested")["looking"]
    assert {model["task"] for model in looking} == {"detect", "segment", "depth", "classify", "zero_shot"}


def test_a_model_gives_its_memory_back_and_opens_again(page: Page) -> None:
    _, answer = page.ask("What is the capital of France?", settings={"temperature": 0})
    assert [model["loaded"] for model in page.get("/models")["models"]] == [True]
    page.post("/models/unload", {"name": "starter"})
    assert [model["loaded"] for model in page.get("/models")["models"]] == [False]
    _, again = page.ask("What is the capital of France?", settings={"temperature": 0})
    assert again["content"] == answer["content"] == PARIS


def test_a_gguf_from_the_page_has_the_name_that_it_is_listed_by(page: Page, hub: FakeHub, tmp_path: Path) -> None:
    """Else its conversations would not find it after the next start."""
    twin = (Path(__file__).parents[2] / "golden" / "llama3" / "twin.gguf").read_bytes()
    hub.publish("someone/twin-GGUF", {"twin-F16.gguf": twin})
    for typed in ("someone/twin-GGUF", f"{hub.url}/someone/twin-GGUF", "someone/twin-GGUF:f16"):
        page.post("/models/pulls", {"name": typed})
    lines = page.get("/models/pulls")["pulls"]
    assert {until(page, line["name"], lambda one: one["state"] != "running")["model"] for line in lines} == {
        "someone/twin-GGUF:F16"
    }
    listed = [model.name for model in hearth.hub.list_models() if model.path.is_relative_to(tmp_path)]
    assert names(page) == ["starter", *listed] == ["starter", "someone/twin-GGUF:F16"]
    for asked in ("someone/twin-GGUF", "hf:someone/twin-GGUF:twin-F16.gguf"):
        id = page.create(model=asked)
        assert page.get(f"/conversations/{id}")["model"] == "someone/twin-GGUF:F16", "of before, too"
