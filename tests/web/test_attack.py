"""Web pages of others attack a running `hearth app` in the same browser: they read, change and ask nothing.

They come from another port of this machine, and from a name of the attacker's that points to this machine (DNS
rebinding), also at Hearth's own port. They try without the token and, at the worst, with it.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hearth.server.chatpage import Entry
from server.running import Running

from .browsers import ARGUMENTS, CHROMIUM
from .conftest import OpenWindow, token_of
from .steps import ANSWER, QUESTION, answers, ask, expect

SECRET = "The spare key lies under the blue flowerpot."
EVIL = "evil.test"
KITTENS = "<!doctype html><title>Kittens</title><body>"

ATTACK = Path(__file__).with_name("attack.js").read_text()


@pytest.fixture(scope="module")
def lair() -> Iterator[str]:
    """The attacker's own web server; its port."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(KITTENS.encode())

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield str(server.server_port)
        server.shutdown()


@pytest.fixture
def rebound(browser: Any) -> Iterator[Any]:
    """A browser to which the attacker's name server says that his name is this machine."""
    # Without the newer Chromium's own help, which other browsers lack: a page from elsewhere may ask this machine.
    helps = "--disable-features=LocalNetworkAccessChecks"
    arguments = [*ARGUMENTS, f"--host-resolver-rules=MAP {EVIL} 127.0.0.1", helps]
    other = browser.browser_type.launch(executable_path=CHROMIUM, args=arguments)
    yield other
    other.close()


@pytest.fixture
def talk(app: Running) -> str:
    """A conversation that is nobody else's business."""
    messages = [{"role": "user", "content": SECRET}, {"role": "assistant", "content": "I shall tell nobody."}]
    talk = {"format": "hearth-conversation", "version": 1, "model": "starter", "system": "", "messages": messages}
    response = app.http.post("/api/conversations/import", json=talk)
    response.raise_for_status()
    return str(response.json()["id"])


@pytest.fixture(autouse=True)
def counted(app: Running) -> None:
    """A model has answered: from now on the counters are there."""
    body = {"model": "starter", "messages": [{"role": "user", "content": QUESTION}]}
    app.http.post("/v1/chat/completions", json=body).raise_for_status()


def state(app: Running) -> dict[str, Any]:
    """All conversations, which models are open, and how much they have computed."""
    listed = app.http.get("/api/conversations?limit=200").json()["conversations"]
    talks = {card["id"]: app.http.get(f"/api/conversations/{card['id']}").json() for card in listed}
    counters = re.findall(
        r"^hearth_(?:answers|prompt_tokens|completion_tokens)_total.*$", app.http.get("/metrics").text, re.MULTILINE
    )
    assert len(counters) >= 3
    return {"talks": talks, "counters": counters, "models": app.http.get("/api/models").json()}


def refused(app: Running) -> float:
    counts = re.findall(
        r'^hearth_http_requests_total\{.*status="403"\} (\S+)$', app.http.get("/metrics").text, re.MULTILINE
    )
    return sum(map(float, counts))


def attack(page: Any, app: Running, talk: str, token: str | None, target: str | None = None) -> None:
    before, refused_before = state(app), refused(app)
    assert talk in before["talks"]
    found = page.evaluate(ATTACK, {"target": target or app.url, "talk": talk, "token": token})
    assert found["seen"] == []
    assert SECRET not in json.dumps(found)
    assert state(app) == before
    assert refused(app) > refused_before + 30, "they have been sent"


def test_the_same_from_the_page_itself_reads_and_changes_everything(
    open_window: OpenWindow, app: Running, entry: Entry, talk: str
) -> None:
    window = open_window(f"/#/c/{talk}")
    window.forgive += [
        "Failed to load resource",
        "Content Security Policy",
        "violates",
        "Refused",
        "WebSocket",
        "EventSource",
    ]
    before = state(app)
    found = window.page.evaluate(ATTACK, {"target": app.url, "talk": talk, "token": token_of(entry)})
    after = state(app)
    assert SECRET in json.dumps(found["seen"])
    assert talk not in after["talks"]
    assert after["counters"] != before["counters"]
    planted = [id for id in after["talks"] if id not in before["talks"]]
    assert planted
    for id in planted:
        app.http.delete(f"/api/conversations/{id}").raise_for_status()


@pytest.mark.parametrize("knows", ["nothing", "token"])
def test_a_page_on_another_port_of_this_machine_gets_nothing(
    open_window: OpenWindow, app: Running, entry: Entry, talk: str, lair: str, knows: str
) -> None:
    window = open_window(f"/#/c/{talk}")
    real = window.page
    expect(real.get_by_text(SECRET).last).to_be_visible()
    evil = real.context.new_page()  # beside it: same profile, same storage, same cookies
    real.context.unroute_all()
    evil.goto(f"http://127.0.0.1:{lair}/")
    attack(evil, app, talk, token_of(entry) if knows == "token" else None)
    assert real.context.cookies() == []
    ask(real, QUESTION)
    expect(answers(real).last).to_contain_text(ANSWER)


@pytest.mark.parametrize("knows", ["nothing", "token"])
def test_a_name_that_is_made_to_point_here_gets_nothing(
    rebound: Any, app: Running, entry: Entry, talk: str, lair: str, knows: str
) -> None:
    context = rebound.new_context()
    real = context.new_page()
    real.goto(entry.link(app.url))
    real.goto(f"{app.url}/#/c/{talk}")
    expect(real.get_by_text(SECRET).last).to_be_visible()
    token = token_of(entry) if knows == "token" else None
    own_port, other_port = f"http://{EVIL}:{app.port}", f"http://{EVIL}:{lair}"
    for origin in (own_port, other_port):
        evil = context.new_page()
        assert evil.goto(f"{own_port}/").status == 403
        # His page came while the name still pointed to him.
        evil.route(f"{origin}/", lambda route: route.fulfill(body=KITTENS, content_type="text/html"), times=1)
        evil.goto(f"{origin}/")
        attack(evil, app, talk, token, own_port)
        attack(evil, app, talk, token)
        evil.close()
    ask(real, QUESTION)
    expect(answers(real).last).to_contain_text(ANSWER)
    context.close()


def test_a_window_that_another_page_opens_is_out_of_its_reach(
    open_window: OpenWindow, app: Running, talk: str, lair: str
) -> None:
    real = open_window(f"/#/c/{talk}").page
    evil = real.context.new_page()
    real.context.unroute_all()
    evil.goto(f"http://127.0.0.1:{lair}/")
    reached = evil.evaluate(
        """async (url) => {
          const other = window.open(url);
          await new Promise((done) => setTimeout(done, 1500));
          try { return other.document.body.innerText; } catch (error) { return error.name; }
        }""",
        app.url,
    )
    assert SECRET not in str(reached)
    assert reached in ("SecurityError", "TypeError", "", None)
