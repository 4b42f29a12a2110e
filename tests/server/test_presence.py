"""`hearth ps` shows the servers that run, and none that have ended, however they ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hearth.cli.main import run
from hearth.server.presence import announced, folder, running


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_server_is_there_while_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    script = (
        "import sys; from hearth.server.presence import announced\n"
        "with announced('serve', 'http://127.0.0.1:8000', ['starter']): print('up', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"up\n"
        (server,) = running()
        assert (server.pid, server.verb, server.url, server.models) == (
            other.pid, "serve", "http://127.0.0.1:8000", ("starter",),
        )  # fmt: skip
        assert run(["ps", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)[0]["pid"] == other.pid
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        assert running() == []
        assert list(folder().iterdir()) == [], "what a killed server left is gone"


def test_a_server_that_cannot_be_noted_serves_all_the_same(state: Path) -> None:
    (state / "hearth").write_text("in the way")
    with announced("serve", "http://127.0.0.1:1", ["m"]):
        assert running() == []
