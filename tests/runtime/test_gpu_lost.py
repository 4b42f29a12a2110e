"""A GPU that is lost while in use (its driver was reset, it was taken out) is an error, and not the program's end."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.runtime import gpu_plans
from tests.runtime.conftest import BundleMaker, compile_c

from hearth.runtime import GpuInfo

SOURCE = Path(__file__).parent / "c" / "lost_vulkan.c"
PROGRAM = """
import sys
from pathlib import Path
from hearth.errors import DeviceError
from hearth.runtime import Model, TextSession

folder, device, lose = sys.argv[1:]
model = Model(folder, device=device)
session = TextSession(model, num_pages=4)
for position in range(10):
    if position == 3 and lose:
        Path(lose).touch()
    try:
        session.forward([5], [position], [0], [[0, 1, 2, -1]], [0])
        print("well")
    except DeviceError as error:
        print(error.why)
try:
    TextSession(model, num_pages=4)
except DeviceError as error:
    print(error.why)
session.close()
model.close()
print("closed")
"""


AGAIN = """
import sys
from pathlib import Path
from hearth.errors import StatesLost
from hearth.runtime import Model, TextSession

folder, device, lose = sys.argv[1:]
reopen = Model.reopen

def when_it_is_there_again(model):
    Path(lose).unlink()
    reopen(model)

Model.reopen = when_it_is_there_again
with Model(folder, device=device) as model, TextSession(model, num_pages=4) as session:
    for turn in range(2):
        first = [session.forward([5], [p], [0], [[0, 1, 2, -1]], [0]).logits.tolist() for p in range(4)]
        Path(lose).touch()
        try:
            session.forward([5], [4], [0], [[0, 1, 2, -1]], [0])
        except StatesLost as error:
            print(error.what, error.why)
        again = [session.forward([5], [p], [0], [[0, 1, 2, -1]], [0]).logits.tolist() for p in range(4)]
        print(first == again)
"""

FORKING = """
import os, sys
from hearth.errors import UsageError
from hearth.runtime import Model, TextSession

model = Model(sys.argv[1], device=sys.argv[2])
session = TextSession(model, num_pages=4)
arguments = ([5], [0], [0], [[0, 1, 2, -1]], [0])
session.forward(*arguments)
child = os.fork()
if child == 0:
    try:
        session.forward(*arguments)
    except UsageError as error:
        print(error.why, flush=True)
    session.close()
    model.close()
    os._exit(7)
status = os.waitpid(child, 0)[1]
print(os.waitstatus_to_exitcode(status), session.forward(*arguments).argmax.size)
"""


def system_vulkan() -> str:
    """The path of the library that programs load."""
    try:
        ctypes.CDLL("libvulkan.so.1")
    except OSError:
        pytest.skip("needs libvulkan")
    lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    return next(line.split()[-1] for line in lines if "/libvulkan.so" in line)


@pytest.fixture
def lose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """GPUs of programs that are started are lost as soon as this file is there."""
    if sys.platform != "linux":
        pytest.skip("puts a Vulkan library of its own in front of Linux's")
    compile_c(SOURCE, tmp_path / "libvulkan.so.1", "-shared", "-ldl")
    for name, value in (("LD_LIBRARY_PATH", tmp_path), ("SYSTEM_VULKAN", system_vulkan()), ("LOSE", tmp_path / "lost")):
        monkeypatch.setenv(name, str(value))
    return tmp_path / "lost"


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_a_gpu_that_is_there_again_computes_on(
    make_bundle: BundleMaker, bare_library: Path, software_gpu: GpuInfo, lose: Path
) -> None:
    folder = make_bundle(gpu_plans.tiny_text(), gpu_plans.tiny_weights(), bare_library)
    done = run(AGAIN, folder, f"gpu:{software_gpu.index}", lose)
    assert done.returncode == 0, done.stderr
    told, same, *second = done.stdout.splitlines()
    assert "The GPU was lost, and is there again. " in told
    assert "the GPU was lost" in told
    assert [same, *second] == ["True", told, "True"]


@pytest.mark.parametrize("when", ["between calls", "in a call"])
def test_a_lost_gpu_is_an_error_in_each_call(
    make_bundle: BundleMaker,
    bare_library: Path,
    software_gpu: GpuInfo,
    lose: Path,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    folder = make_bundle(gpu_plans.tiny_text(), gpu_plans.tiny_weights(), bare_library)
    if when == "in a call":
        monkeypatch.setenv("LOSE_AFTER", "6")
    done = run(PROGRAM, folder, f"gpu:{software_gpu.index}", lose if when == "between calls" else "")
    said = done.stdout.splitlines()
    assert (done.returncode, said[-1:]) == (0, ["closed"]), done.stderr
    well = said.count("well")
    assert (well == 3) if when == "between calls" else (1 <= well < 10)
    assert said[:well] == ["well"] * well
    assert len(said) == 10 + 2
    assert all("the GPU was lost" in line for line in said[well:-1])


def test_a_forked_child_leaves_its_parents_gpu_alone(
    make_bundle: BundleMaker, bare_library: Path, software_gpu: GpuInfo
) -> None:
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    folder = make_bundle(gpu_plans.tiny_text(), gpu_plans.tiny_weights(), bare_library)
    done = run(FORKING, folder, f"gpu:{software_gpu.index}")
    said = ["a forked process cannot use the GPU that its parent opened", "7 1"]
    assert done.stdout.splitlines() == said, done.stderr
