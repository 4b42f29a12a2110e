"""The options that go with --ray."""

from __future__ import annotations

import sys

import pytest

from hearth.cli.main import run


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--replicas", "2"], "go with --ray"),
        (["--autoscale", "1:2"], "go with --ray"),
        (["--ray", "--replicas", "2", "--autoscale", "1:2"], "contradict each other"),
        (["--autoscale", "4:1"], "is no span"),
        (["--autoscale", "many"], "is no span"),
    ],
)
def test_options_that_make_no_sense_together_are_refused(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["serve", *arguments]) == 2
    assert told in capsys.readouterr().err


def test_where_ray_is_not_installed_the_command_that_installs_it_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert run(["serve", "--ray"]) == 2
    assert "pip install 'hearth-run[serve,ray]'" in capsys.readouterr().err
