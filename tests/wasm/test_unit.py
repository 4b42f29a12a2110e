"""The package's own tests, where its tools are installed (cd web && npm ci), and what they are held against."""

from __future__ import annotations

import json
import runpy
import subprocess
from pathlib import Path

import pytest

WEB = Path(__file__).resolve().parents[2] / "web"
VITEST = WEB / "node_modules" / ".bin" / "vitest"
GOLDEN = WEB / "runtime" / "tests" / "golden"


@pytest.mark.skipif(not VITEST.exists(), reason="needs the package's tools: cd web && npm ci")
def test_the_package_passes_its_own_tests() -> None:
    done = subprocess.run([VITEST, "run"], cwd=WEB / "runtime", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def test_the_samplers_draw_what_the_package_is_held_against() -> None:
    made = runpy.run_path(str(GOLDEN / "make_sampling.py"))["golden"]()
    kept = json.loads((GOLDEN / "sampling.json").read_text())
    assert {key: value for key, value in kept.items() if key != "cases"} == {
        key: made[key] for key in ("random", "quarters")
    }
    for ours, theirs in zip(made["cases"], kept["cases"], strict=True):
        assert [choice[0] for choice in ours["choices"]] == [choice[0] for choice in theirs["choices"]], ours["params"]
