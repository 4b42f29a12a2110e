"""What only a process of its own can show: signals, silence, the environment's variables, two pulls at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .samples import REPO, model_files
from .server import FakeHub, Fault

PULL = "import sys; from hearth import hub; sys.stdout.write(str(hub.{verb}('{name}').path))"


def environment(url: str, home: Path, **more: str) -> dict[str, str]:
    """The variables of a user who set HF_ENDPOINT and HF_HOME, and none of the one who runs the tests."""
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGINGFACE_", "TRANSFORMERS_"))}
    return {**mine, "HF_ENDPOINT": url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", **more}


def start(env: dict[str, str], verb: str = "pull", name: str = REPO) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PULL.format(verb=verb, name=name)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_an_interrupted_pull_leaves_a_part_that_the_next_one_uses(hub: FakeHub, tmp_path: Path, how: int) -> None:
    files = model_files(3_000_000)
    hub.publish(REPO, files)
    hub.faults.append(Fault("model.safetensors", pause_s=0.2, times=1))
    env = environment(hub.url, tmp_path)
    process = start(env)
    part = wait_for_part(tmp_path, at_least_bytes=500_000)
    process.send_signal(how)
    process.communicate(timeout=60)
    assert process.returncode != 0
    kept = part.stat().st_size
    assert 0 < kept < 3_000_000
    assert not list(tmp_path.rglob("model.safetensors")), "half a file counts as whole"

    offline = start(environment(hub.url, tmp_path, HF_HUB_OFFLINE="1"), "resolve")
    assert "ModelNotFound" in offline.communicate(timeout=60)[1]

    hub.log.clear()
    again = start(env)
    path, noise = again.communicate(timeout=60)
    assert (again.returncode, noise) == (0, "")
    assert (Path(path) / "model.safetensors").read_bytes() == files["model.safetensors"]
    assert [r.range for r in hub.gets("model.safetensors")] == [f"bytes={kept}-"]


def wait_for_part(folder: Path, at_least_bytes: int) -> Path:
    for _ in range(6000):
        for part in folder.rglob("*.incomplete"):
            if part.stat().st_size >= at_least_bytes:
                return part
        time.sleep(0.01)
    raise AssertionError("the download did not begin")


def test_a_pull_is_silent_even_when_the_line_breaks(hub: FakeHub, tmp_path: Path) -> None:
    """Progress and errors are the command line's to show; a stray notice would break its display."""
    hub.publish(REPO, model_files())
    hub.faults += [
        Fault("model.safetensors", cut_after=100_000, times=1),
        Fault("tokenizer.json", status=429, headers={"Retry-After": "0"}, times=1),
    ]
    process = start(environment(hub.url, tmp_path))
    path, noise = process.communicate(timeout=60)
    assert noise == ""
    assert Path(path).is_relative_to(tmp_path), "HF_HOME is not respected"


def test_offline_mode_uses_what_is_installed_and_asks_nobody(hub: FakeHub, tmp_path: Path) -> None:
    hub.publish(REPO, model_files())
    path, _ = start(environment(hub.url, tmp_path)).communicate(timeout=60)
    hub.log.clear()
    offline = environment(hub.url, tmp_path, HF_HUB_OFFLINE="1")
    assert start(offline, "resolve").communicate(timeout=60) == (path, "")
    assert "NetworkError" in start(offline, "pull").communicate(timeout=60)[1]
    assert "ModelNotFound" in start(offline, "resolve", "acme/other").communicate(timeout=60)[1]
    assert hub.log == []


def test_two_pulls_at_once_bring_the_weights_once(hub: FakeHub, tmp_path: Path) -> None:
    files = model_files(2_000_000)
    hub.publish(REPO, files)
    hub.faults.append(Fault("model.safetensors", pause_s=0.03))
    env = environment(hub.url, tmp_path)
    both = [start(env), start(env)]
    for process in both:
        path, noise = process.communicate(timeout=60)
        assert (process.returncode, noise) == (0, "")
        assert (Path(path) / "model.safetensors").read_bytes() == files["model.safetensors"]
    assert len(hub.gets("model.safetensors")) == 1


def test_the_front_of_the_package_is_light(tmp_path: Path) -> None:
    """`hearth --help` must not wait for huggingface_hub."""
    code = "import sys, hearth.hub; sys.exit('huggingface_hub' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
