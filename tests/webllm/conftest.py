"""Programs for web-llm, built by a bundler with Hearth's package in the place of web-llm, in a page of a site with
two packaged models."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.compiler.compiled import compile_here
from tests.serving import served
from tests.wasm.node import NODE
from tests.web.browsers import ARGUMENTS, CHROMIUM
from tests.webllm.template import with_template

from hearth import LLM
from hearth.bundle import open_bundle
from hearth.chat.call_formats import call_formats
from hearth.package import write_site

PEERS = Path(__file__).resolve().parents[2] / "web" / "peers"
NPM = shutil.which("npm")
NODE_NEEDED = (20, 19)  # by Vite
UNREACHABLE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "ENOTCACHED")

# A chat is its messages one after the other. What a request says of thinking and tools can be seen in the answer.
TEMPLATE = """
{%- for message in messages %}{{ message.content }}
{%- for call in message.tool_calls or [] %}<tool_call>
{"name": {{ call.function.name | tojson }}, "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}{% endfor %}
{%- if tools %} They called {{ tools[0].function.name }} by <tool_call>.{% endif %}
{%- if enable_thinking is defined and not enable_thinking %} dog{% endif %}"""
FOR_PAGES: Any = {"target": "wasm32", "call_formats": call_formats}
TEMPLATES = {"stories": TEMPLATE, "tales": TEMPLATE + " boy"}

# Of web/peers/vite.config.ts, and into which folder of the site each is built.
MODES = {"production": ".", "service": ".", "background": "extension", "popup": "extension"}
PATIENCE_MS = 120_000

Run = Callable[[str, str], Any]


def npm(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert NPM is not None
    return subprocess.run([NPM, *arguments], cwd=PEERS, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the pages. What they import is installed first, as the lockfile has it."""
    if NPM is None or NODE is None:
        pytest.skip("needs node and npm")
    version = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, version.strip().lstrip("v").split(".")))[:2] < NODE_NEEDED:
        pytest.skip(f"needs node {'.'.join(map(str, NODE_NEEDED))} or newer; found {version.strip()}")
    installed = npm("ci", "--ignore-scripts", "--prefer-offline", "--fetch-retries=0")
    if any(code in installed.stderr for code in UNREACHABLE):
        pytest.skip("needs packages that npm cannot fetch here")
    assert installed.returncode == 0, installed.stderr
    output = tmp_path_factory.mktemp("pages") / "site"
    for mode, folder in MODES.items():
        done = npm("run", "build", "--", "--mode", mode, "--outDir", str(output / folder))
        assert done.returncode == 0, done.stdout + done.stderr
    return output


@pytest.fixture(scope="session")
def bundles(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """By the model's name, for this machine and for a page."""
    folder = tmp_path_factory.mktemp("bundles")
    source = shared_data / "tinyllamas-stories260K" / "stories260K.gguf"
    made = {}
    for name, template in TEMPLATES.items():
        model = with_template(source, folder / f"{name}.gguf", template)
        native = compile_here(model, folder / f"{name}-native", precision="high")
        made[name] = (native, compile_here(model, folder / f"{name}-web", precision="high", **FOR_PAGES))
    return made


@pytest.fixture(scope="session")
def natively(bundles: dict[str, tuple[Path, Path]]) -> Iterator[dict[str, LLM]]:
    """The models as Hearth itself runs them."""
    opened = {
        name: LLM(native, context=256, threads=2, repetition_stop=False, trust_bundle=True)
        for name, (native, _) in bundles.items()
    }
    yield opened
    for llm in opened.values():
        llm.close()


@pytest.fixture(scope="module")
def origin(built: Path, bundles: dict[str, tuple[Path, Path]]) -> Iterator[str]:
    """Of the site with the programs and the models."""
    for name, (_, web) in bundles.items():
        write_site(open_bundle(web, for_this_machine=False), built / name)
    with served(built) as origin:
        yield origin


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="module")
def page(origin: str, driver: Any) -> Iterator[Any]:
    browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(origin)
    page.wait_for_function("globalThis.run !== undefined")
    yield page
    browser.close()


@pytest.fixture
def popup(built: Path, origin: str, driver: Any, tmp_path: Path) -> Iterator[Any]:
    """The page of an extension, which answers with the model at an address."""
    extension = built / "extension"
    arguments = [*ARGUMENTS, f"--disable-extensions-except={extension}", f"--load-extension={extension}"]
    context = driver.chromium.launch_persistent_context(
        tmp_path, executable_path=CHROMIUM, args=arguments, ignore_default_args=["--disable-extensions"]
    )
    worker = context.service_workers[0] if context.service_workers else context.wait_for_event("serviceworker")
    page = context.new_page()
    page.goto(f"{worker.url.rpartition('/')[0]}/popup.html?{quote(f'{origin}/stories/model.json', safe='')}")
    yield page
    context.close()


@pytest.fixture
def run(page: Any) -> Run:
    """run(file, name) -> what the program of that name answers, in the page."""
    return lambda file, name: page.evaluate("(asked) => run(...asked)", [file, name, PATIENCE_MS])
