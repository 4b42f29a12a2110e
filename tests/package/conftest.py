"""stories260K: its bundles, its site, what it answers natively; and a browser that visits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.compiler.compiled import compile_here
from tests.web.browsers import launched

from hearth import LLM
from hearth.bundle import open_bundle
from hearth.package import Site, write_site

from .site_server import PATIENCE_MS, PROMPT, TOKENS, SiteServer

CHUNK_BYTES = 100_000
# A name that browsers do not trust as they trust localhost.
ELSEWHERE = "elsewhere.test"


@pytest.fixture(scope="session")
def stories(shared_data: Path) -> Path:
    return shared_data / "tinyllamas-stories260K" / "stories260K.gguf"


@pytest.fixture(scope="session")
def bundle_folder(stories: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_here(stories, tmp_path_factory.mktemp("bundle") / "wasm", target="wasm32", precision="high")


@pytest.fixture(scope="module")
def site(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    bundle = open_bundle(bundle_folder, for_this_machine=False)
    return write_site(bundle, tmp_path_factory.mktemp("site") / "site", chunk_bytes=CHUNK_BYTES)


@pytest.fixture
def server(site: Site) -> Iterator[SiteServer]:
    server = SiteServer(site.path)
    yield server
    server.close()


@pytest.fixture(scope="module")  # one at a time: modules that visit in other browsers have their own
def browser() -> Iterator[Any]:
    with launched("chromium", local_name=ELSEWHERE) as browser:
        yield browser


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    """A visitor who was never here."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture(scope="session")
def native_folder(stories: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_here(stories, tmp_path_factory.mktemp("native") / "bundle", precision="high")


@pytest.fixture(scope="session")
def expected(native_folder: Path) -> str:
    with LLM(native_folder, context=256, threads=2, repetition_stop=False, trust_bundle=True) as llm:
        return llm.generate(PROMPT, max_tokens=TOKENS, temperature=0.0).text
