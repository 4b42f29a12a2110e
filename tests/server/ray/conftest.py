"""Tests that start Ray run only when they are asked for: `pytest -m ray tests/server/ray`."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "ray: starts a local Ray with two engines (pip install -e '.[serve,ray]')")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "ray" in config.option.markexpr.replace("not ray", ""):
        return
    for item in items:
        if item.get_closest_marker("ray"):
            item.add_marker(pytest.mark.skip(reason="starts Ray: run it with -m ray"))
