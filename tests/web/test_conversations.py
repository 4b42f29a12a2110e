"""The list of conversations, and files of them."""

from __future__ import annotations

import json
from typing import Any

from server.running import Running

from .conftest import OpenWindow
from .steps import ANSWER, answers, ask, choose, conversation_id, expect, questions


def conversation(app: Running, title: str, said: str = "Hello") -> str:
    """One that is there already."""
    id = str(app.http.post("/api/conversations", json={"title": title}).json()["id"])
    app.http.post(f"/api/conversations/{id}/messages", json={"parent": None, "content": said}).raise_for_status()
    return id


def test_a_conversation_can_be_renamed(open_window: OpenWindow, app: Running) -> None:
    id = conversation(app, "An old name")
    page = open_window().page
    choose(page, "An old name", "Rename")
    field = page.get_by_label("Title of the conversation")
    field.fill("A new name")
    field.press("Enter")
    expect(page.get_by_role("link", name="A new name")).to_be_visible()
    page.reload()
    expect(page.get_by_role("link", name="A new name")).to_be_visible()
    assert app.http.get(f"/api/conversations/{id}").json()["title"] == "A new name"


def test_search_finds_what_was_said_as_it_is_typed(open_window: OpenWindow, app: Running) -> None:
    conversation(app, "About birds", "The kingfisher dives into the pond.")
    conversation(app, "About fish", "A trout stays in the river.")
    page = open_window().page
    page.keyboard.press("Control+k")
    search = page.get_by_role("searchbox")
    expect(search).to_be_focused()
    search.press_sequentially("kingf")
    expect(page.get_by_role("link", name="About birds")).to_be_visible()
    expect(page.get_by_role("link", name="About fish")).to_have_count(0)
    expect(page.locator(".item-snippet mark")).to_have_text("kingfisher")
    search.fill("zebra crossing")
    expect(page.get_by_text("Nothing found for “zebra crossing”.")).to_be_visible()
    search.press("Escape")
    expect(page.get_by_role("link", name="About fish")).to_be_visible()


def test_deleting_asks_first_and_is_for_good(open_window: OpenWindow, app: Running) -> None:
    id = conversation(app, "Not for long")
    window = open_window(f"/#/c/{id}")
    page = window.page
    choose(page, "Not for long", "Delete")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("for good")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Not for long")).to_be_visible()
    choose(page, "Not for long", "Delete")
    dialog.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("link", name="Not for long")).to_have_count(0)
    expect(questions(page)).to_have_count(0)
    assert app.http.get(f"/api/conversations/{id}").status_code == 404
    window.forgive.append("404")
    page.goto(f"{app.url}/#/c/{id}")
    expect(page.get_by_text("This conversation is not here any more.")).to_be_visible()


def test_an_exported_conversation_comes_back_by_import(page: Any, tmp_path: Any) -> None:
    ask(page, "What is the capital of France?")
    title = page.locator(".item.open .item-title").inner_text().strip()
    with page.expect_download() as waiting:
        choose(page, title, "Export as JSON")
    waiting.value.save_as(tmp_path / "talk.json")
    with page.expect_download() as waiting:
        choose(page, title, "Export as Markdown")
    waiting.value.save_as(tmp_path / "talk.md")
    assert ANSWER in (tmp_path / "talk.md").read_text()
    assert json.loads((tmp_path / "talk.json").read_text())

    before = conversation_id(page)
    choose(page, title, "Delete")
    page.get_by_role("dialog").get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.locator(".sidebar input[type=file]").set_input_files(tmp_path / "talk.json")
    expect(page.get_by_text("Imported.", exact=True).first).to_be_visible()
    expect(answers(page)).to_contain_text(ANSWER)
    assert conversation_id(page) != before


def test_a_foreign_file_is_refused_with_a_reason(open_window: OpenWindow, tmp_path: Any) -> None:
    window = open_window()
    window.forgive.append("400")
    for name, content in {"broken.json": "{", "other.json": '{"name": "package"}'}.items():
        (tmp_path / name).write_text(content)
        window.page.locator(".sidebar input[type=file]").set_input_files(tmp_path / name)
        alert = window.page.get_by_role("alert").last
        expect(alert).to_be_visible()
        alert.get_by_role("button", name="Dismiss").click()
        expect(window.page.get_by_role("alert")).to_have_count(0)


def test_a_long_list_loads_as_it_is_scrolled(open_window: OpenWindow, app: Running) -> None:
    for number in range(60):
        app.http.post("/api/conversations", json={"title": f"Of many, {number:02}"})
    page = open_window().page
    links = page.get_by_role("link", name="Of many,")
    expect(links.first).to_be_visible()
    page.locator(".list").evaluate("e => e.scrollTo(0, e.scrollHeight)")
    expect(page.get_by_role("link", name="Of many, 00")).to_be_attached()
    assert links.count() == 60


def test_a_search_leads_to_the_words_that_it_found(open_window: OpenWindow, app: Running) -> None:
    long = "\n\n".join(f"Paragraph {number} of a long text." for number in range(60))
    said = [
        ("user", "First"),
        ("assistant", long + "\n\nHere hides a **zebra** in `code`.\n\n" + long),
        ("user", "Last"),
    ]
    messages = [{"role": role, "content": content} for role, content in said]
    messages.append({"role": "assistant", "content": long})
    talk = {"format": "hearth-conversation", "version": 1, "model": "starter", "system": "", "messages": messages}
    app.http.post("/api/conversations/import", json=talk).raise_for_status()
    page = open_window().page
    page.get_by_label("Search conversations").fill("zebr")
    link = page.get_by_role("link", name="zebra").first
    expect(link).to_contain_text("Here hides a zebra in code.")
    link.click()
    expect(page.get_by_role("region", name="Messages").get_by_text("zebra")).to_be_in_viewport()
    assert page.evaluate("[...CSS.highlights.get('found')].map(String)") == ["zebra"]
