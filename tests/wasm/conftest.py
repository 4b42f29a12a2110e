"""The golden llama, compiled for this machine and for WebAssembly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.compiler.compiled import compile_here

from golden import CASES

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
