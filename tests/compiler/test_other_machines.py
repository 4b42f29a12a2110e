"""Bundles for other processors and systems than this one: they are made, and where an emulator is, they compute."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.compiler.compiled import CACHE, Piece, Sequences, compile_here, open_session, relative_error
from tests.compiler.test_mixtures import Q4_K_M, SIMPLE, write_mixture

from golden import CASES
from hearth.bundle import InstructionSet, open_bundle
from hearth.bundle.cpu import features
from hearth.compiler import compile as compile_module
from hearth.compiler.cpu.link import CSRC, KernelSet, kernel_table, library_name
from hearth.compiler.cpu.targets import ISAS, best_isa, choose_isas
from hearth.errors import BundleMismatch, UsageError
from hearth.runtime import Model

LLAMA = next(case for case in CASES if case.name == "llama3")
ELF_MACHINES = {"x86_64": 62, "aarch64": 183}


@pytest.mark.parametrize(
    ("target", "isa"),
    [
        ("aarch64-linux-gnu", "dotprod"),
        ("aarch64-linux-gnu", "i8mm"),
        ("aarch64-linux-gnu", "neon"),
        ("x86_64-linux-gnu", "avxvnni"),
        ("x86_64-linux-gnu", "amx_int8"),
        ("x86_64-linux-gnu", "avx512vnni"),
        ("x86_64-linux-musl", "avx2"),
        ("aarch64-macos", "dotprod"),
    ],
)
def test_a_bundle_for_another_machine_is_made_and_names_it(tmp_path: Path, target: str, isa: str) -> None:
    folder = compile_here(LLAMA.path, tmp_path / "bundle", quant="q4", target=target, isa=isa)
    manifest = open_bundle(folder, for_this_machine=False).manifest
    assert (manifest.target, manifest.instruction_sets) == (target, (InstructionSet(isa, ISAS[isa].features),))
    library = (folder / library_name(target)).read_bytes()
    if "macos" in target:
        assert library[:4] == b"\xcf\xfa\xed\xfe"
    else:
        assert library[:4] == b"\x7fELF"
        assert struct.unpack_from("<H", library, 18)[0] == ELF_MACHINES[target.partition("-")[0]]


def test_a_bundle_for_another_processor_is_not_opened_here(tmp_path: Path) -> None:
    folder = compile_here(LLAMA.path, tmp_path / "bundle", quant="q4", target="aarch64-macos")
    with pytest.raises(BundleMismatch, match="macos"):
        open_bundle(folder)


def test_the_instruction_set_is_never_more_than_the_processor_has() -> None:
    """Else the first token ends in an illegal instruction."""
    for isa in ISAS.values():
        target = f"{isa.architecture or 'x86_64'}-linux-gnu"
        assert best_isa(target, frozenset(isa.features)) is isa
        for missing in isa.features:
            assert missing not in best_isa(target, frozenset(isa.features) - {missing}).features


def test_which_instruction_sets_a_bundle_carries() -> None:
    def chosen(target: str, names: str | None = None) -> str:
        return " ".join(isa.name for isa in choose_isas(target, "x86_64-linux-gnu", names))

    assert chosen("x86_64-linux-gnu") == best_isa("x86_64-linux-gnu", features() or frozenset()).name
    assert chosen("x86_64-linux-musl") == "amx_int8 avx512vnni avxvnni avx2"
    assert chosen("x86_64-linux-musl", "avx2, avx512vnni") == "avx512vnni avx2"
    assert chosen("x86_64-linux-gnu", "all") == "amx_int8 avx512vnni avxvnni avx2 generic"
    assert chosen("aarch64-macos") == "i8mm dotprod neon"
    for wrong in ("avx9", "avx2,", "avx2 avxvnni", "dotprod", ""):
        with pytest.raises(UsageError, match="is no instruction set of x86_64-linux-gnu"):
            chosen("x86_64-linux-gnu", wrong)


def static_program(
    source: Path, folder: Path, target: str, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> tuple[Path, Path]:
    """The bundle, and a program for `target` with the bundle's kernels and the runtime in it."""
    linked: list[tuple[list[Path], list[KernelSet]]] = []
    link = compile_module.link_library

    def remember(objects: list[Path], sets: list[KernelSet], output: Path, **more: Any) -> None:
        linked.append((objects, sets))
        link(objects, sets, output, **more)

    monkeypatch.setattr(compile_module, "link_library", remember)
    bundle = compile_here(source, folder / "bundle", target=target, **options)
    ((objects, sets),) = linked
    (folder / "table.c").write_text(kernel_table(sets))
    sources = [Path(__file__).with_name("run_bundle.c"), folder / "table.c", *sorted(CSRC.glob("*.c"))]
    program, zig_cache = folder / "program", str(CACHE / "zig" / "zig")
    flags = ["-target", target, "-std=c11", "-O2", "-fno-sanitize=all", "-static", f"-I{CSRC}"]
    command = [sys.executable, "-m", "ziglang", "cc", *flags, *map(str, [*sources, *objects]), "-o", str(program)]
    environment = dict(os.environ, ZIG_GLOBAL_CACHE_DIR=zig_cache, ZIG_LOCAL_CACHE_DIR=zig_cache)
    subprocess.run(command, check=True, env=environment, cwd=folder)
    return bundle, program


def exact(folder: Path) -> tuple[Path, dict[str, str]]:
    return LLAMA.path, {"quant": "f32", "head": "f32", "precision": "high"}


def small_blocks(folder: Path) -> tuple[Path, dict[str, str]]:
    return write_mixture(folder / "model.gguf", SIMPLE, "q8_0"), {}


def k_quants(folder: Path) -> tuple[Path, dict[str, str]]:
    return write_mixture(folder / "model.gguf", {**Q4_K_M, "attn_output": "q5_k"}, "q4_k"), {}


@pytest.mark.slow
@pytest.mark.parametrize("isa", ["i8mm", "dotprod", "neon"])
@pytest.mark.parametrize("make", [exact, small_blocks, k_quants])
def test_aarch64_computes_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isa: str, make: Callable[[Path], tuple[Path, dict[str, str]]]
) -> None:
    """Under emulation (`apt-get install qemu-user`): the kernels of Arm processors, for which CI has no machine."""
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if emulator is None:
        pytest.skip("needs qemu-aarch64")
    source, options = make(tmp_path)
    with Model(compile_here(source, tmp_path / "here", **options)) as model, open_session(model) as session:
        (expected,) = Sequences(session).run([Piece(0, LLAMA.token_ids)])
    bundle, program = static_program(source, tmp_path, "aarch64-linux-musl", monkeypatch, isa=isa, **options)
    command = [emulator, str(program), str(bundle), *map(str, LLAMA.token_ids)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    logits = np.array(done.stdout.split(), np.float32).reshape(expected.shape)
    # With 8-bit activations a last bit may turn a rounding, which the next layers show.
    assert relative_error(logits, expected) < (0.01 if make is not exact else 1e-4)
