"""The golden llama for this machine and for WebAssembly; bundles of plans by hand, and a browser with WebGPU."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.compiler.compiled import compile_here
from tests.runtime.conftest import CACHE
from tests.runtime.gpu_plans import GpuWriter
from tests.wasm import gpu_page as pages
from tests.web.browsers import launched

from golden import CASES
from hearth.bundle import ABI_VERSION, FORMAT_VERSION, WASM_LIBRARY
from hearth.compiler.cpu.link import KernelSet, link_library

LLAMA = next(case for case in CASES if case.name == "llama3").path
EXACT = {"quant": "f32", "head": "f32", "precision": "high"}
INT8 = {"quant": "q4", "head": "q8"}


@dataclass(frozen=True)
class Bundles:
    """The same model twice."""

    native: Path
    wasm: Path


def compiled_both(source: Path, folder: Path, **options: str) -> Bundles:
    return Bundles(
        compile_here(source, folder / "native", **options),
        compile_here(source, folder / "wasm", target="wasm32", **options),
    )


@pytest.fixture(scope="session")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    """All in 32-bit floats."""
    return compiled_both(LLAMA, tmp_path_factory.mktemp("exact"), **EXACT)


@pytest.fixture(scope="session")
def int8(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    """With the number formats of every day."""
    return compiled_both(LLAMA, tmp_path_factory.mktemp("int8"), **INT8)


@pytest.fixture(scope="module")
def gpu_browser(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Chromium, or what a module marked `in_all_browsers` asks for."""
    # Not for longer: while it is open no other test of this thread can run an event loop.
    with launched(getattr(request, "param", "chromium"), gpu=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def gpu_page(gpu_browser: Any) -> Iterator[pages.Page]:
    with pages.open_page(gpu_browser) as opened:
        yield opened


@pytest.fixture(scope="session")
def bare_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module of a bundle without kernels for processors: on a GPU none of it is run."""
    output = tmp_path_factory.mktemp("bare") / WASM_LIBRARY.format(isa="simd128")
    link_library([], [KernelSet("simd128", ("simd128",), [])], output, target="wasm32", cache_dir=CACHE)
    return output


PlanBundle = Callable[..., Path]


@pytest.fixture
def plan_bundle(bare_module: Path, tmp_path: Path) -> PlanBundle:
    """plan_bundle(plan, weights) -> a folder to open in a page; `shaders` in place of the plan's."""

    def make(plan: GpuWriter, weights: bytes = b"", shaders: str | None = None) -> Path:
        folder = tmp_path / f"bundle{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        plan.write(folder, weights)
        if shaders is not None:
            (folder / "gpu_kernels.wgsl").write_text(shaders, encoding="utf-8")
        shutil.copyfile(bare_module, folder / bare_module.name)
        write_manifest(folder)
        return folder

    return make


def changed_bundle(bundle: Path, folder: Path, files: Mapping[str, bytes]) -> Path:
    """A bundle with some of its files as they are given, and others beside them."""
    shutil.copytree(bundle, folder)
    manifest = json.loads((bundle / "manifest.json").read_text())
    for name, content in files.items():
        (folder / name).write_bytes(content)
        manifest["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def write_manifest(folder: Path) -> None:
    """As far as a page reads it."""
    files = {
        file.name: {"sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "size_bytes": file.stat().st_size}
        for file in folder.iterdir()
    }
    manifest = {
        "format_version": FORMAT_VERSION,
        "abi_version": ABI_VERSION,
        "target": "wasm32",
        "instruction_sets": [{"name": "simd128", "features": ["simd128"]}],
        "source_name": "plan by hand",
        "kind": "text",
        "family": "none",
        "quant": "f32",
        "text": None,
        "files": files,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
