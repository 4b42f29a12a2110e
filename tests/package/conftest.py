"""stories260K, and its bundle for WebAssembly."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.compiler.compiled import compile_here


@pytest.fixture(scope="session")
def stories(shared_data: Path) -> Path:
    return shared_data / "tinyllamas-stories260K" / "stories260K.gguf"


@pytest.fixture(scope="session")
def bundle_folder(stories: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_here(stories, tmp_path_factory.mktemp("bundle") / "wasm", target="wasm32", precision="high")
