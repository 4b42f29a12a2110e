"""What a user does on the page, in words that the tests share."""

from __future__ import annotations

from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright (pip install playwright)")
expect = playwright.expect
expect.set_options(timeout=60_000)

QUESTION = "What is the capital of France?"
ANSWER = "The capital of France is Paris."


def ask(page: Any, words: str, *, wait: bool = True) -> None:
    box = page.get_by_label("Message", exact=True)
    box.fill(words)
    box.press("Enter")
    if wait:
        wait_for_end(page)


def wait_for_end(page: Any) -> None:
    """Until no answer is being written."""
    expect(page.get_by_role("button", name="Stop", exact=True)).to_have_count(0)
    expect(page.locator(".message.answer .message-actions").last).to_be_attached()


def questions(page: Any) -> Any:
    return page.get_by_role("article", name="You")


def answers(page: Any) -> Any:
    return page.get_by_role("article", name="Assistant")


def choose(page: Any, title: str, item: str) -> None:
    """From a conversation's menu."""
    page.get_by_role("link", name=title).first.hover()
    page.get_by_role("button", name=f"Options of “{title}").first.click()
    page.get_by_role("menuitem", name=item).click()


def conversation_id(page: Any) -> str:
    return str(page.url).rsplit("/", 1)[1]
