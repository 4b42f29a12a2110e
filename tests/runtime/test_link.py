"""The linker: one library for each target, quickly, and clear words when it cannot be made."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.runtime import tiny_model
from tests.runtime.conftest import CACHE

from hearth.compiler.cpu import link
from hearth.compiler.cpu.link import KernelSet, KernelSymbol, library_name, link_library
from hearth.errors import CompileError, StorageError


def sets(*kernels: KernelSymbol) -> list[KernelSet]:
    return [KernelSet("plain", (), kernels)]


@pytest.mark.parametrize(
    ("target", "magic"),
    [
        ("x86_64-linux-gnu", b"\x7fELF"),
        pytest.param("aarch64-linux-gnu", b"\x7fELF", marks=pytest.mark.slow),
        pytest.param("x86_64-linux-musl", b"\x7fELF", marks=pytest.mark.slow),
        pytest.param("aarch64-macos", b"\xcf\xfa\xed\xfe", marks=pytest.mark.slow),
        pytest.param("x86_64-macos", b"\xcf\xfa\xed\xfe", marks=pytest.mark.slow),
    ],
)
def test_the_runtime_links_for_each_target(tmp_path: Path, target: str, magic: bytes) -> None:
    output = tmp_path / library_name(target)
    link_library([], [], output, target=target, cache_dir=CACHE)
    assert output.read_bytes()[:4] == magic
    assert [p.name for p in tmp_path.iterdir()] == [output.name]


def test_library_names() -> None:
    assert library_name("aarch64-macos") == "libhearth.dylib"
    assert library_name("x86_64-linux-gnu") == "libhearth.so"
    assert library_name("x86_64-windows-gnu") == "libhearth.dll"


@pytest.mark.skipif(shutil.which("nm") is None, reason="needs nm to look into the library")
def test_only_the_c_api_can_be_seen_from_outside(library: Path) -> None:
    if library.suffix != ".so":
        pytest.skip("looks into ELF files")
    shown = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True)
    names = {line.split()[-1] for line in shown.stdout.splitlines()}
    header = (link.CSRC / "hearth.h").read_text(encoding="utf-8")
    assert names
    assert all(name.startswith("hearth_") and f"{name}(" in header for name in names)


def test_a_kernel_that_no_object_has_is_named(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="k_missing"):
        link_library([], sets(KernelSymbol("k_missing", 1, 1, "k_missing")), tmp_path / library_name(), cache_dir=CACHE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "1x", "a b", 'x"', "a;b", "é"])
def test_names_that_are_no_c_identifiers_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CompileError, match="no C identifier"):
        link_library([], sets(KernelSymbol("k", 1, 1, name)), tmp_path / library_name(), cache_dir=CACHE)


def test_a_kernel_named_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="named twice"):
        link_library([], sets(*[tiny_model.KERNELS[0]] * 2), tmp_path / library_name(), cache_dir=CACHE)


def test_an_unknown_target_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="aarch64-linux-gnu"):
        link_library([], [], tmp_path / "x.so", target="pdp11-unix", cache_dir=CACHE)


def test_without_ziglang_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CompileError, match=r"pip install 'hearth-run\[compile\]'"):
        link_library([], [], tmp_path / library_name(), cache_dir=CACHE)


def test_a_folder_that_does_not_exist_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        link_library([], [], tmp_path / "none" / library_name(), cache_dir=CACHE)


def test_the_runtime_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link_library([], [], tmp_path / library_name(), cache_dir=CACHE)
    commands: list[list[str]] = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda command, **rest: commands.append(command) or run(command, **rest))
    link_library([], [], tmp_path / library_name(), cache_dir=CACHE)
    assert len(commands) == 1
    assert "-shared" in commands[0]


def test_a_disk_that_is_full_is_not_blamed_on_the_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "is_full", lambda folder: True)
    with pytest.raises(StorageError, match="the disk is full"):
        link_library([], sets(KernelSymbol("k_missing", 1, 1, "k_missing")), tmp_path / library_name(), cache_dir=CACHE)
