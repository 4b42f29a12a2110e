"""Answers that do not end by themselves: stopped, left, failed, killed. What has come is always kept."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.waiting import wait_for

from hearth import LLM
from hearth.errors import StorageError
from hearth.server.chatpage import chat_page
from hearth.server.models import Models, ModelSettings
from hearth.store import Store
from hearth.worker import Worker

from ..running import running
from .conftest import App
from .page import LONG, Page


def _stored(page: Page, id: str) -> dict[str, Any]:
    messages: list[dict[str, Any]] = page.get(f"/conversations/{id}")["messages"]
    return messages[-1]


def _until(page: Page, id: str, *states: str) -> dict[str, Any]:
    """The last message, as soon as it is in one of these states."""
    for _ in range(1200):
        if _stored(page, id)["state"] in states:
            break
        time.sleep(0.05)
    return _stored(page, id)


@pytest.mark.usefixtures("slow")
def test_stop_ends_the_stream_and_keeps_what_has_come(page: Page) -> None:
    id = page.create(settings=LONG)
    texts, last = [], {}
    for last in page.events(id, page.say(id, "Talk")):
        if last["type"] == "delta":
            texts.append(last["text"])
            if len(texts) == 5:
                assert _stored(page, id)["state"] == "running"
                page.post(f"/conversations/{id}/stop")
    assert last["type"] == "done"
    assert last["message"]["state"] == "stopped"
    assert last["message"]["content"].startswith("".join(texts))
    assert last["message"]["usage"]["completion_tokens"] >= 5
    assert _stored(page, id) == last["message"]
    page.post(f"/conversations/{id}/stop")  # nothing to stop: nothing happens


@pytest.mark.usefixtures("slow")
def test_an_answer_goes_on_when_the_page_is_closed_and_is_there_when_it_opens_again(page: Page) -> None:
    id = page.create(settings=LONG | {"max_tokens": 60})
    shown = ""
    for event in page.events(id, page.say(id, "Talk")):
        shown += event.get("text", "")
        if len(shown) > 20:
            break
    assert _stored(page, id)["state"] == "running"
    start, *events, last = page.follow(id)
    assert start["type"] == "start"
    assert start["message"]["content"] == ""
    again = "".join(event.get("text", "") for event in events)
    assert again.startswith(shown)
    assert last["type"] == "done"
    assert last["message"]["content"] == again
    assert last["message"]["usage"]["completion_tokens"] == 60
    assert _stored(page, id) == last["message"]
    gone = page.http.get(f"/api/conversations/{id}/answer")
    assert gone.status_code == 404, "nothing is being written any more"
    assert gone.json()["error"]["kind"] == "NotFound"


@pytest.mark.usefixtures("slow")
def test_an_answer_that_nobody_follows_can_be_stopped(page: Page, app: App) -> None:
    id = page.create(settings=LONG)
    for event in page.events(id, page.say(id, "Talk")):
        if event["type"] == "delta":
            break
    page.post(f"/conversations/{id}/stop")
    assert _stored(page, id)["state"] == "stopped"
    wait_for(lambda: not any(card.running or card.waiting for card in app.server.models.cards()))


@pytest.mark.usefixtures("slow")
def test_two_windows_follow_one_answer(page: Page) -> None:
    id = page.create(settings=LONG | {"max_tokens": 40})
    first = page.events(id, page.say(id, "Talk"))
    told = [next(first) for _ in range(5)]
    second = list(page.follow(id))
    told += list(first)

    def said(events: list[dict[str, Any]]) -> str:
        return "".join(event.get("text", "") for event in events)

    assert said(told) == said(second) == told[-1]["message"]["content"]
    assert told[-1] == second[-1]


@pytest.mark.parametrize("moment", ["the model is asked for", "the prompt is queued"])
def test_an_answer_that_has_just_begun_when_the_server_ends_counts_as_stopped(
    starter: LLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    models = Models(["starter"], ModelSettings(threads=1, offline=True))
    with Store(tmp_path) as store, running(models, load=["starter"], page=chat_page(store)) as server:
        page = Page(server.http)
        id = page.create()
        parent = page.say(id, "Talk")
        owner: Any = Models if moment == "the model is asked for" else Worker
        name = "_open" if owner is Models else "submit"
        at_last = getattr(owner, name)

        async def after_the_end(self: Any, *arguments: Any) -> Any:
            await models.close(0.0)
            return await at_last(self, *arguments)

        monkeypatch.setattr(owner, name, after_the_end)
        *_, last = page.events(id, parent)
        assert (last["type"], last["message"]["state"]) == ("done", "stopped")
        assert _stored(page, id)["state"] == "stopped"


@pytest.mark.usefixtures("slow")
def test_an_answer_that_is_deleted_while_it_is_written_is_gone(page: Page, app: App) -> None:
    id = page.create(settings=LONG)
    for number, _ in enumerate(page.events(id, page.say(id, "Talk"))):
        if number == 4:
            assert page.http.delete(f"/api/conversations/{id}").status_code == 204
    assert page.http.get(f"/api/conversations/{id}").status_code == 404


@pytest.mark.usefixtures("slow")
def test_a_second_answer_stops_the_first(page: Page) -> None:
    id = page.create(settings=LONG)
    asked = page.say(id, "Talk")
    begun = threading.Event()
    first: list[dict[str, Any]] = []

    def read() -> None:
        for event in page.events(id, asked):
            first.append(event)
            if event["type"] == "delta":
                begun.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert begun.wait(30)
    page.http.patch(f"/api/conversations/{id}", json={"settings": {"max_tokens": 3}})
    *_, second = page.events(id, asked)
    reader.join(30)
    assert first[-1]["message"]["state"] == "stopped"
    assert second["message"]["state"] == "done"


def test_a_prompt_that_is_too_long_says_so_and_can_be_mended(page: Page) -> None:
    id = page.create()
    *_, last = page.events(id, page.say(id, "word " * 20_000))
    assert last["type"] == "error"
    assert "context" in last["message"]
    assert last["hint"]
    stored = _stored(page, id)
    assert stored == last["answer"]
    assert (stored["state"], stored["error"], stored["hint"]) == ("error", last["message"], last["hint"])
    assert page.post(f"/conversations/{id}/count", {"content": "word " * 20_000})["tokens"] > 20_000
    *_, mended = page.events(id, page.say(id, "What is the capital of France?"))
    assert "Paris" in mended["message"]["content"]


def test_a_model_that_is_gone_says_which_there_are(page: Page) -> None:
    id = page.create(model="owner/gone")
    *_, last = page.events(id, page.say(id, "Hello"))
    assert last["type"] == "error"
    assert "starter" in last["hint"]
    page.http.patch(f"/api/conversations/{id}", json={"model": "starter"})
    again = page.say(id, "What is the capital of France?", last["answer"]["id"])
    *_, done = page.events(id, again)
    assert done["message"]["state"] == "done", "an answer of which nothing came does not spoil the next turn"


def test_a_full_disk_ends_the_answer_and_nothing_else(page: Page, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    id = page.create(settings=LONG)
    asked = page.say(id, "Talk")
    append, count = app.store.append, 0

    def full(message: str, pieces: Any) -> None:
        nonlocal count
        count += 1
        if count > 1:  # on a busy machine an answer comes in few pieces, or in one
            never()
        append(message, pieces)

    def never(*_: Any, **__: Any) -> None:
        raise StorageError("The disk is full.", hint="Free some space.")

    monkeypatch.setattr(app.store, "append", full)
    monkeypatch.setattr(app.store, "end_answer", never)
    *deltas, last = page.events(id, asked)
    assert last["type"] == "error"
    assert (last["message"], last["hint"]) == ("The disk is full.", "Free some space.")
    kept = _stored(page, id)
    assert kept["state"] == "interrupted"
    assert kept["content"] == "".join(event.get("text", "") for event in deltas) != ""
    monkeypatch.undo()
    page.http.patch(f"/api/conversations/{id}", json={"settings": {}})
    *_, done = page.events(id, asked)
    assert done["type"] == "done"


@pytest.mark.usefixtures("slow")
def test_two_conversations_answer_at_the_same_time(page: Page) -> None:
    ids = [page.create(settings=LONG) for _ in range(2)]
    streams = [page.events(id, page.say(id, "Talk")) for id in ids]
    for _ in range(8):
        assert {next(stream)["type"] for stream in streams} <= {"start", "progress", "delta"}
    for id in ids:
        page.post(f"/conversations/{id}/stop")
    for stream in streams:
        assert list(stream)[-1]["message"]["state"] == "stopped"
