"""The page itself: nothing from elsewhere, every size and colour, two languages, keyboard, assistive technology."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from hearth import LLM
from hearth.server.chatpage import Entry, chat_page
from hearth.server.models import Models, ModelSettings
from hearth.store import Store
from server.running import Running, running

from .conftest import OpenWindow
from .steps import ANSWER, QUESTION, answers, ask, choose, expect, questions

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

![picture](https://example.com/p.png) <img src="https://example.com/q.png" onerror="alert(1)">
<script src="https://example.com/s.js"></script> <b>plain</b>
"""


@pytest.fixture
def rich(app: Running) -> str:
    """A conversation with everything that an answer can hold. It comes by import: the starter model writes no code."""
    messages = [
        {"role": "user", "content": "Tell me about rainbows."},
        {"role": "assistant", "content": RICH, "thinking": "They ask about **light**."},
    ]
    talk = {"format": "hearth-conversation", "version": 1, "model": "starter", "system": "", "messages": messages}
    response = app.http.post("/api/conversations/import", json=talk)
    response.raise_for_status()
    return str(response.json()["id"])


def test_an_answer_shows_tables_code_and_maths_and_asks_nobody_for_its_pictures(
    open_window: OpenWindow, rich: str
) -> None:
    page = open_window(f"/#/c/{rich}", permissions=["clipboard-read", "clipboard-write"]).page
    answer = answers(page)
    expect(answer.locator(".katex")).to_have_count(2)
    expect(answer.locator("td").last).to_have_text("1.3314")
    expect(answer.locator(".hljs-keyword").first).to_have_text("def")
    expect(answer.get_by_role("link", name="Image: picture")).to_be_visible()
    expect(answer.locator("img, script")).to_have_count(0)
    expect(answer.locator("b")).to_have_text("plain")
    assert page.evaluate("document.fonts.check('16px KaTeX_Main')")
    answer.get_by_role("button", name="Copy code").click()
    expect(answer.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith("def index(colour: str)")


def test_thinking_is_folded_until_it_is_asked_for(open_window: OpenWindow, rich: str) -> None:
    answer = answers(open_window(f"/#/c/{rich}").page)
    expect(answer.get_by_text("They ask about")).not_to_be_visible()
    answer.get_by_text("Thought", exact=True).click()
    expect(answer.get_by_text("They ask about")).to_be_visible()


def test_dark_and_light_follow_the_system_until_one_is_chosen(open_window: OpenWindow) -> None:
    page = open_window(color_scheme="dark").page
    body = page.locator("body")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="light")
    expect(body).not_to_have_css("background-color", dark)
    page.get_by_role("button", name="Preferences").click()
    page.get_by_role("button", name="Dark").click()
    expect(body).to_have_css("background-color", dark)
    page.reload()
    expect(body).to_have_css("background-color", dark)


def test_the_page_speaks_chinese_where_the_browser_does_and_where_it_is_chosen(open_window: OpenWindow) -> None:
    page = open_window(locale="zh-CN").page
    expect(page.get_by_role("button", name="新对话").first).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    page.get_by_role("button", name="偏好").click()
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("button", name="New chat").first).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="New chat").first).to_be_visible()


