"""Several threads in Node: the same bits as one. A worker that does not start is done without, one that breaks is told
of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime import plan_writer as pw
from tests.runtime.conftest import CACHE
from tests.wasm.conftest import Bundles, write_manifest
from tests.wasm.node import HERE, NODE, NodeSession, Refused, needs_node, needs_threads
from tests.wasm.test_forward import PAGES, greedy, mixed_batches

from hearth.bundle import WASM_LIBRARY
from hearth.compiler.cpu.link import KernelSet, KernelSymbol, link_library


@needs_threads
@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("name", ["exact", "int8"])
def test_several_threads_compute_the_same_bits(request: pytest.FixtureRequest, name: str, threads: int) -> None:
    bundles: Bundles = request.getfixturevalue(name)
    with NodeSession(bundles.wasm, PAGES) as one, NodeSession(bundles.wasm, PAGES, threads=threads) as several:
        isa = one.info["isa"]
        told = {name: one.device[name] for name in ("kind", "name", "threads")}
        assert told == {"kind": "wasm", "name": f"{isa}, 1 thread", "threads": 1}
        assert (several.device["threads"], several.device["name"]) == (threads, f"{isa}, {threads} threads")
        for mine, theirs in zip(mixed_batches(several), mixed_batches(one), strict=True):
            assert np.array_equal(mine, theirs)
        assert greedy(several, [1, 20, 33, 9], 64) == greedy(one, [1, 20, 33, 9], 64)


def workers_of(folder: Path, threads: int, failing: int = 0) -> dict[str, Any]:
    assert NODE is not None
    command = [NODE, str(HERE / "threads.mjs"), str(folder), str(threads), str(failing)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    assert len(set(answer["logits"])) == 1  # whatever session, on however many threads
    return answer


@needs_threads
def test_sessions_have_threads_of_their_own_and_hand_them_on(int8: Bundles) -> None:
    answer = workers_of(int8.wasm, 3)
    assert answer["started"] == [2, 2, 4, 4]
    assert answer["ended"] == 4
    alone = workers_of(int8.wasm, 1)
    assert (alone["started"], alone["device"]["threads"]) == ([0] * 4, 1)
    assert alone["logits"] == answer["logits"]


@needs_threads
@pytest.mark.parametrize("failing", [1, 2])
def test_workers_that_do_not_start_are_done_without(int8: Bundles, failing: int) -> None:
    answer = workers_of(int8.wasm, 3, failing)
    assert answer["device"]["threads"] == 3 - failing
    assert f"{3 - failing} thread" in answer["device"]["why"]
    assert "no more workers start" in answer["device"]["why"]
    assert "nowhere.js" in answer["device"]["why"]


@needs_node
@pytest.mark.parametrize("threads", [0, 65, 1.5])
def test_a_number_of_threads_that_cannot_be_is_refused(int8: Bundles, threads: Any) -> None:
    with pytest.raises(Refused, match=rf"threads is {threads}, must be a whole number from 1 to 64") as refused:
        NodeSession(int8.wasm, PAGES, threads=threads)
    assert refused.value.kind == "usage"


@needs_threads
def test_a_thread_that_breaks_ends_the_call_and_not_only_itself(tmp_path: Path) -> None:
    plan = pw.PlanWriter()
    plan.function("work")
    plan.step(plan.kernel("t_break", 0, 0), [], [], units=plan.constant(2))
    plan.write(tmp_path, b"")
    kernels = KernelSet("simd128", ("simd128",), [KernelSymbol("t_break", 0, 0, "t_break")])
    object_file = compile_for_threads(HERE / "breaking.c", tmp_path / "breaking.o")
    module = tmp_path / WASM_LIBRARY.format(isa="simd128")
    link_library([object_file], [kernels], module, target="wasm32", cache_dir=CACHE)
    write_manifest(tmp_path)
    with NodeSession(tmp_path, threads=2) as session:
        assert session.device["threads"] == 2
        with pytest.raises(Refused, match="unreachable"):
            session.run("work", {})


def compile_for_threads(source: Path, output: Path) -> Path:
    """An object as the compiler's are: for a module whose memory may be shared."""
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-wasi", "-O2", "-fno-sanitize=all", "-c"]
    command += ["-mcpu=generic+bulk_memory+atomics", str(source), "-o", str(output)]
    zig_cache = str(CACHE / "zig")
    environment = dict(os.environ, ZIG_GLOBAL_CACHE_DIR=zig_cache, ZIG_LOCAL_CACHE_DIR=zig_cache)
    subprocess.run(command, check=True, env=environment)
    return output
