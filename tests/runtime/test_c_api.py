"""The program in docs/c-api.md compiles as it stands there and continues a prompt."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from tests.runtime import tiny_model
from tests.runtime.conftest import CACHE

from hearth.compiler.cpu.link import CSRC
from hearth.runtime import ModelInfo, binding
from hearth.runtime.binding import library_path

DOCS = Path(__file__).parent.parent.parent / "docs"


def greedy(prompt: list[int], count: int) -> list[int]:
    tokens = list(prompt)
    for _ in range(count):
        tokens.append(int(np.argmax(tiny_model.logits_of(tokens)[-1])))
    return tokens[len(prompt) :]


def test_the_example_of_the_page_runs(bundle: Path, tmp_path: Path) -> None:
    page = (DOCS / "c-api.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"```c\n(.*?)```", page, re.DOTALL)
    (tmp_path / "continue.c").write_text(source, encoding="utf-8")
    (tmp_path / "hearth.h").write_bytes((CSRC / "hearth.h").read_bytes())
    # zig in place of a system's cc, so that the test runs on every machine.
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    command = [sys.executable, "-m", "ziglang", "cc", *flags, "continue.c", str(library_path(bundle))]
    zig_cache = str(CACHE / "zig")
    environment = dict(os.environ, ZIG_GLOBAL_CACHE_DIR=zig_cache, ZIG_LOCAL_CACHE_DIR=zig_cache)
    subprocess.run([*command, f"-Wl,-rpath,{bundle}", "-o", "continue"], cwd=tmp_path, env=environment, check=True)

    prompt = [5, 17, 99, 3]
    done = subprocess.run(
        [tmp_path / "continue", bundle, *map(str, prompt)], capture_output=True, text=True, check=True
    )
    assert [int(line) for line in done.stdout.split()] == greedy(prompt, 16)

    wrong = subprocess.run([tmp_path / "continue", bundle, "100"], capture_output=True, text=True, check=False)
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
    assert int(version) == binding.ABI_VERSION
    for field in ModelInfo.__dataclass_fields__:
        assert f'"{field}"' in header, field
