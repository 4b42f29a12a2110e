"""`hearth bench`: the numbers are there and fit together, for every combination that is asked for."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from hearth import LLM
from hearth.bundle import BatchShape, read_costs
from hearth.errors import UsageError
from hearth.measure import bench, profile
from hearth.runtime import TextSession
from hearth.runtime.limits import compute_peak

from .conftest import Run


def test_the_promised_keys(hearth: Run) -> None:
    done = hearth("bench", "starter", *["--prompt", "32", "--gen", "8", "--threads", "2", "--repeat", "2", "--json"])
    result = json.loads(done.stdout)
    (prefill,), (decode,), (memory,) = result["prefill"], result["decode"], result["memory"]
    for spread in (prefill["tok_s"], prefill["ttft_ms"], decode["tok_s"], memory["read_gb_s"]):
        assert 0 < spread["min"] <= spread["median"] <= spread["max"]
    assert (prefill["prompt"], decode["context"], decode["batch"], decode["speedup"]) == (32, 32, 1, None)
    assert decode["share"] > 0
    assert decode["mb_per_token"] > 0
    assert decode["gb_s"] > 0
    assert result["weights_mb"] > 0
    if sys.platform != "win32":
        assert result["peak_memory_mb"] > result["weights_mb"] + result["kv_mb"]


def test_every_combination_has_a_row(hearth: Run) -> None:
    many = ["--threads", "1,2", "--context", "0,100", "--batch", "1,3", "--prompt", "16,40", "--gen", "4"]
    done = hearth("bench", "starter", *many, "--repeat", "1")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for what in ("prefill 16", "prefill 40", "decode after 1 ", "decode after 100, 3 at once", "memory read"):
        assert len([line for line in lines if what in line]) == 2, "one for each number of threads"
    assert "keys and values" in done.stdout


def test_more_than_the_model_takes_is_refused(hearth: Run) -> None:
    for arguments in (["--prompt", "500", "--gen", "400"], ["--prompt", "8", "--context", "8,510", "--gen", "4"]):
        done = hearth("bench", "starter", *arguments)
        assert done.returncode == 2
        assert "starter takes 512 at most" in done.stderr
        assert "smaller --prompt, --context or --gen" in done.stderr
    assert "65" in hearth("bench", "starter", "--prompt", "8", "--batch", "1,65").stderr
    assert hearth("bench", "starter", "--batch", "1,x").returncode == 2


@pytest.mark.parametrize("wrong", [{"prompt": 0}, {"gen": -1}, {"batch": [1, 0]}, {"repeat": 0}, {"context": []}])
def test_numbers_out_of_range_are_refused(starter: LLM, wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        bench(starter, **wrong)  # type: ignore[arg-type]


def test_all_that_fits_can_be_measured(starter: LLM) -> None:
    most = starter.info.max_position - 1
    result = bench(starter, prompt=most, gen=0, repeat=1)
    assert (result.prefill[0].prompt, result.decode) == (most, ())
    assert bench(starter, prompt=1, context=most - 3, gen=3, repeat=1).decode[0].tok_s.median > 0


def test_a_step_reads_all_weights_and_the_context(starter: LLM) -> None:
    costs, made = read_costs(starter.info.bundle), starter.info.manifest
    assert len(costs) == starter.model.info.num_steps
    read = {n: sum(c.memory_bytes(BatchShape(((n, 1),), 1)) for c in costs) for n in (0, 100)}
    assert read[0] == pytest.approx(made.facts.weights_bytes, rel=0.02), "its embedding is its head"
    assert read[100] - read[0] == 100 * made.language.kv_bytes_per_token


def test_the_processor_multiplies(starter: LLM) -> None:
    for arithmetic in ("int8", "float32"):
        assert all(1e8 < rate < 1e14 for rate in compute_peak(starter.model, arithmetic, threads=2, rounds=2))


def test_a_cleared_cache_is_as_good_as_new(starter: LLM) -> None:
    """Decoding behind an assumed context computes finite numbers, the same ones each time."""
    seen = []
    with TextSession(starter.model, num_pages=4, threads=2) as session:
        for _ in range(2):
            session.clear_states()
            seen.append(session.forward([5], [40], [0], [[0, 1, 2]], [0]).logits.copy())
    assert (seen[0] == seen[1]).all()
    assert abs(seen[0]).max() < 1e4


def test_a_profile_names_every_kernel_and_what_binds_it(hearth: Run) -> None:
    small = ["--prompt", "40", "--gen", "4", "--repeat", "2", "--threads", "2"]
    result = json.loads(hearth("bench", "starter", "--profile", *small, "--json").stdout)
    assert all(value > 0 for value in result["limits"].values())
    prefill, decode = result["phases"]
    assert (prefill["name"], prefill["tokens"], decode["name"], decode["context"]) == ("prefill", 40, "decode", 40)
    for phase in (prefill, decode):
        kernels = phase["kernels"]
        assert {"embedding", "qkv", "rope", "attention", "o", "gate_up", "down", "head"} <= {k["role"] for k in kernels}
        parts = sum(k["time_us"] for k in kernels) + phase["between_us"] + phase["engine_us"]
        assert parts == pytest.approx(phase["time_us"], rel=1e-3)
        for kernel in kernels:
            assert kernel["calls"] > 0
            assert kernel["mbytes"] >= 0
            assert kernel["limit"] in ("memory", "compute")
            assert 0 <= kernel["limit_share"] < 20, "what is in the cache passes the memory's bandwidth"
    table = hearth("bench", "starter", "--profile", *small)
    assert table.returncode == 0, table.stderr
    assert "between kernels" in table.stdout
    assert hearth("bench", "starter", "--profile", "--batch", "1,2").returncode == 2


def test_a_profile_counts_what_its_bundle_says(starter: LLM) -> None:
    result = profile(starter, prompt=100, gen=2, repeat=1, context=200, batch=3)
    costs = read_costs(starter.info.bundle)
    shapes = (BatchShape(((0, 100),), 1), BatchShape(((201, 1),) * 3, 3))
    for phase, shape in zip(result.phases, shapes, strict=True):
        ran = {(k.role, k.kernel): k for k in phase.kernels}  # short contexts leave nothing to merge
        for key, kernel in ran.items():
            mine = [c for c in costs if (c.role, c.kernel) == key]
            assert kernel.calls == len(mine)
            assert kernel.mbytes == pytest.approx(sum(c.bytes(shape) for c in mine) / 1e6)
            assert kernel.mops == pytest.approx(sum(c.operations(shape) for c in mine) / 1e6)
        assert {c.role for c in costs} - {role for role, _ in ran} <= {"attention_merge"}


@pytest.mark.parametrize("name", ["roofline.svg", "roofline.png"])
def test_a_roofline_is_drawn(hearth: Run, tmp_path: Path, name: str) -> None:
    pytest.importorskip("matplotlib")
    done = hearth(
        "bench", "starter", "--prompt", "40", "--gen", "4", "--repeat", "1", "--roofline", str(tmp_path / name)
    )
    assert done.returncode == 0, done.stderr
    picture = (tmp_path / name).read_bytes()
    assert picture.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
    nowhere = hearth("bench", "starter", "--prompt", "4", "--gen", "1", "--roofline", str(tmp_path / "no" / name))
    assert nowhere.returncode == 7


def test_a_picture_that_cannot_be_drawn_is_refused_before_anything_is_measured(hearth: Run, tmp_path: Path) -> None:
    assert hearth("bench", "no-such-model", "--roofline", "roofline.pdf").returncode == 2
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['matplotlib'] = None")
    done = hearth(
        "bench", "starter", "--roofline", "x.svg", env={"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    )
    assert done.returncode == 2
    assert "hearth-run[plot]" in done.stderr
