"""Answers of a packaged page: Markdown, by the code of `hearth app`, under the page's own policy.

No model that is small enough for a test writes tables and formulas: a worker that says what the test wants takes its
place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.waiting import wait_for

from .conftest import ELSEWHERE
from .site_server import SiteServer, begin, visit

RICH = """\
A **rainbow** forms at about $42^\\circ$:

$$D(\\theta) = \\pi + 2\\theta - 4\\arcsin\\frac{\\sin\\theta}{n}$$

| Colour | Index |
|:--|--:|
| Red | 1.3314 |

```python
def index(colour: str) -> float:
    return {"red": 1.3314}[colour]  # of water
```

مرحبا، **قوس قزح** جميل. 彩虹很**美**。

![picture](https://example.com/p.png) <img src="https://example.com/q.png" onerror="alert(1)">
<script src="https://example.com/s.js"></script> <b>plain</b> [run](javascript:alert(1))
"""

# What `answerCalls` of @hearth/web answers, with pieces of text in place of a model.
WORKER = """
const pieces = PIECES;
addEventListener("message", async ({ data: { name }, ports: [port] }) => {
  if (name === "open") {
    port.postMessage({ value: { name: "a model", device: { kind: "wasm", name: "", why: "" }, chats: true } });
    return;
  }
  let isEnded = false;
  port.onmessage = () => (isEnded = true);
  for (const content of pieces) {
    if (isEnded) break;
    port.postMessage({ item: { choices: [{ delta: { content } }] } });
    await new Promise((then) => setTimeout(then, 1));
  }
  port.postMessage({ value: null });
});
"""

# Refuses what is long, and else answers with all that it was told.
TELLS_WHAT_IT_HEARD = """
addEventListener("message", ({ data: { name, argument }, ports: [port] }) => {
  if (name === "open") {
    port.postMessage({ value: { name: "a model", device: { kind: "wasm", name: "", why: "" }, chats: true } });
    return;
  }
  const { messages } = argument.request;
  if (messages.at(-1).content.length > 1000) {
    const told = { what: "The prompt leaves no room.", why: "", hint: "Use a larger context." };
    port.postMessage({ error: { name: "HearthError", kind: "context", ...told } });
    return;
  }
  const content = messages.map(({ role, content }) => `${role}: ${content}`).join(", ");
  port.postMessage({ item: { choices: [{ delta: { content } }] } });
  port.postMessage({ value: null });
});
"""


HAS_ALL = """async () => {
  const cache = await caches.open(`hearth-page ${location.href}`);
  const names = ["later/katex.css", "later/languages.js", "later/KaTeX_Main-Regular.woff2"];
  return (await Promise.all(names.map((name) => cache.match(name)))).every(Boolean);
}"""


@dataclass
class Talk:
    """A page whose model answers what it was told to.

    Attributes:
        requests: addresses outside of the site that were asked for.
        complaints: errors in the page's console.
    """

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def ask(self, words: str) -> Any:
        box = self.page.get_by_role("textbox", name="Message")
        box.fill(words)
        self.page.get_by_role("button", name="Send").click()
        self.page.get_by_role("button", name="Stop").wait_for(state="detached")
        return self.page.locator(".message.answer").last


@pytest.fixture
def talk(context: Any, server: SiteServer) -> Iterator[Any]:
    """Opens the page; a call with the answer's text. Nothing may be asked of others, and nothing be complained of."""
    talks: list[Talk] = []

    def begun(answer: str, url: str = server.url) -> Talk:
        pieces = [answer[at : at + 7] for at in range(0, len(answer), 7)]
        script = WORKER.replace("PIECES", json.dumps(pieces))
        context.route("**/worker.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
        page = visit(context, url)
        talk = Talk(page)
        origin = urlsplit(url).netloc
        page.on(
            "request",
            lambda asked: talk.requests.append(asked.url) if urlsplit(asked.url).netloc not in (origin, "") else None,
        )
        page.on("console", lambda said: talk.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: talk.complaints.append(str(error)))
        talks.append(talk)
        begin(page)
        return talk

    yield begun
    for each in talks:
        assert each.requests == []
        assert each.complaints == []


def test_an_answer_shows_tables_code_and_formulas_and_asks_nobody_for_its_pictures(talk: Any, context: Any) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    talk = talk(RICH)
    answer = talk.ask("Tell me about rainbows.")
    answer.locator(".katex").nth(1).wait_for()
    assert answer.locator("td").last.inner_text() == "1.3314"
    answer.locator(".hljs-keyword").first.wait_for()
    assert answer.locator("img, script, [onerror], [href^=javascript]").count() == 0
    assert answer.locator("b").inner_text() == "plain"
    assert answer.get_by_role("link", name="Image: picture").get_attribute("rel") == "noopener noreferrer"
    assert answer.locator("strong").all_inner_texts() == ["rainbow", "قوس قزح", "美"]
    arabic = answer.locator("p", has_text="قوس")
    assert arabic.evaluate("e => getComputedStyle(e).direction") == "rtl"
    assert answer.locator("p").first.evaluate("e => getComputedStyle(e).direction") == "ltr"
    wait_for(lambda: bool(talk.page.evaluate("document.fonts.check('16px KaTeX_Main')")))
    answer.get_by_role("button", name="Copy code").click()
    answer.get_by_role("button", name="Copied").wait_for()
    assert talk.page.evaluate("navigator.clipboard.readText()").startswith("def index(colour: str)")


def test_a_message_that_was_too_long_does_not_end_the_conversation(context: Any, server: SiteServer) -> None:
    context.route("**/worker.js", lambda route: route.fulfill(body=TELLS_WHAT_IT_HEARD, content_type="text/javascript"))
    talk = Talk(visit(context, server.url))
    begin(talk.page)
    assert talk.ask("one").locator("p").inner_text() == "user: one"
    assert talk.ask("x" * 2000).locator("p").count() == 0
    assert talk.page.get_by_role("alert").inner_text().split("\n\n") == [
        "The prompt leaves no room.",
        "Write less at once, or begin a new chat.",
    ]
    assert talk.ask("two").locator("p").inner_text() == "user: one, assistant: user: one, user: two"


def test_code_is_copied_where_the_page_came_over_plain_http_too(talk: Any, server: SiteServer) -> None:
    talk = talk("```\n1 + 1\n```\n", f"http://{ELSEWHERE}:{server.port}/")
    answer = talk.ask("Code, please.")
    answer.get_by_role("button", name="Copy code").press("Enter")
    answer.get_by_role("button", name="Copied").wait_for()
    box = talk.page.get_by_role("textbox", name="Message")
    box.focus()
    talk.page.keyboard.press("Control+v")
    assert box.input_value() == "1 + 1"


def test_formulas_and_colours_are_there_without_a_network(talk: Any, context: Any, server: SiteServer) -> None:
    talk = talk(RICH)
    page = talk.page
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    wait_for(lambda: bool(page.evaluate(HAS_ALL)))
    context.set_offline(True)
    server.close()
    answer = talk.ask("Tell me about rainbows.")
    answer.locator(".katex").nth(1).wait_for()
    answer.locator(".hljs-keyword").first.wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_assistive_technology_finds_nothing_to_complain_about(talk: Any, context: Any, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is missing").Axe()
    talk = talk(RICH)
    page = talk.page
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": 360, "height": 700})
    answer = talk.ask("Tell me about rainbows.")
    answer.locator(".katex").nth(1).wait_for()
    answer.locator(".hljs-keyword").first.wait_for()
    found = axe.run(page).response["violations"]
    assert [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    thread = page.locator(".thread")
    assert thread.evaluate("e => e.scrollWidth <= e.clientWidth")
    wait_for(lambda: bool(thread.evaluate("e => e.scrollHeight - e.scrollTop - e.clientHeight < 2")))
