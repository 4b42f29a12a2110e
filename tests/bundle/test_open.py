"""Opening bundles: whole ones open; cut, changed, foreign and older ones are refused with the command that mends it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hearth.bundle import BundleWriter, InstructionSet, cpu, open_bundle, read_manifest
from hearth.errors import BundleMismatch, CorruptFile, ModelNotFound

from .samples import TARGET, fill, manifest, write_bundle


def test_what_was_written_opens(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "b") as writer:
        fill(writer)
        writer.write("tokenizer.json", "{}")
        written = writer.commit(manifest())
    bundle = open_bundle(tmp_path / "b", verify="full")
    assert bundle == written
    assert bundle.weights.read_bytes() == b"\x07" * 4096
    assert bundle.plan.read_bytes() == b"HRTHPLAN"
    assert bundle.library.name == "libhearth.so"
    assert bundle.tokenizer == tmp_path / "b" / "tokenizer.json"
    assert bundle.tokenizer_meta is None
    assert bundle.size_bytes == 4096 + 8 + 4 + 2


@pytest.mark.parametrize("name", ["weights.bin", "plan.bin", "libhearth.so"])
def test_cut_off_files_are_seen_at_once(tmp_path: Path, name: str) -> None:
    path = write_bundle(tmp_path / "b").path
    os.truncate(path / name, 3)
    with pytest.raises(CorruptFile, match=rf"{name} has 3 bytes.*hearth compile 'me/My model'"):
        open_bundle(path)
    (path / name).unlink()
    with pytest.raises(CorruptFile, match=f"no file {name}"):
        open_bundle(path)


@pytest.mark.parametrize(("name", "content"), [("plan.bin", b"HRTHPLAM"), ("libhearth.so", b"\x7fELG")])
def test_a_changed_program_is_never_opened(tmp_path: Path, name: str, content: bytes) -> None:
    path = write_bundle(tmp_path / "b").path
    (path / name).write_bytes(content)
    with pytest.raises(BundleMismatch, match=rf"{name} was changed"):
        open_bundle(path)


def test_changed_weights_are_seen_when_asked(tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "b").path
    (path / "weights.bin").write_bytes(b"\x08" * 4096)
    open_bundle(path)
    with pytest.raises(BundleMismatch, match=r"weights\.bin was changed"):
        open_bundle(path, verify="full")


def test_links_are_no_files_of_a_bundle(tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "b").path
    (path / "plan.bin").rename(tmp_path / "elsewhere")
    (path / "plan.bin").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CorruptFile, match=r"no file plan\.bin"):
        open_bundle(path)


def test_no_bundle_at_all(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "file"):
        with pytest.raises(ModelNotFound, match="is no compiled bundle"):
            open_bundle(path)


def test_manifest_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(CorruptFile, match="cannot be read"):
        read_manifest(tmp_path)


def test_missing_processor_feature_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "features", lambda: frozenset({"avx2", "fma"}))
    sets = (InstructionSet("wide", ("avx2", "avx512_vnni")), InstructionSet("middle", ("avx_vnni",)))
    path = write_bundle(tmp_path / "b", instruction_sets=sets).path
    said = r"no kernels for this processor\. wide needs avx512_vnni, .* middle needs avx_vnni, .*hearth compile"
    with pytest.raises(BundleMismatch, match=said):
        open_bundle(path)
    assert open_bundle(path, for_this_machine=False).manifest.isas == "wide, middle"
    open_bundle(write_bundle(tmp_path / "c", instruction_sets=(*sets, InstructionSet("narrow", ("fma",)))).path)
    monkeypatch.setattr(cpu, "features", lambda: None)  # unknown: nothing can be said to be missing
    open_bundle(path)


@pytest.mark.parametrize("target", ["riscv64-linux-gnu", TARGET.replace(cpu.operating_system(), "windows")])
def test_other_machines_are_named(tmp_path: Path, target: str) -> None:
    path = write_bundle(tmp_path / "b", target=target).path
    with pytest.raises(BundleMismatch, match=f"is for {target}; this machine is {cpu.architecture()}"):
        open_bundle(path)


def test_other_runtime_version(tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "b", abi_version=0, hearth_version="0.0.9").path
    with pytest.raises(BundleMismatch, match=r"version 0 of the runtime.*Hearth 0\.0\.9"):
        open_bundle(path)
