"""A page whose model is in a worker or a service worker, in Chromium: it answers as natively, also after the browser
has stopped the service worker meanwhile."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.compiler.compiled import compile_here
from tests.wasm.node import HERE
from tests.wasm.test_browser import DIST, Handler
from tests.web.browsers import ARGUMENTS, CHROMIUM

REQUEST = {"prompt": "", "max_tokens": 48, "temperature": 0.0}
SCRIPTS = ("model_page.js", "model_worker.js", "webllm_worker.js")


@pytest.fixture(scope="module")
def page(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Of a site with the package and stories260K."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    root = tmp_path_factory.mktemp("site")
    source = shared_data / "tinyllamas-stories260K" / "stories260K.gguf"
    compile_here(source, root / "stories", precision="high", target="wasm32")
    (root / "dist").symlink_to(DIST)
    for script in SCRIPTS:
        (root / script).symlink_to(HERE / script)
    (root / "index.html").write_text("<!doctype html><link rel=icon href=data:,><title>A model</title>")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=root))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"http://127.0.0.1:{server.server_port}")
        yield page
        browser.close()
    server.shutdown()
    thread.join()
    server.server_close()


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


@pytest.mark.parametrize("where", ["worker", "service worker"])
def test_a_model_elsewhere_answers(page: Any, expected: str, where: str) -> None:
    assert call(page, "open", where, "/stories") == "stories260K.gguf"
    answer = call(page, "ask", REQUEST)
    assert answer["text"] == answer["streamed"]
    assert answer["text"]
    assert expected.startswith(answer["text"])
    assert answer["usage"]["completion_tokens"] == REQUEST["max_tokens"]
    if where == "service worker":
        devtools = page.context.new_cdp_session(page)
        devtools.send("ServiceWorker.enable")
        devtools.send("ServiceWorker.stopAllWorkers")
        assert call(page, "ask", REQUEST)["text"] == answer["text"]
    call(page, "close")


def test_a_program_for_web_llm_runs(page: Any, expected: str) -> None:
    answer = call(page, "byWebLlm", "/stories", REQUEST)
    assert answer["text"] == answer["message"]
    assert answer["text"]
    assert expected.startswith(answer["text"])
    assert "decoding" in answer["stats"]
    assert answer["reports"][0] == 0
    assert answer["reports"][-1] == 1
