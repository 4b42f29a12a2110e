"""The programs in docs/c-api.md compile as they stand there; the one for a language model continues a prompt."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from tests.runtime import tiny_model
from tests.runtime.conftest import CACHE

from hearth.bundle import ABI_VERSION
from hearth.compiler.cpu.link import CSRC
from hearth.runtime import ModelInfo, StateInfo, TensorInfo, binding
from hearth.runtime.binding import library_path

DOCS = Path(__file__).parent.parent.parent / "docs"


def greedy(prompt: list[int], count: int) -> list[int]:
    tokens = list(prompt)
    for _ in range(count):
        tokens.append(int(np.argmax(tiny_model.logits_of(tokens)[-1])))
    return tokens[len(prompt) :]


def example(name: str, bundle: Path, folder: Path) -> Path:
    """A program of the page, compiled as it says against the library of `bundle`."""
    page = (DOCS / "c-api.md").read_text(encoding="utf-8")
    sources = re.findall(r"Save it as `(\w+\.c)`.*?```c\n(.*?)```", page, re.DOTALL)
    (folder / name).with_suffix(".c").write_text(dict(sources)[f"{name}.c"], encoding="utf-8")
    (folder / "hearth.h").write_bytes((CSRC / "hearth.h").read_bytes())
    # zig in place of a system's cc, so that the test runs on every machine.
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    command = [sys.executable, "-m", "ziglang", "cc", *flags, f"{name}.c", str(library_path(bundle))]
    zig_cache = str(CACHE / "zig")
    environment = dict(os.environ, ZIG_GLOBAL_CACHE_DIR=zig_cache, ZIG_LOCAL_CACHE_DIR=zig_cache)
    subprocess.run([*command, f"-Wl,-rpath,{bundle}", "-o", name], cwd=folder, env=environment, check=True)
    return folder / name


def run(program: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_a_language_model_continues_a_prompt(bundle: Path, tmp_path: Path) -> None:
    program = example("continue", bundle, tmp_path)
    prompt = [5, 17, 99, 3]
    done = run(program, bundle, *prompt)
    assert (done.returncode, done.stdout) == (0, "".join(f"{token}\n" for token in greedy(prompt, 16)))
    wrong = run(program, bundle, 100)
    assert wrong.returncode == 1
    assert "token 0: id 100, the vocabulary has 100 (status 1)" in wrong.stderr


def test_the_page_names_what_the_header_has() -> None:
    page = (DOCS / "c-api.md").read_text(encoding="utf-8")
    header = (CSRC / "hearth.h").read_text(encoding="utf-8")
    for name in set(re.findall(r"\b(?:hearth|HEARTH)_\w+", page)):
        assert name in header, name
    for name in re.findall(r"(HEARTH_[A-Z]+) = [1-9]", header):
        assert f"`{name}`" in page, name


def test_the_binding_declares_what_the_header_has() -> None:
    header = (CSRC / "hearth.h").read_text(encoding="utf-8")
    declared = set(re.findall(r"^HEARTH_API [^;]*?(hearth_\w+)\(", header, re.MULTILINE))
    assert declared == set(binding._FUNCTIONS)
    (version,) = re.findall(r"#define HEARTH_ABI_VERSION (\d+)u", header)
    assert int(version) == binding.ABI_VERSION == ABI_VERSION  # which bundles say
    for described in (ModelInfo, TensorInfo, StateInfo):
        for field in described.__dataclass_fields__:
            assert f'"{field}"' in header, field
