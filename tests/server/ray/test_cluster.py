"""What is prepared before Ray starts. Needs no Ray."""

from __future__ import annotations

import os
import sys

import pytest

from hearth.errors import UsageError
from hearth.server.ray.cluster import prepare_ray, shares


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test sets is gone afterwards."""
    monkeypatch.setattr(os, "environ", {key: value for key, value in os.environ.items() if not key.startswith("RAY_")})


def test_a_missing_ray_is_told_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError) as caught:
        prepare_ray(None)
    assert caught.value.hint == "pip install 'hearth-run[serve,ray]'"


def test_a_ray_of_its_own_stays_on_this_machine_wants_a_secret_and_reports_nothing() -> None:
    pytest.importorskip("ray")
    prepare_ray(None)
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert len(os.environ["RAY_AUTH_TOKEN"]) >= 64
    assert os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"


def test_a_running_cluster_is_used_as_it_is() -> None:
    pytest.importorskip("ray")
    prepare_ray("auto")
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert "RAY_AUTH_TOKEN" not in os.environ
    assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" not in os.environ


def test_engines_on_one_machine_share_its_cores_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr("hearth.server.ray.cluster.available_bytes", lambda: 10 << 30)
    assert shares(4, None, None, local=True) == (2, int(0.7 * (10 << 30) / 4))
    assert shares(16, None, None, local=True)[0] == 1
    assert shares(4, 3, 1 << 30, local=True) == (3, 1 << 30)
    assert shares(4, None, None, local=False) == (8, None)
