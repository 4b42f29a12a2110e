"""A library with the test kernels, compiled once for all tests, and folders with bundles made of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.runtime import tiny_model
from tests.runtime.plan_writer import PlanWriter

from hearth.compiler.cpu.link import KernelSet, KernelSymbol, host_target, library_name, link_library
from hearth.errors import DeviceError
from hearth.runtime import GpuInfo, Model, devices

HERE = Path(__file__).parent
# Kept between runs: the first compilation for a target takes seconds, for zig then builds its C library stubs.
CACHE = HERE.parent.parent / ".cache" / "tests"


def compile_c(source: Path, output: Path, *flags: str) -> Path:
    """What `flags` say, of a C source, for this machine."""
    command = [sys.executable, "-m", "ziglang", "cc", "-O2", "-fPIC", "-fno-sanitize=all", str(source), *flags]
    zig_cache = str(CACHE / "zig")
    environment = dict(os.environ, ZIG_GLOBAL_CACHE_DIR=zig_cache, ZIG_LOCAL_CACHE_DIR=zig_cache)
    subprocess.run([*command, "-o", str(output)], check=True, env=environment)
    return output


def compile_kernels(source: Path, output: Path, *flags: str) -> Path:
    """An object file as TVM would write it: plain C functions, for this machine."""
    return compile_c(source, output, "-c", *flags)


@pytest.fixture(scope="session")
def kernel_object(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_kernels(HERE / "kernels.c", tmp_path_factory.mktemp("kernels") / "kernels.o")


@pytest.fixture(scope="session")
def library(kernel_object: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of a bundle with all test kernels."""
    output = tmp_path_factory.mktemp("library") / library_name(host_target())
    link_library([kernel_object], tiny_model.SETS, output, cache_dir=CACHE)
    return output


BundleMaker = Callable[..., Path]


@pytest.fixture
def make_bundle(library: Path, tmp_path: Path) -> BundleMaker:
    """make_bundle(plan, weights) -> a folder to open."""
    made = 0

    def make(plan: PlanWriter, weights: bytes = b"", lib: Path = library) -> Path:
        nonlocal made
        made += 1
        folder = tmp_path / f"bundle{made}"
        folder.mkdir()
        plan.write(folder, weights)
        shutil.copyfile(lib, folder / lib.name)
        return folder

    return make


@pytest.fixture
def bundle(make_bundle: BundleMaker) -> Path:
    """The tiny model's bundle."""
    return make_bundle(tiny_model.plan(), tiny_model.weights_bytes())


@pytest.fixture
def model(bundle: Path) -> Model:
    return Model(bundle)


@pytest.fixture(scope="session")
def bare_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of a bundle without kernels for processors: on a GPU there are none in it."""
    output = tmp_path_factory.mktemp("bare") / library_name(host_target())
    link_library([], [KernelSet("none", (), [])], output, cache_dir=CACHE)
    return output


@pytest.fixture(scope="session")
def software_gpu(bare_library: Path) -> GpuInfo:
    """The adapter that tests use: one that a program plays, the same on every machine that has it."""
    try:
        found = devices(bare_library)
    except DeviceError as error:
        pytest.skip(str(error))
    for each in found:
        if each.type == "cpu" and each.backend == "vulkan":
            return each
    pytest.skip("needs a software Vulkan adapter (Debian: mesa-vulkan-drivers)")


GpuOpener = Callable[..., Model]


@pytest.fixture
def open_gpu(software_gpu: GpuInfo, make_bundle: BundleMaker, bare_library: Path) -> Iterator[GpuOpener]:
    """open_gpu(plan, weights, **options of Model) -> the bundle, opened on the software adapter."""
    opened: list[Model] = []

    def open_one(plan: PlanWriter, weights: bytes = b"", **options: Any) -> Model:
        folder = make_bundle(plan, weights, bare_library)
        opened.append(Model(folder, device=f"gpu:{software_gpu.index}", **options))
        return opened[-1]

    yield open_one
    for model in opened:
        model.close()


def kernel(name: str) -> KernelSymbol:
    return next(k for k in tiny_model.KERNELS if k.name == name)
