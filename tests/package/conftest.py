"""stories260K, its bundles for WebAssembly and for this machine, and what it answers here."""

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

from hearth import LLM

PROMPT = "Once upon a time, there was a little"
TOKENS = 40


@pytest.fixture(scope="session")
def stories(shared_data: Path) -> Path:
    return shared_data / "tinyllamas-stories260K" / "stories260K.gguf"


@pytest.fixture(scope="session")
def bundle_folder(stories: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_here(stories, tmp_path_factory.mktemp("bundle") / "wasm", target="wasm32", precision="high")


@pytest.fixture(scope="session")
def native_folder(stories: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_here(stories, tmp_path_factory.mktemp("native") / "bundle", precision="high")


@pytest.fixture(scope="session")
def expected(native_folder: Path) -> str:
    with LLM(native_folder, context=256, threads=2, repetition_stop=False, trust_bundle=True) as llm:
        return llm.generate(PROMPT, max_tokens=TOKENS, temperature=0.0).text
