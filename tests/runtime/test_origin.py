"""A library runs the plan that it was compiled with, and no other: kernels believe a plan's sizes and buffers."""

from __future__ import annotations

import ctypes
import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.runtime import tiny_model
from tests.runtime.conftest import CACHE, BundleMaker

from hearth.compiler.cpu.link import CSRC, library_name, link_library
from hearth.errors import BundleMismatch, HearthError
from hearth.runtime import Model, TextSession


@pytest.fixture(scope="module")
def own_library(kernel_object: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that was compiled for the tiny model's plan."""
    output = tmp_path_factory.mktemp("own") / library_name()
    link_library([kernel_object], tiny_model.SETS, output, plan=tiny_model.plan().to_bytes(), cache_dir=CACHE)
    return output


def test_a_library_runs_its_own_plan(make_bundle: BundleMaker, own_library: Path) -> None:
    bundle = make_bundle(tiny_model.plan(), tiny_model.weights_bytes(), own_library)
    with Model(bundle) as model, TextSession(model, num_pages=1, threads=1) as session:
        result = session.forward([3], [0], [0], [[0]], [0])
        assert (result.logits == tiny_model.logits_of([3])).all()


def test_a_plan_that_passes_every_check_but_is_another_is_refused(make_bundle: BundleMaker, own_library: Path) -> None:
    plan = tiny_model.plan()
    plan.constant(3)  # used by no step
    bundle = make_bundle(plan, tiny_model.weights_bytes(), own_library)
    with pytest.raises(BundleMismatch, match="not the plan that this library was compiled with"):
        Model(bundle)


def test_one_changed_bit_anywhere_is_refused(make_bundle: BundleMaker, own_library: Path) -> None:
    bundle = make_bundle(tiny_model.plan(), tiny_model.weights_bytes(), own_library)
    whole = (bundle / "plan.bin").read_bytes()
    rng = random.Random(1)
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        (bundle / "plan.bin").write_bytes(damaged)
        with pytest.raises(HearthError, match=r"plan\.bin|weights\.bin"):
            Model(bundle)


def test_the_hash_is_sha256(tmp_path: Path) -> None:
    library = tmp_path / "sha256.so"
    zig_cache = str(CACHE / "zig")
    environment = dict(os.environ, ZIG_GLOBAL_CACHE_DIR=zig_cache, ZIG_LOCAL_CACHE_DIR=zig_cache)
    command = [sys.executable, "-m", "ziglang", "cc", "-shared", "-fPIC", str(CSRC / "sha256.c"), "-o", str(library)]
    subprocess.run(command, check=True, env=environment)
    sha256 = ctypes.CDLL(str(library)).hth_sha256
    sha256.argtypes = [ctypes.c_char_p, ctypes.c_uint64, ctypes.c_char_p]
    digest = ctypes.create_string_buffer(32)
    # Around one and two blocks of 64 bytes, whose ends hold the length.
    for size in [*range(130), 1000, 100_000]:
        data = random.Random(size).randbytes(size)
        sha256(data, size, digest)
        assert digest.raw == hashlib.sha256(data).digest(), size
