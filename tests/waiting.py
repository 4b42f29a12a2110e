"""Tests wait for what has to happen, however long a busy machine takes, and slow down what must still be going on."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from hearth.engine.engine import Engine


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.01)


def slow_steps(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[], float]) -> None:
    """Each step of each engine begins so much later.

    The starter model writes a thousand tokens a second: its longest answer would end before a test on a busy machine
    has done what it wants to do in the middle of it.
    """
    step = Engine.step

    def slow(self: Engine) -> object:
        time.sleep(seconds())
        return step(self)

    monkeypatch.setattr(Engine, "step", slow)


SLOW_HEARTH = """
import time
from hearth.cli.main import main
from hearth.engine.engine import Engine
step = Engine.step
Engine.step = lambda self: (time.sleep({seconds}), step(self))[1]
main()
"""
"""The command line as a program for `python -c`, with slow steps, for tests that need a process of its own."""
