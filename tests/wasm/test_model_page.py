"""A page whose model is in a worker or a service worker: it answers as natively, also after the browser
has stopped the service worker meanwhile."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.compiler.compiled import compile_here
from tests.serving import Handler, served
from tests.wasm.node import HERE
from tests.wasm.test_browser import DIST
from tests.web.browsers import BROWSERS, launched

REQUEST = {"prompt": "", "max_tokens": 48, "temperature": 0.0}
MANIFEST = "/stories/manifest.json"
SCRIPTS = ("model_page.js", "model_worker.js", "webllm_worker.js")


@pytest.fixture(scope="module")
def asked() -> Counter[str]:
    """What the site was asked for, and how often."""
    return Counter()


@pytest.fixture(scope="module")
def origin(shared_data: Path, tmp_path_factory: pytest.TempPathFactory, asked: Counter[str]) -> Iterator[str]:
    """Of a site with the package and stories260K."""

    class Counting(Handler):
        headers_of_all: ClassVar = {"Cache-Control": "no-store"}

        def do_GET(self) -> None:
            asked[self.path] += 1
            super().do_GET()

    root = tmp_path_factory.mktemp("site")
    source = shared_data / "tinyllamas-stories260K" / "stories260K.gguf"
    compile_here(source, root / "stories", precision="high", target="wasm32")
    (root / "dist").symlink_to(DIST)
    for script in SCRIPTS:
        (root / script).symlink_to(HERE / script)
    (root / "index.html").write_text("<!doctype html><link rel=icon href=data:,><title>A model</title>")
    with served(root, Counting) as origin:
        yield origin


@pytest.fixture(scope="module", params=BROWSERS)
def page(request: pytest.FixtureRequest, origin: str) -> Iterator[Any]:
    # Firefox stops a service worker that has nothing to do; else after half a minute.
    with launched(request.param, preferences={"dom.serviceWorkers.idle_timeout": 3000}) as browser:
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(origin)
        yield page


@pytest.fixture
def expected(shared_data: Path) -> str:
    """How the model's published code goes on from nothing."""
    golden = json.loads((shared_data / "tinyllamas-stories260K" / "expected_greedy.json").read_text())
    text: str = golden["text"]
    return text


def call(page: Any, name: str, *arguments: Any) -> Any:
    return page.evaluate(
        "async ([name, given]) => (await import('/model_page.js'))[name](...given)", [name, list(arguments)]
    )


def stops(page: Any) -> list[int]:
    """Has the browser stop its service workers; answers how many seconds it is left alone for that, in turn."""
    if page.context.browser.browser_type.name == "firefox":
        return [4, 8, 16, 32]
    devtools = page.context.new_cdp_session(page)
    devtools.send("ServiceWorker.enable")
    devtools.send("ServiceWorker.stopAllWorkers")
    return [0]


@pytest.mark.parametrize("where", ["worker", "service worker"])
def test_a_model_elsewhere_answers(page: Any, asked: Counter[str], expected: str, where: str) -> None:
    assert call(page, "open", where, "/stories") == "stories260K.gguf"
    answer = call(page, "ask", REQUEST)
    assert answer["text"] == answer["streamed"]
    assert answer["text"]
    assert expected.startswith(answer["text"])
    assert answer["usage"]["completion_tokens"] == REQUEST["max_tokens"]
    if where == "service worker":
        before = asked[MANIFEST]
        for seconds in stops(page):
            page.wait_for_timeout(1000 * seconds)
            assert call(page, "ask", REQUEST)["text"] == answer["text"]
            if asked[MANIFEST] > before:  # it knew of no model, and opened it again
                break
        assert asked[MANIFEST] > before
    call(page, "close")


def test_a_program_for_web_llm_runs(page: Any, expected: str) -> None:
    answer = call(page, "byWebLlm", "/stories", REQUEST)
    assert answer["text"] == answer["message"]
    assert answer["text"]
    assert expected.startswith(answer["text"])
    assert "decoding" in answer["stats"]
    assert answer["reports"][0] == 0
    assert answer["reports"][-1] == 1
