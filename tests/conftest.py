"""Fixtures that every test room may use."""

from __future__ import annotations

from pathlib import Path

import pytest

_SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real models, vocabularies and texts beside the repository; tests that need it skip where it is not.

    It is read from there and never copied into the repository: its files carry other people's licences.
    """
    if not _SHARED_DATA.is_dir():
        pytest.skip("needs the real data in ../shared/data, which is not on this machine")
    return _SHARED_DATA
