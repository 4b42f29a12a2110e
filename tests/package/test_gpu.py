"""A packaged site in a browser with WebGPU, which a program plays: it answers as natively, also after the GPU was lost
in the middle of an answer, and where the GPU computes something else."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.compiler.compiled import compile_here
from tests.package.conftest import CHUNK_BYTES
from tests.package.site_server import PATIENCE_MS, TOKENS, SiteServer, answer, begin, visit
from tests.wasm.conftest import changed_bundle
from tests.wasm.gpu_page import needs_chromium
from tests.wasm.test_gpu_race import RACING, SHADERS, core_of, damaged, kernels
from tests.web.browsers import launched

from hearth import LLM
from hearth.bundle import KNOWN_ANSWERS, open_bundle
from hearth.hub.local import STARTER_PATH
from hearth.package import Site, write_site
from hearth.prepare import known_answers

pytestmark = needs_chromium

WITH_GPU = "?device=webgpu"

# In front of the worker's script. Keeps the devices that it opens, and on demand takes the GPU away while it computes.
WATCHED = """
const devices = [];
const request = GPUAdapter.prototype.requestDevice;
GPUAdapter.prototype.requestDevice = async function (...given) {
  const device = await request.apply(this, given);
  devices.push(device);
  return device;
};
let left = Infinity;
const submit = GPUQueue.prototype.submit;
GPUQueue.prototype.submit = function (...given) {
  submit.apply(this, given);
  if (--left === 0) devices.at(-1).destroy();
};
const test = new BroadcastChannel("test");
test.onmessage = ({ data }) => {
  if (typeof data === "number") left = data;
  else test.postMessage({ devices: devices.length, left });
};
"""

# One that cannot be had again.
ONCE = """
const find = GPU.prototype.requestAdapter;
GPU.prototype.requestAdapter = async function (...given) {
  return devices.length > 0 ? null : await find.apply(this, given);
};
"""

# A GPU of which nobody knows that a program plays it.
DISGUISED = 'Object.defineProperty(GPUAdapterInfo.prototype, "isFallbackAdapter", { get: () => false });\n'


def with_answers(bundle: Path, native: Path, folder: Path) -> Path:
    """With known answers, and without variants: which of these win is a matter of speed, which words come is not."""
    known = known_answers(open_bundle(native))
    assert known is not None
    return changed_bundle(bundle, folder, {KNOWN_ANSWERS: known.encode(), SHADERS: core_of(bundle)})


@pytest.fixture(scope="module")
def checked(bundle_folder: Path, native_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_answers(bundle_folder, native_folder, tmp_path_factory.mktemp("checked") / "bundle")


@pytest.fixture(scope="module")
def site(checked: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    bundle = open_bundle(checked, for_this_machine=False)
    return write_site(bundle, tmp_path_factory.mktemp("site") / "site", chunk_bytes=CHUNK_BYTES)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched("chromium", gpu=True) as browser:
        yield browser


@contextmanager
def served(site: Site, folder: Path, *before: str) -> Iterator[SiteServer]:
    """A copy of a site whose worker begins with other scripts."""
    copied = Path(shutil.copytree(site.path, folder))
    worker = copied / "worker.js"
    worker.write_text("".join(before) + worker.read_text())
    server = SiteServer(copied)
    try:
        yield server
    finally:
        server.close()


def device_of(page: Any) -> str:
    text: str = page.locator(".disclaimer").inner_text()
    return text


def tell_worker(page: Any, message: int | str) -> Any:
    """To WATCHED; answers what it says to a text."""
    return page.evaluate(
        """(message) => new Promise((resolve) => {
          const channel = new BroadcastChannel("test");
          channel.onmessage = ({ data }) => resolve(data);
          channel.postMessage(message);
          if (typeof message === "number") resolve(null);
        })""",
        message,
    )


def test_it_answers_as_natively_and_again_without_a_network(context: Any, server: SiteServer, expected: str) -> None:
    page = visit(context, server.url + WITH_GPU)
    begin(page)
    assert answer(page) == expected
    assert device_of(page) == "On this device's GPU: google swiftshader. It was checked."
    assert {count for path, count in server.asked.items() if path.startswith("/blobs/")} == {1}
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    server.close()
    page.reload()
    assert answer(page) == expected
    assert "GPU" in device_of(page)


def test_an_answer_goes_on_after_the_gpu_was_lost_in_its_middle(
    context: Any, site: Site, tmp_path: Path, expected: str
) -> None:
    with served(site, tmp_path / "site", WATCHED) as server:
        page = visit(context, server.url + WITH_GPU)
        begin(page)
        page.locator(".disclaimer").wait_for()
        tell_worker(page, 20)  # the prompt and some tokens
        assert answer(page) == expected
        told = tell_worker(page, "?")
        assert told["left"] < 0
        assert told["devices"] == 2
        fetched = {count for path, count in server.asked.items() if path.startswith("/blobs/")}
        assert fetched == {1}, "loaded from where it is kept"
        page.get_by_role("button", name="New chat").click()
        page.get_by_text("Settings").click()
        assert answer(page) == expected


def test_an_answer_goes_on_on_the_processor_where_the_gpu_is_gone(
    context: Any, site: Site, tmp_path: Path, expected: str
) -> None:
    with served(site, tmp_path / "site", WATCHED, ONCE, DISGUISED) as server:
        page = visit(context, server.url)
        begin(page)
        page.locator(".disclaimer").wait_for()
        assert "GPU" in device_of(page)
        tell_worker(page, 20)
        assert answer(page) == expected
        assert tell_worker(page, "?")["devices"] == 1


def test_a_gpu_that_computes_something_else_is_not_used(
    context: Any, checked: Path, tmp_path: Path, expected: str
) -> None:
    shaders = kernels(checked)
    broken = "".join(damaged(each) if RACING.match(name) else each for name, each in shaders.items())
    folder = changed_bundle(checked, tmp_path / "bundle", {SHADERS: broken.encode()})
    site = write_site(open_bundle(folder, for_this_machine=False), tmp_path / "site")
    with served(site, tmp_path / "served", DISGUISED) as server:
        page = visit(context, server.url)
        begin(page)
        assert answer(page) == expected
        assert "On this device's processor. The GPU google swiftshader does not compute what" in device_of(page)


def test_the_starter_chats_as_natively(context: Any, tmp_path: Path) -> None:
    question = "What is the capital of France?"
    native = compile_here(STARTER_PATH, tmp_path / "native", precision="high")
    with LLM(native, context=256, threads=2, repetition_stop=False, trust_bundle=True) as llm:
        expected = llm.chat(question, max_tokens=TOKENS, temperature=0.0).text
    bundle = compile_here(STARTER_PATH, tmp_path / "wasm", target="wasm32", precision="high")
    folder = with_answers(bundle, native, tmp_path / "checked")
    site = write_site(open_bundle(folder, for_this_machine=False), tmp_path / "site")
    with served(site, tmp_path / "served") as server:
        page = visit(context, server.url + WITH_GPU)
        begin(page)
        assert answer(page, question, "Message").strip() == expected.strip()
        assert "It was checked." in device_of(page)


def test_a_page_that_was_closed_goes_on_at_the_chunk(context: Any, server: SiteServer, expected: str) -> None:
    server.holds_after = 6
    page = visit(context, server.url + WITH_GPU)
    begin(page)
    assert server.held.wait(PATIENCE_MS / 1000)
    page.close()
    server.release()
    page = visit(context, server.url + WITH_GPU)
    assert answer(page) == expected
    assert "GPU" in device_of(page)
    counts = Counter(count for path, count in server.asked.items() if path.startswith("/blobs/"))
    assert set(counts) == {1, 2}
    assert counts[2] == 1


def test_with_a_full_quota_it_says_so_and_answers(context: Any, server: SiteServer, expected: str) -> None:
    page = visit(context, server.url + WITH_GPU)
    quota = {"origin": server.url, "quotaSize": 600_000}
    context.new_cdp_session(page).send("Storage.overrideQuotaForOrigin", quota)
    begin(page)
    assert answer(page) == expected
    assert "GPU" in device_of(page)
    assert "cannot keep the model for the next time" in page.locator(".notice").inner_text()
