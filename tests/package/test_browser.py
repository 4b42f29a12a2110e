"""A packaged site in a real browser, from a plain web server: what it answers, and what it loads, once."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.web.browsers import BROWSERS, launched
from tests.web.firefox import launch_firefox

from hearth.package import Site

from .conftest import ELSEWHERE
from .site_server import PATIENCE_MS, PROMPT, SiteServer, answer, begin, visit, write

LITTLE_ROOM = 600_000  # bytes


@pytest.fixture(scope="module", params=BROWSERS)
def browser(request: pytest.FixtureRequest) -> Iterator[Any]:
    with launched(request.param, local_name=ELSEWHERE) as browser:
        yield browser


def test_it_answers_as_natively_and_again_without_a_network(context: Any, server: SiteServer, expected: str) -> None:
    page = visit(context, server.url)
    assert page.evaluate("crossOriginIsolated") is False
    begin(page)
    assert answer(page) == expected
    says = page.locator(".disclaimer").inner_text()
    assert "On this device's processor. There is no GPU." in says
    assert (os.cpu_count() or 1) == 1 or "1 thread, as the page is not cross-origin isolated." in says
    blobs = {path: count for path, count in server.asked.items() if path.startswith("/blobs/")}
    assert len(blobs) > 10
    assert set(blobs.values()) == {1}
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    server.close()
    page.reload()
    assert answer(page) == expected


def test_from_the_second_visit_on_it_computes_on_several_threads(
    context: Any, server: SiteServer, expected: str
) -> None:
    """Whatever headers the server sends: the page's service worker isolates it."""
    page = visit(context, server.url)
    begin(page)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.reload()
    assert page.evaluate("crossOriginIsolated") is True
    assert answer(page) == expected
    says = page.locator(".disclaimer").inner_text()
    assert (os.cpu_count() or 1) == 1 or re.search(
        r"On this device's processor, on \d threads\. There is no GPU\.", says
    )


def test_a_page_that_was_closed_goes_on_at_the_chunk(context: Any, server: SiteServer, expected: str) -> None:
    server.holds_after = 6
    page = visit(context, server.url)
    begin(page)
    assert server.held.wait(PATIENCE_MS / 1000)
    page.close()
    server.release()
    page = visit(context, server.url)
    assert answer(page) == expected
    counts = Counter(count for path, count in server.asked.items() if path.startswith("/blobs/"))
    assert set(counts) == {1, 2}
    assert counts[2] == 1


@contextmanager
def other_firefox(browser: Any, preferences: dict[str, Any]) -> Iterator[Any]:
    """A context in a Firefox that is set otherwise."""
    other = launch_firefox(browser.browser_type, preferences)
    context = other.new_context()
    context.set_default_timeout(PATIENCE_MS)
    yield context
    other.close()


@pytest.fixture
def cramped(browser: Any, context: Any, server: SiteServer) -> Iterator[Any]:
    """A page whose origin has little room. Browsers do not tell it so: what counts is what becomes of writing."""
    if browser.browser_type.name == "firefox":
        with other_firefox(browser, {"dom.quotaManager.temporaryStorage.fixedLimit": LITTLE_ROOM // 1000}) as other:
            yield visit(other, server.url)
        return
    page = visit(context, server.url)
    quota = {"origin": server.url, "quotaSize": LITTLE_ROOM}
    context.new_cdp_session(page).send("Storage.overrideQuotaForOrigin", quota)
    yield page


def test_with_a_full_quota_it_says_so_and_answers(cramped: Any, expected: str) -> None:
    begin(cramped)
    assert answer(cramped) == expected
    assert "cannot keep the model for the next time" in cramped.locator(".notice").inner_text()


def test_in_a_private_window_it_answers_and_again(browser: Any, server: SiteServer, expected: str) -> None:
    if browser.browser_type.name != "firefox":
        pytest.skip("every window of these tests is one, in Chromium")
    with other_firefox(browser, {"browser.privatebrowsing.autostart": True}) as context:
        page = visit(context, server.url)
        assert page.evaluate("navigator.storage.getDirectory().catch((error) => error.name)") == "SecurityError"
        begin(page)
        assert answer(page) == expected
        page.reload()
        assert answer(page) == expected
    blobs = {path: count for path, count in server.asked.items() if path.startswith("/blobs/")}
    assert set(blobs.values()) == {1}


def test_over_plain_http_it_runs_and_is_kept_nowhere(context: Any, server: SiteServer, expected: str) -> None:
    page = visit(context, f"http://{ELSEWHERE}:{server.port}/")
    assert page.evaluate("isSecureContext") is False
    assert "over https" in page.locator(".notice").inner_text()
    begin(page)
    assert answer(page) == expected


def test_a_kept_chunk_that_is_damaged_is_fetched_again(context: Any, server: SiteServer, expected: str) -> None:
    page = visit(context, server.url)
    begin(page)
    assert answer(page) == expected
    damaged = page.evaluate(
        """async () => {
          const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("hearth-chunks");
          const { files } = await (await fetch("model.json")).json();
          const name = files["weights.bin"].chunks[2];
          const stream = await (await folder.getFileHandle(name)).createWritable();
          await stream.write("half");
          await stream.close();
          return name;
        }"""
    )
    before = server.asked.copy()
    page.reload()
    assert answer(page) == expected
    again = {path for path, count in (server.asked - before).items() if path.startswith("/blobs/")}
    assert again == {f"/blobs/{damaged}"}


def test_a_damaged_chunk_of_the_server_is_refused_and_can_be_tried_again(
    context: Any, site: Site, server: SiteServer, expected: str
) -> None:
    blobs = sorted((site.path / "blobs").iterdir(), key=lambda path: path.stat().st_size)
    server.damages = f"/blobs/{blobs[-1].name}"
    page = visit(context, server.url)
    begin(page)
    page.get_by_text("is damaged").first.wait_for()
    server.damages = None
    page.get_by_role("button", name="Try again").click()
    assert answer(page) == expected


def test_a_screen_reader_and_a_phone_find_their_way(browser: Any, server: SiteServer) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is missing").Axe()
    context = browser.new_context(viewport={"width": 320, "height": 640})
    context.set_default_timeout(PATIENCE_MS)
    try:
        page = visit(context, server.url)
        button = page.get_by_role("button", name="Load the model")
        button.wait_for()
        assert axe.run(page).response["violations"] == []
        button.focus()
        page.keyboard.press("Enter")
        text = answer(page)
        assert axe.run(page).response["violations"] == []
        assert page.get_by_role("status").filter(has_text=text.strip()).count() == 1
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    finally:
        context.close()


def test_an_answer_can_be_stopped_and_another_one_asked_for(context: Any, server: SiteServer, expected: str) -> None:
    page = visit(context, server.url)
    begin(page)
    page.get_by_text("Settings").click()
    write(page.get_by_label("Longest answer"), "4096")
    box = page.get_by_role("textbox", name="The beginning of a text")
    box.fill(PROMPT)
    box.press("Enter")
    box.press("Escape")
    page.get_by_role("button", name="Send").wait_for()
    page.get_by_role("button", name="New chat").click()
    page.get_by_text("Settings").click()
    assert answer(page) == expected
