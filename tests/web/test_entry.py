"""A browser that has not been let in says what to do, and opens the page with the link."""

from __future__ import annotations

import pytest

from hearth.server.chatpage import Entry
from server.running import Running

from .conftest import OpenWindow, token_of
from .steps import ANSWER, QUESTION, answers, ask, expect

LOCKED = {"en-US": "Open the link that hearth app printed.", "zh-CN": "请打开 hearth app 启动时显示的链接。"}


@pytest.mark.parametrize("locale", LOCKED)
def test_without_the_link_the_page_says_to_open_it(open_window: OpenWindow, locale: str) -> None:
    window = open_window(link=None, locale=locale)
    window.forgive.append("401")
    expect(window.page.get_by_role("alert")).to_contain_text(LOCKED[locale])
    box = window.page.get_by_role("textbox").last
    box.fill(QUESTION)
    box.press("Enter")
    expect(window.page.locator(".message")).to_have_count(0)


@pytest.mark.parametrize("by", ["link", "ticket_link"])
def test_the_link_lets_in_and_leaves_the_address_bar(
    open_window: OpenWindow, app: Running, entry: Entry, by: str
) -> None:
    window = open_window(link=None)
    page = window.page
    window.forgive.append("401")
    expect(page.get_by_role("alert")).to_contain_text(LOCKED["en-US"])
    page.goto(getattr(entry, by)(app.url))  # in the same window
    expect(page.get_by_role("alert")).to_have_count(0)
    assert page.url == f"{app.url}/#/"
    ask(page, QUESTION)
    expect(answers(page)).to_contain_text(ANSWER)
    page.goto(f"{app.url}/")  # a bookmark
    page.reload()
    expect(page.get_by_role("link", name="What is the capital").first).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_an_old_link_does_not_let_in(open_window: OpenWindow, app: Running, entry: Entry) -> None:
    old = token_of(entry)[::-1]
    window = open_window(link=f"{app.url}/#token={old}")
    window.forgive.append("401")
    expect(window.page.get_by_role("alert")).to_contain_text(LOCKED["en-US"])
    used = entry.ticket_link(app.url)
    assert entry.redeem(used.rpartition("=")[2]) is not None
    window.page.goto(used)
    expect(window.page.get_by_role("alert")).to_contain_text(LOCKED["en-US"])
