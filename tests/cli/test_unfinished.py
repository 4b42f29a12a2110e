"""What a compilation leaves that is ended from outside: SIGTERM nothing, SIGKILL what is told of and cleared away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Hearth = Callable[..., "subprocess.CompletedProcess[str]"]

# Stops in the middle: with the weights' space taken, and a kernel compiling for as long as the test likes.
SLOW = """
import sys, time
from hearth.bundle import writer
from hearth.cli.main import main
allocate = writer.BundleWriter.allocate
def slow(self, *arguments):
    array = allocate(self, *arguments)
    print("compiling", flush=True)
    time.sleep(60)
    return array
writer.BundleWriter.allocate = slow
sys.argv = ["hearth", "compile", "starter", "--offline"]
main()
"""


@pytest.fixture
def environment(tmp_path: Path, cache: Path) -> dict[str, str]:
    """A cache of its own, which has the kernels of the others."""
    fresh = tmp_path / "cache"
    fresh.mkdir()
    for folder in ("kernels", "zig"):
        if (cache / folder).is_dir():
            (fresh / folder).symlink_to(cache / folder)
    return {**os.environ, "HEARTH_CACHE": str(fresh), "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}


def ended_by(signal_number: int, environment: dict[str, str]) -> int:
    with subprocess.Popen([sys.executable, "-c", SLOW], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"compiling\n"
        time.sleep(0.1)
        process.send_signal(signal_number)
        return process.wait(60)


def left(environment: dict[str, str]) -> list[Path]:
    return list((Path(environment["HEARTH_CACHE"]) / "bundles").iterdir())


def test_sigterm_clears_up(environment: dict[str, str]) -> None:
    assert ended_by(signal.SIGTERM, environment) == 143
    assert left(environment) == []


def test_what_a_kill_leaves_is_listed_and_can_be_removed(hearth: Hearth, environment: dict[str, str]) -> None:
    assert ended_by(signal.SIGKILL, environment) == -9
    shown = hearth("list", env=environment)
    assert "left by a killed compilation" in shown.stdout
    assert "hearth rm --unfinished" in shown.stderr
    (told,) = json.loads(hearth("list", "--json", env=environment).stdout)["unfinished"]
    assert told["size_bytes"] > 1_000_000
    assert not told["in_use"]
    assert hearth("rm", "--unfinished", env=environment).returncode == 2
    assert "freed" in hearth("rm", "--unfinished", "--yes", env=environment).stderr
    assert left(environment) == []
    assert "Nothing unfinished" in hearth("rm", "--unfinished", env=environment).stderr


def test_the_next_compilation_clears_away_what_a_kill_left(hearth: Hearth, environment: dict[str, str]) -> None:
    ended_by(signal.SIGKILL, environment)
    done = hearth("compile", "starter", env=environment)
    assert done.returncode == 0, done.stderr
    assert [str(path) for path in left(environment)] == [done.stdout.strip()]
