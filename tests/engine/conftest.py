"""Fixtures of the engine's tests."""

from __future__ import annotations

import pytest
from toy_session import ToySession

USUAL_SLOTS = 24


@pytest.fixture(params=[0, USUAL_SLOTS], ids=["attention", "state"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Sessions that are not told otherwise have no state, or so many slots of it. Answers are right with both."""
    monkeypatch.setattr(ToySession, "usual_slots", request.param)
    return request.param
