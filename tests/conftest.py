"""Fixtures that every test room may use."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hearth import LLM, Embedder

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Encoders = Callable[..., Embedder]
_SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real models, vocabularies and texts beside the repository; tests that need it skip where it is not.

    It is read from there and never copied into the repository: its files carry other people's licences.
    """
    if not _SHARED_DATA.is_dir():
        pytest.skip("needs the real data in ../shared/data, which is not on this machine")
    return _SHARED_DATA


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of bundles for all tests. HEARTH_TEST_CACHE names one to keep between runs."""
    kept = os.environ.get("HEARTH_TEST_CACHE")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("hearth-cache")
    patch = pytest.MonkeyPatch()
    patch.setenv("HEARTH_CACHE", str(folder))
    yield folder
    patch.undo()


@pytest.fixture(scope="session")
def starter(cache: Path) -> Iterator[LLM]:
    with LLM("starter", threads=2) as llm:
        yield llm


@pytest.fixture(scope="session")
def encoders(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encoders]:
    """Opens a golden encoder that reads text (tests/encoding/lettered.py), by its name, with 32-bit floats; the same
    again for the same."""
    from tests.encoding.lettered import lettered

    folder = tmp_path_factory.mktemp("lettered")
    known: dict[str, Embedder] = {}

    def open_one(name: str, **files: Any) -> Embedder:
        key = f"{name}{len(files)}"
        if key not in known:
            path = lettered(name, folder / key, **files)
            known[key] = Embedder(path, quant="f32", precision="high", threads=2, offline=True)
        return known[key]

    yield open_one
    for embedder in known.values():
        embedder.close()


@pytest.fixture(scope="session")
def hearth(starter: LLM, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs `hearth ARGUMENTS` in a process of its own, without network, and with no terminal."""
    home = tmp_path_factory.mktemp("home")

    def run(*arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from hearth.cli.main import main; main()", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env={
                **os.environ,
                "HEARTH_CACHE": str(cache),
                "XDG_STATE_HOME": str(home),
                "HF_HOME": str(home / "hf"),
                "HF_HUB_OFFLINE": "1",
                **(env or {}),
            },
        )

    return run
