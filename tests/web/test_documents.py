"""Documents on the page: added, searched with a message, told with their source, removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.encoding.lettered import lettered

from hearth.server.chatpage import Entry, chat_page
from hearth.server.models import Models, ModelSettings
from hearth.store import Store
from server.running import running

from .conftest import OpenWindow
from .steps import QUESTION, answers, ask, expect, questions

OAK = "the treasure lies under the old oak"


@pytest.fixture(scope="module")
def link(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    encoder = lettered("bert", tmp_path_factory.mktemp("models") / "finder")
    models = Models(["starter", str(encoder)], ModelSettings(threads=2, offline=True))
    with Store(tmp_path_factory.mktemp("chats")) as store:
        entry = Entry(store.path.parent)
        with running(models, load=["starter", "finder"], page=chat_page(store, entry), keys=entry.keys) as server:
            yield entry.link(server.url)


def panel(page: Any) -> Any:
    page.get_by_role("button", name="Documents", exact=True).click()
    return page.get_by_role("dialog", name="Documents")


def put(page: Any, name: str, text: str) -> None:
    page.locator(".documents input[type=file]").set_input_files(
        {"name": name, "mimeType": "text/plain", "buffer": text.encode()}
    )


def test_a_document_is_added_searched_told_with_its_source_and_removed(open_window: OpenWindow, link: str) -> None:
    page = open_window(link=link).page
    documents = panel(page)
    switch = documents.get_by_label("Search them with each message")
    expect(switch).to_be_disabled()
    put(page, "notes.md", OAK)
    expect(documents.get_by_text("notes.md")).to_be_visible()
    expect(documents.get_by_text("35 characters")).to_be_visible()
    expect(switch).to_be_checked()
    page.keyboard.press("Escape")
    ask(page, QUESTION)
    chip = questions(page).last.locator(".chip")
    expect(chip).to_contain_text("notes.md")
    expect(answers(page).last).not_to_be_empty()
    # It stays with the message, and is looked for again after a reload.
    page.reload()
    expect(questions(page).last.locator(".chip")).to_contain_text("notes.md")
    documents = panel(page)
    expect(documents.get_by_label("Search them with each message")).to_be_checked()
    documents.get_by_label("Search them with each message").uncheck()
    page.keyboard.press("Escape")
    ask(page, QUESTION)
    expect(questions(page)).to_have_count(2)
    expect(questions(page).last.locator(".chip")).to_have_count(0)
    panel(page).get_by_role("button", name="Remove notes.md for good").click()
    expect(page.get_by_role("dialog", name="Documents").locator(".documents-list li")).to_have_count(0)


def test_what_is_no_text_is_told_where_it_was_added(open_window: OpenWindow, link: str) -> None:
    window = open_window(link=link)
    window.forgive.append("400")
    page = window.page
    documents = panel(page)
    put(page, "odd.bin", "\x00\x01\x02" * 99)
    expect(documents.get_by_role("alert")).to_contain_text("no text")
    documents.get_by_role("button", name="Dismiss").click()
    # By its name: documents of other tests may be there.
    expect(documents.locator(".documents-list li").filter(has_text="odd.bin")).to_have_count(0)


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_panel_fits_on_every_screen(open_window: OpenWindow, link: str, width: int) -> None:
    page = open_window(link=link, viewport={"width": width, "height": 700}).page
    box = panel(page).bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= 700


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_assistive_technology_finds_nothing_to_complain_about(open_window: OpenWindow, link: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is missing").Axe()
    page = open_window(link=link, color_scheme=scheme).page
    expect(panel(page).get_by_text("They stay on this device")).to_be_visible()
    found = axe.run(page).response["violations"]
    assert [(v["id"], [node["html"][:200] for node in v["nodes"]]) for v in found] == []
