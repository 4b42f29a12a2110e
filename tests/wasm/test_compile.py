"""`hearth compile --target wasm32`: what is in the bundle, what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from tests.compiler.compiled import compile_here
from tests.wasm.conftest import LLAMA, Bundles

from hearth.bundle import open_bundle
from hearth.compiler.cpu import targets
from hearth.errors import BundleMismatch, Unsupported


def test_there_is_a_small_module_for_each_instruction_set(int8: Bundles) -> None:
    bundle = open_bundle(int8.wasm, verify="full", for_this_machine=False)
    assert bundle.manifest.target == "wasm32"
    assert bundle.manifest.libraries == ("libhearth-relaxed.wasm", "libhearth-simd128.wasm")
    for name in bundle.manifest.libraries:
        module = (int8.wasm / name).read_bytes()
        assert module[:8] == b"\0asm\x01\0\0\0"
        assert len(gzip.compress(module)) < 300_000


def test_weights_are_the_same_as_for_any_machine(int8: Bundles) -> None:
    assert (int8.wasm / "weights.bin").read_bytes() == (int8.native / "weights.bin").read_bytes()


def test_it_is_not_opened_here(int8: Bundles) -> None:
    with pytest.raises(BundleMismatch, match="is for wasm32"):
        open_bundle(int8.wasm)


def test_each_of_its_modules_is_part_of_what_is_trusted(tmp_path: Path) -> None:
    folder = compile_here(LLAMA, tmp_path / "bundle", quant="q4", target="wasm32")
    for name in open_bundle(folder, for_this_machine=False).manifest.libraries:
        module = folder / name
        original = module.read_bytes()
        module.write_bytes(original[:-1] + b"\1")
        with pytest.raises(BundleMismatch, match=name):
            open_bundle(folder, for_this_machine=False)
        module.write_bytes(original)


def test_one_instruction_set_can_be_asked_for(tmp_path: Path) -> None:
    folder = compile_here(LLAMA, tmp_path / "bundle", quant="q4", target="wasm32", isa="simd128")
    assert open_bundle(folder, for_this_machine=False).manifest.libraries == ("libhearth-simd128.wasm",)


def test_what_does_not_fit_its_addresses_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(targets.MEMORY_BYTES, "wasm32", 1 << 20)
    with pytest.raises(
        Unsupported, match=r"llama3 does not fit wasm32, whose programs have 1 MiB.*smaller number format"
    ):
        compile_here(LLAMA, tmp_path / "bundle", quant="q4", target="wasm32")
    assert not (tmp_path / "bundle").exists()