def test_on_a_phone_the_list_is_a_drawer_and_nothing_is_wider_than_the_screen(
    open_window: OpenWindow, rich: str
) -> None:
    phone = {"viewport": {"width": 360, "height": 700}, "has_touch": True, "is_mobile": True}
    page = open_window(**phone).page
    expect(page.get_by_role("complementary")).to_have_count(0)
    page.get_by_role("button", name="Show conversations").click()
    expect(page.get_by_role("complementary", name="Conversations")).to_be_visible()
    page.get_by_role("link", name="Tell me about rainbows").first.click()
    expect(page.get_by_role("complementary")).to_have_count(0)
    expect(answers(page).locator(".katex").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.locator(".thread").evaluate("e => e.scrollWidth <= e.clientWidth")
    page.get_by_label("Message", exact=True).fill(QUESTION)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(questions(page)).to_have_count(2)


def test_everything_can_be_done_from_the_keyboard(page: Any) -> None:
    box = page.get_by_label("Message", exact=True)
    expect(box).to_be_focused()
    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")
    expect(answers(page)).to_contain_text(ANSWER)
    expect(answers(page).get_by_role("button", name="Answer again")).to_be_enabled()

    page.keyboard.press("ArrowUp")
    expect(page.get_by_label("Edit your message")).to_be_focused()
    page.keyboard.press("Escape")
    expect(box).to_be_focused()

    page.locator(".thread").focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("/")
    expect(box).to_be_focused()

    page.keyboard.press("Control+b")
    expect(page.get_by_role("complementary", name="Conversations")).to_have_count(0)
    page.keyboard.press("Control+b")
    page.keyboard.press("Control+,")
    expect(page.get_by_label("System prompt")).to_be_focused()
    page.keyboard.press("Control+,")
    page.keyboard.press("Control+Shift+O")
    expect(questions(page)).to_have_count(0)
    expect(box).to_be_focused()


def test_a_menu_is_walked_with_arrows_and_gives_the_focus_back(page: Any) -> None:
    button = page.get_by_role("button", name="Preferences")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="As the system")).to_be_focused()
    page.keyboard.press("Escape")
    expect(button).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_assistive_technology_finds_nothing_to_complain_about(open_window: OpenWindow, rich: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is missing").Axe()

    def clean(page: Any) -> None:
        for _ in range(5):
            violations = axe.run(page).response["violations"]
            found = [(v["id"], [node["html"][:200] for node in v["nodes"]]) for v in violations]
            if not found:
                return
            page.wait_for_timeout(200)  # it may have looked while a dialog was opening: what is wrong stays wrong
        assert found == []

    page = open_window(color_scheme=scheme).page
    clean(page)
    page.get_by_role("button", name="Model: starter").click()
    clean(page)
    page.goto(page.url.split("#")[0] + f"#/c/{rich}")
    expect(answers(page).locator(".katex").first).to_be_visible()
    page.get_by_role("button", name="Settings of this conversation").click()
    answers(page).get_by_text("Thought", exact=True).click()
    clean(page)
    page.get_by_role("searchbox").fill("rainbow")
    expect(page.locator("mark").first).to_be_visible()
    choose(page, "Tell me about rainbows", "Delete")
    clean(page)
    phone = open_window(
        color_scheme=scheme, locale="zh-CN", viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True
    ).page
    clean(phone)
    phone.get_by_role("button", name="显示对话列表").click()
    clean(phone)


def test_the_page_comes_back_when_hearth_does(
    open_window: OpenWindow, starter: LLM, cache: Path, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    entry = Entry(tmp_path)

    def serve(port: int = 0) -> Any:
        models = Models(["starter"], ModelSettings(threads=1, offline=True))
        return running(models, load=["starter"], page=chat_page(store, entry), keys=entry.keys, port=port)

    with serve() as first:
        window = open_window(link=entry.link(first.url))
        page = window.page
        window.forgive += ["ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET", "503"]
        ask(page, QUESTION)
        page.get_by_label("Message", exact=True).fill("What is the capital of Spain?")
    page.evaluate("dispatchEvent(new Event('online'))")  # looks at once instead of in a few seconds
    expect(page.get_by_text("Hearth is not running.")).to_be_visible()
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    expect(answers(page)).to_contain_text(ANSWER)
    with serve(first.port):
        expect(page.get_by_text("Hearth is not running.")).to_have_count(0)
        page.get_by_role("button", name="Send", exact=True).click()
        expect(answers(page)).to_have_count(2)
        expect(answers(page).last).to_contain_text("Madrid")
        time.sleep(0.1)
    store.close()
