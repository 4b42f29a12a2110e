"""The chat page in a real browser, before a real server with the real starter model.

Every test's page is watched: a request to anywhere else, an error in the console or a breach of the
Content-Security-Policy fails the test.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.waiting import slow_steps
from tests.web.browsers import launched

from hearth import LLM
from hearth.server.chatpage import Entry, chat_page
from hearth.server.models import Models, ModelSettings
from hearth.store import Store
from server.running import Running, running


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    # Not for the whole session: while it is open no other test of this thread can run an event loop.
    with launched("chromium") as browser:
        yield browser


@pytest.fixture(scope="package")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(tmp_path_factory.mktemp("conversations"))
    yield store
    store.close()


@pytest.fixture(scope="package")
def entry(store: Store) -> Entry:
    return Entry(store.path.parent)


@pytest.fixture(scope="package")
def app(starter: LLM, cache: Path, store: Store, entry: Entry) -> Iterator[Running]:
    """`hearth app`; its client `http` holds the token."""
    models = Models(["starter"], ModelSettings(threads=2, offline=True))
    with running(models, load=["starter"], page=chat_page(store, entry), keys=entry.keys) as server:
        server.http.headers["authorization"] = f"Bearer {token_of(entry)}"
        yield server


def token_of(entry: Entry) -> str:
    return entry.link("").rpartition("=")[2]


@dataclass
class Window:
    """A browser window that is watched.

    Attributes:
        requests: addresses outside of the page's origin that were asked for.
        complaints: errors that the page wrote to its console.
        forgive: words of complaints that a test expects.
    """

    page: Any
    requests: list[str]
    complaints: list[str]
    forgive: list[str]

    def check(self) -> None:
        assert self.requests == []
        assert [text for text in self.complaints if not any(word in text for word in self.forgive)] == []


OpenWindow = Callable[..., Window]


@pytest.fixture
def open_window(browser: Any, app: Running, entry: Entry) -> Iterator[OpenWindow]:
    """Opens the page in a browser profile of its own; keywords are those of Playwright's contexts.

    The profile has been let in with `link`, by default that of `app`; None: it has not.
    """
    windows: list[Window] = []

    def open_one(address: str = "/", *, link: str | None = entry.link(app.url), **options: Any) -> Window:
        url = link.partition("/#")[0] if link else app.url
        options = {"viewport": {"width": 1280, "height": 800}, "locale": "en-US", "reduced_motion": "reduce"} | options
        context = browser.new_context(**options)
        context.set_default_timeout(60_000)
        origin = urlsplit(url).netloc
        window = Window(context.new_page(), [], [], [])

        def watch(route: Any) -> None:
            if urlsplit(route.request.url).netloc == origin:
                route.continue_()
            else:
                window.requests.append(route.request.url)
                route.abort()

        context.route("**/*", watch)
        window.page.on(
            "console",
            lambda m: window.complaints.append(f"{m.text} ({m.location['url']})") if m.type == "error" else None,
        )
        window.page.on("pageerror", lambda error: window.complaints.append(str(error)))
        windows.append(window)
        box = window.page.get_by_label("Message", exact=True).or_(window.page.get_by_label("消息", exact=True)).first
        window.page.goto(link or url)
        box.wait_for()
        if address != "/":
            window.page.goto(url + address)
            box.wait_for()
        return window

    yield open_one
    for window in windows:
        window.check()
        window.page.context.close()


@pytest.fixture
def page(open_window: OpenWindow) -> Any:
    return open_window().page


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The starter model writes a thousand tokens a second: too fast to press a button in between, and a browser on a
    busy machine takes seconds to see a word and press: an answer's first words come quickly, its end comes late."""
    steps = itertools.count()
    slow_steps(monkeypatch, lambda: 0.15 if next(steps) < 4 else 2.0)
