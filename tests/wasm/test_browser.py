"""The package in a real browser: a bundle from a plain web server, computed in the page and in a worker."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.compiler.compiled import relative_error
from tests.serving import Handler, served
from tests.wasm.conftest import Bundles
from tests.wasm.node import HERE
from tests.wasm.test_forward import greedy
from tests.web.browsers import BROWSERS, launched

from hearth.compiler.cpu.targets import ISAS
from hearth.runtime import Model, TextSession

DIST = Path(__file__).resolve().parents[2] / "web" / "runtime" / "dist"
PROMPT = [1, 20, 33, 9, 77, 5]

IN_PAGE = "async (request) => (await import('/compute.js')).compute(request)"
IN_WORKER = "async (request) => (await import('/compute.js')).computeInWorker(request)"


ISOLATION = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}


class IsolatedHandler(Handler):
    headers_of_all = ISOLATION


@pytest.fixture(scope="module")
def root(exact: Bundles, int8: Bundles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of web servers: the package and the bundles."""
    root = tmp_path_factory.mktemp("site")
    for name, folder in (("dist", DIST), ("exact", exact.wasm), ("int8", int8.wasm)):
        (root / name).symlink_to(folder)
    (root / "compute.js").symlink_to(HERE / "compute.js")
    (root / "index.html").write_text("<!doctype html><link rel=icon href=data:,><title>Bundles</title>")
    return root


@pytest.fixture(scope="module", params=BROWSERS)
def browser(request: pytest.FixtureRequest) -> Iterator[Any]:
    with launched(request.param) as browser:
        yield browser


def open_page(browser: Any, origin: str) -> Any:
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.goto(origin)
    return page


@pytest.fixture(scope="module")
def page(root: Path, browser: Any) -> Iterator[Any]:
    """Of a server that has no headers of its own, as most."""
    with served(root, Handler) as origin:
        yield open_page(browser, origin)


@pytest.fixture(scope="module")
def isolated_page(root: Path, browser: Any) -> Iterator[Any]:
    with served(root, IsolatedHandler) as origin:
        yield open_page(browser, origin)


def answer_natively(folder: Path) -> tuple[Any, list[int]]:
    table = np.array([[2]], np.int32)
    with Model(folder) as model, TextSession(model, num_pages=32, threads=2) as session:
        ids = range(len(PROMPT))
        logits = np.array(session.forward(PROMPT, ids, [0] * len(PROMPT), table, ids).logits)
        return logits, greedy(session, PROMPT, 64)


@pytest.mark.parametrize("where", ["page", "worker"])
@pytest.mark.parametrize("isa", [isa.name for isa in ISAS.values() if isa.architecture == "wasm32"])
@pytest.mark.parametrize("name", ["exact", "int8"])
def test_it_computes_what_is_computed_natively(
    exact: Bundles, int8: Bundles, page: Any, name: str, isa: str, where: str
) -> None:
    bundles = {"exact": exact, "int8": int8}[name]
    request = {"folder": name, "isa": isa, "prompt": PROMPT}
    answer = page.evaluate(IN_PAGE if where == "page" else IN_WORKER, request)
    assert answer["isa"] == isa
    logits, tokens = answer_natively(bundles.native)
    mine = np.frombuffer(base64.b64decode(answer["logits"]), np.float32).reshape(logits.shape)
    assert relative_error(mine, logits) < (1e-5 if name == "exact" else 5e-2)
    assert answer["tokens"] == tokens if name == "exact" else len(answer["tokens"]) == 64
    done = [told[0] for told in answer["told"]]
    assert done == sorted(done)
    assert answer["told"][-1][0] == answer["told"][-1][1] > (bundles.wasm / "weights.bin").stat().st_size


def test_the_best_that_the_browser_knows_is_chosen(page: Any) -> None:
    answer = page.evaluate(IN_PAGE, {"folder": "int8", "isa": None, "prompt": PROMPT})
    assert answer["isa"] == "relaxed"


def test_a_bundle_that_is_not_there_is_told_of(page: Any) -> None:
    request = {"folder": "nothing", "isa": None, "prompt": PROMPT}
    caught = f"async (request) => {{ try {{ await ({IN_PAGE})(request) }} catch (e) {{ return [e.kind, e.message] }} }}"
    kind, message = page.evaluate(caught, request)
    assert kind == "corrupt"
    assert "/nothing/manifest.json cannot be fetched. The server answered 404." in message


@pytest.mark.parametrize("where", ["page", "worker"])
@pytest.mark.parametrize("name", ["exact", "int8"])
def test_an_isolated_page_computes_the_same_bits_on_several_threads(isolated_page: Any, name: str, where: str) -> None:
    assert isolated_page.evaluate("crossOriginIsolated") is True
    script = IN_PAGE if where == "page" else IN_WORKER
    request = {"folder": name, "isa": None, "prompt": PROMPT}
    one, several = (isolated_page.evaluate(script, request | {"threads": threads}) for threads in (1, 3))
    assert (one["device"]["name"], one["device"]["threads"]) == ("relaxed, 1 thread", 1)
    assert (several["device"]["name"], several["device"]["threads"]) == ("relaxed, 3 threads", 3)
    assert "thread" not in several["device"]["why"]
    assert several["logits"] == one["logits"]
    assert several["tokens"] == one["tokens"]


@pytest.mark.parametrize("where", ["page", "worker"])
def test_a_page_that_is_not_isolated_computes_on_one_thread_and_says_why(page: Any, where: str) -> None:
    script = IN_PAGE if where == "page" else IN_WORKER
    answer = page.evaluate(script, {"folder": "int8", "isa": None, "prompt": PROMPT, "threads": 3})
    assert answer["device"]["threads"] == 1
    assert "1 thread, as the page is not cross-origin isolated." in answer["device"]["why"]


def test_workers_that_a_page_refuses_are_done_without(isolated_page: Any) -> None:
    page = open_page(isolated_page.context.browser, isolated_page.url)
    answer = page.evaluate(
        """async (request) => {
          const policy = document.createElement("meta");
          policy.httpEquiv = "Content-Security-Policy";
          policy.content = "worker-src 'none'";
          document.head.append(policy);
          return (await import('/compute.js')).compute(request);
        }""",
        {"folder": "int8", "isa": None, "prompt": PROMPT, "threads": 3},
    )
    assert answer["device"]["threads"] == 1
    assert "no more workers start" in answer["device"]["why"]
