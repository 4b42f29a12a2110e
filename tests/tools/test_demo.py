"""`make demo`: it says where the time went, and a model that cannot be had is no reason to fail."""

from __future__ import annotations

import sys

import pytest

from hearth import LLM
from hearth.hub.packaged import PackagedModel
from tools import demo


def test_without_the_package_the_starter_answers_and_the_times_are_told(
    starter: LLM, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(PackagedModel, "file", lambda self: None)
    monkeypatch.setattr(demo, "install", lambda model: False)
    monkeypatch.setattr(sys, "argv", ["demo", "--installed-in", "12"])
    demo.main()
    out = capsys.readouterr().out
    assert "cannot be had now" in out
    assert "is no assistant" in out
    assert "The capital of France is Paris." in out
    assert "efficientnet-lite0 cannot be had now" in out
    assert "install          12.00 s" in out
    for told in ("load", "read", "answer", "tokens a second", "hearth chat starter"):
        assert told in out


def test_a_model_that_is_here_is_not_fetched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PackagedModel, "file", lambda self: __file__)

    def install(model: PackagedModel) -> bool:
        raise AssertionError("nothing has to be installed")

    assert demo.choose_model(install) == ("smollm2", None)
