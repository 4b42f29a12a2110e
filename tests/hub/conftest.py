"""A fresh hub and a fresh cache for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hearth.hub import transfer

from .server import FakeHub


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as server:
        yield server


@pytest.fixture
def use_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """Points this process's huggingface_hub at an address and a fresh cache; returns the cache folder.

    The library reads its variables once, at import; tests in subprocesses set the variables themselves.
    """
    from huggingface_hub import constants

    def use(url: str) -> Path:
        cache = tmp_path / "hf" / "hub"
        template = url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr(transfer, "RETRY_PAUSES_S", (0.0, 0.0))
        return cache

    return use


@pytest.fixture
def cache(hub: FakeHub, use_hub: Callable[[str], Path]) -> Path:
    """The cache folder of a process that talks to `hub`."""
    return use_hub(hub.url)
