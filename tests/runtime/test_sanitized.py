"""The C runtime under the sanitizers of a system compiler, as a program of its own: no Python, no leak, no race.

zig brings UndefinedBehaviorSanitizer (test_damaged_plan.py uses it) but not AddressSanitizer, so these tests need gcc
or clang, which every CI machine has; elsewhere they skip and say so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.runtime import gpu_plans, tiny_functions, tiny_model
from tests.runtime.conftest import BundleMaker

from hearth.compiler.cpu.link import CSRC, KernelSet, kernel_table
from hearth.runtime import GpuInfo, gpu_library

HERE = Path(__file__).parent
FUZZER = HERE.parent / "fuzz" / "fuzz_plan.c"

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
LIBRARIES = ["-lm", "-lpthread", "-ldl"]
FLAGS = ["-std=c11", "-g", "-O1", "-fno-omit-frame-pointer", *WARNINGS]


def compiler_with(sanitizers: str, folder: Path) -> list[str]:
    """The command of a system compiler that can build and run with `sanitizers`."""
    source = folder / "empty.c"
    source.write_text("int main(void) { return 0; }\n", encoding="ascii")
    flags = [f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all"]
    for name in ("gcc", "clang"):
        path = shutil.which(name)
        if path is None:
            continue
        program = folder / "empty"
        built = subprocess.run([path, *flags, str(source), "-o", str(program)], capture_output=True, check=False)
        if built.returncode == 0 and _runs(program):
            return [path, *flags]
    pytest.skip(f"needs gcc or clang with -fsanitize={sanitizers}")


def _runs(program: Path) -> bool:
    """Whether it ends, and well: where a system lays out memory in a way that a sanitizer does not expect, its program
    may report that forever."""
    try:
        return subprocess.run([program], capture_output=True, check=False, timeout=60).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def build(command: list[str], sources: list[Path], program: Path) -> None:
    runtime = sorted(CSRC.glob("*.c"))
    done = subprocess.run(
        [
            *command,
            *FLAGS,
            f"-I{CSRC}",
            *map(str, [*sources, *runtime]),
            "-o",
            str(program),
            "-lm",
            "-lpthread",
            "-ldl",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def start(program: Path, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    # With these options a sanitizer's report ends the program with a status of its own.
    options = "abort_on_error=0:exitcode=66:halt_on_error=1"
    environment = dict(os.environ, ASAN_OPTIONS=options, TSAN_OPTIONS=options, UBSAN_OPTIONS=options, **variables)
    done = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=False, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done


@pytest.mark.parametrize("sanitizers", ["address,undefined", "thread"])
def test_the_runtime_runs_clean(bundle: Path, make_bundle: BundleMaker, tmp_path: Path, sanitizers: str) -> None:
    command = compiler_with(sanitizers, tmp_path)
    table = tmp_path / "table.c"
    table.write_text(kernel_table(tiny_model.SETS), encoding="ascii")
    kernels = HERE / "kernels.c"
    program = tmp_path / "test_runtime"
    # clock_gettime in the kernels wants POSIX beside C11.
    build([*command, "-D_POSIX_C_SOURCE=200809L"], [HERE / "c" / "test_runtime.c", kernels, table], program)
    start(program, bundle, make_bundle(tiny_functions.plan(), tiny_functions.weights_bytes()))


def test_mutated_plans_find_no_error_of_memory(bundle: Path, make_bundle: BundleMaker, tmp_path: Path) -> None:
    command = compiler_with("address,undefined", tmp_path)
    program = tmp_path / "fuzz_plan"
    build(command, [FUZZER], program)
    for folder in (bundle, make_bundle(tiny_functions.plan(), tiny_functions.weights_bytes())):
        said = start(program, folder / "plan.bin", 10_000).stdout
        assert "10000 plans" in said


def test_plans_on_gpus_run_clean(
    software_gpu: GpuInfo, make_bundle: BundleMaker, bare_library: Path, tmp_path: Path
) -> None:
    """Also where the device is lost. A thread sanitizer would have to see into the library that drives GPUs."""
    command = compiler_with("address,undefined", tmp_path)
    table = tmp_path / "table.c"
    table.write_text(kernel_table([KernelSet("none", (), [])]), encoding="ascii")
    program = tmp_path / "test_gpu"
    build([*command, "-D_POSIX_C_SOURCE=200809L"], [HERE / "c" / "test_gpu.c", table], program)
    folder = make_bundle(gpu_plans.tiny_text(), gpu_plans.tiny_weights(), bare_library)
    device = f"gpu:{software_gpu.index}"
    # Drivers lose some bytes of their own; what we lose, WebGPU has made for us, or we ourselves.
    done = start(program, folder, gpu_library.find(), device, 2000, LSAN_OPTIONS="exitcode=0:symbolize=0")
    start(program, folder, gpu_library.find(), device, 0, LSAN_OPTIONS="detect_leaks=0")  # a lost device stays
    leaks = [each for each in done.stderr.split("\n\n") if "leak of" in each]
    assert [leak for leak in leaks if "libwgpu_native" in leak or str(program) in leak] == []
