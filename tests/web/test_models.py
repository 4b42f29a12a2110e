"""Choosing and getting models on the page, from a hub on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import hearth.hub
from hearth.server.chatpage import Entry, chat_page
from hearth.server.models import Models, ModelSettings
from hearth.store import Store
from hub.conftest import use_hub  # noqa: F401  (a fixture)
from hub.server import FakeHub, Fault
from server.running import running

from .conftest import OpenWindow
from .steps import ANSWER, QUESTION, answers, ask, expect

STARTER = Path(hearth.hub.__file__).parent / "starter"
NAME = "someone/a-model-with-a-long-name-Instruct-2507"


@pytest.fixture
def hub(use_hub: Callable[[str], Path]) -> Iterator[FakeHub]:  # noqa: F811
    with FakeHub() as hub:
        use_hub(hub.url)
        files = {path.name: path.read_bytes() for path in STARTER.iterdir()}
        hub.publish(NAME, files)
        config = json.loads(files["config.json"]) | {"model_type": "qwen9_vl"}
        hub.publish("someone/odd", files | {"config.json": json.dumps(config).encode()})
        yield hub


@pytest.fixture
def link(hub: FakeHub, cache: Path, tmp_path: Path) -> Iterator[str]:
    models = Models(["starter"], ModelSettings(threads=2))
    with Store(tmp_path / "chats") as store:
        entry = Entry(store.path.parent)
        with running(models, load=["starter"], page=chat_page(store, entry), keys=entry.keys) as server:
            yield entry.link(server.url)


def picker(page: Any) -> Any:
    page.locator(".model-button").click()
    return page.get_by_role("dialog", name="Choose a model")


def test_a_model_is_got_and_used_where_it_is_wanted(open_window: OpenWindow, link: str, hub: FakeHub) -> None:
    hub.faults.append(Fault("model.safetensors", pause_s=0.05))
    page = open_window(link=link).page
    panel = picker(page)
    name = page.get_by_label("Name of a model on Hugging Face")
    name.fill(NAME)
    panel.get_by_role("button", name="Get", exact=True).click()
    expect(panel.get_by_text("left")).to_be_visible()
    expect(panel.get_by_text("/s")).to_be_visible()
    expect(name).to_be_focused()
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    tray = page.locator(".tray-button")
    expect(tray).to_contain_text("%")
    page.reload()
    expect(tray).to_contain_text("%")
    hub.faults.clear()
    expect(page.get_by_role("button", name="New models")).to_be_visible(timeout=120_000)
    expect(page.locator(".model-button")).to_contain_text("starter")
    tray.click()
    page.get_by_role("button", name="Use it here").click()
    expect(page.locator(".model-button")).to_contain_text("a-model-with")
    expect(tray).to_have_count(0)
    ask(page, QUESTION)
    expect(answers(page)).to_contain_text(ANSWER)
    line = picker(page).get_by_role("button", name=NAME).first
    expect(line).to_contain_text("in memory")
    expect(line).to_contain_text("on disk")


def test_what_cannot_run_says_so_in_the_words_of_the_page(open_window: OpenWindow, link: str) -> None:
    window = open_window(link=link)
    window.forgive.append("404")
    page = window.page
    panel = picker(page)
    for name, says in (
        ("someone/odd", "cannot run this model"),
        ("llama3.2", "meta-llama/"),
        ("no name", "owner/name"),
    ):
        page.get_by_label("Name of a model on Hugging Face").fill(name)
        page.keyboard.press("Enter")
        failure = panel.get_by_role("alert").last
        expect(failure).to_contain_text(says)
        shown = failure.evaluate(
            "e => [...e.children].filter((c) => c.tagName !== 'DETAILS').map((c) => c.textContent).join()"
        )
        assert not any(word in shown for word in ("`", "--", "hf:", "hearth pull"))


@pytest.mark.parametrize("width", [320, 360, 390, 430, 1280])
def test_the_list_of_models_fits_on_every_screen(open_window: OpenWindow, link: str, width: int) -> None:
    page = open_window(link=link, viewport={"width": width, "height": 700}).page
    panel = picker(page)
    expect(panel.get_by_label("Name of a model on Hugging Face")).to_be_visible()
    box = panel.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert box["y"] + box["height"] <= 700
    right = "Math.max(...[...document.querySelectorAll('.menu-panel *')].map((e) => e.getBoundingClientRect().right))"
    assert page.evaluate(right) <= width
    page.get_by_label("Name of a model on Hugging Face").fill("owner/name")
    panel.get_by_role("button", name="Get", exact=True).click(trial=True)


def test_the_first_screen_asks_what_the_starter_can_answer_and_offers_real_models(
    open_window: OpenWindow, link: str
) -> None:
    page = open_window(link=link).page
    expect(page.get_by_text("The starter model is a demonstration")).to_be_in_viewport()
    offered = page.get_by_role("region", name="Get a real model").get_by_role("button")
    expect(offered.first).to_be_visible()
    right = {"Italy": "Rome", "gold": "Au", "7 plus 8": "15", "Monday": "Tuesday"}
    for asked, answer in right.items():
        page.locator(".suggestion", has_text=asked).click()
        page.get_by_label("Message", exact=True).press("Enter")
        expect(answers(page).last).to_contain_text(answer)
        page.get_by_role("button", name="New chat").first.click()


def test_a_conversation_with_a_model_that_is_gone_leads_to_another(open_window: OpenWindow, link: str) -> None:
    url, token = link.split("/#token=")
    headers = {"authorization": f"Bearer {token}"}
    made = httpx.post(f"{url}/api/conversations", json={"model": "owner/gone"}, headers=headers).json()
    page = open_window(f"/#/c/{made['id']}", link=link).page
    expect(page.locator(".model-button")).to_contain_text("gone")
    ask(page, QUESTION)
    alert = answers(page).get_by_role("alert")
    expect(alert).to_contain_text("This model cannot be found.")
    alert.get_by_role("button", name="Choose another model").click()
    page.get_by_role("dialog", name="Choose a model").get_by_role("button", name="starter").first.click()
    alert.get_by_role("button", name="Try again").click()
    expect(answers(page).last).to_contain_text(ANSWER)
