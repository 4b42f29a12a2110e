"""Kernels called on numpy arrays that are guarded against writes past their end.

They are in a shared library where this processor runs them, else in a program under emulation: `qemu-aarch64` for Arm,
`node` for WebAssembly. AMX is emulated within the shared library, instruction by instruction.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.compiler.compiled import CACHE
from tests.wasm.node import node_knows

from hearth.bundle.cpu import architecture, features
from hearth.compiler.cpu.kernels.builder import Kernel
from hearth.compiler.cpu.link import CSRC, KernelSet, KernelSymbol, host_target, kernel_table
from hearth.compiler.cpu.objects import kernel_objects
from hearth.compiler.cpu.targets import ISAS, Isa, best_isa

GUARD_BYTES = 256
_GUARD = 0xA5
HERE = Path(__file__).parent

EMULATED = {"aarch64": "aarch64-linux-musl", "wasm32": "wasm32-freestanding"}
"""Targets of instruction sets that this machine does not have, by architecture."""
_EMULATORS = {"aarch64": ("qemu-aarch64", "qemu-aarch64-static"), "wasm32": ("node", "nodejs")}


def runs_here(isa: Isa) -> bool:
    have = features() or frozenset()
    return isa.architecture in (None, architecture()) and have.issuperset(isa.features)


def emulator(isa: Isa) -> str | None:
    """The program that runs the instruction set in place of this machine's processor."""
    names = _EMULATORS.get(isa.architecture or "", ()) if isa.architecture != architecture() else ()
    if isa.architecture == "wasm32" and not node_knows(isa):
        return None
    return next((path for path in map(shutil.which, names) if path), None)


def matrix_is_emulated(isa: Isa) -> bool:
    """Whether the instructions of a matrix unit, and only these, are carried out by `amx_emulator.c`."""
    have = features() or frozenset()
    vectors = {name for name in isa.features if not name.startswith("amx")}
    return isa.matrix == "amx" and not runs_here(isa) and sys.platform == "linux" and have.issuperset(vectors)


def isa_params(*, best_only: bool = False) -> list[Any]:
    """A pytest parameter for each instruction set of this architecture, skipped with a reason where it cannot run."""
    params = []
    for isa in ISAS.values():
        if isa.architecture not in (None, architecture()):
            continue
        reason = f"this processor has no {isa.name}: {' '.join(isa.features)}"
        params.append(pytest.param(isa, id=isa.name, marks=pytest.mark.skipif(not runs_here(isa), reason=reason)))
    return params[:1] if best_only else params


def emulated_params() -> list[Any]:
    """The same for those of other architectures, run by an emulator."""
    params = []
    for isa in ISAS.values():
        if isa.architecture not in (None, architecture()) and isa.architecture in EMULATED:
            reason = f"needs {_EMULATORS[isa.architecture][0]} with {' '.join(isa.features)}"
            params.append(pytest.param(isa, id=isa.name, marks=pytest.mark.skipif(not emulator(isa), reason=reason)))
    return params


def float_params() -> list[Any]:
    """A pytest parameter for each way in which kernels that know only floats differ: by registers and architecture."""
    kinds: dict[tuple[str | None, tuple[int, int]], list[Isa]] = {}
    for isa in ISAS.values():
        kinds.setdefault((isa.architecture, isa.float_tile), []).append(isa)
    params = []
    for isas in kinds.values():
        isa = next((isa for isa in isas if runs_here(isa) or emulator(isa)), isas[0])
        runs = runs_here(isa) or emulator(isa)
        params.append(pytest.param(isa, id=isa.name, marks=pytest.mark.skipif(not runs, reason="no way to run it")))
    return params


def matrix_params() -> list[Any]:
    """The same for those whose matrix unit alone is emulated."""
    return [pytest.param(isa, id=f"{isa.name}-emulated") for isa in ISAS.values() if matrix_is_emulated(isa)]


def host_isa() -> Isa:
    return best_isa(host_target(), features() or frozenset())


def build(kernels: Iterable[Kernel], isa: Isa, folder: Path) -> KernelLibrary:
    """Compiles `kernels` and loads them as one library, or links them to a program for the emulator."""
    by_name = {kernel.name: kernel for kernel in kernels}
    functions = {name: kernel.finish() for name, kernel in by_name.items()}
    symbols = [KernelSymbol(name, k.num_buffers, k.num_scalars, name) for name, k in by_name.items()]
    is_native = runs_here(isa) or matrix_is_emulated(isa)
    target = host_target() if is_native else EMULATED[isa.architecture or ""]
    objects = list(map(str, kernel_objects(functions, target, isa, CACHE / "kernels")))
    path = folder / f"kernels-{isa.name}"
    flags = ["-target", target, "-O2", "-fno-sanitize=all"]
    if is_native:
        sources = [str(HERE / "amx_emulator.c")] if matrix_is_emulated(isa) else []
        zig(folder, *flags, "-fPIC", "-mcpu=baseline", *sources, *objects, "-shared", "-lm", "-o", str(path))
        return KernelLibrary(path, symbols)
    command = [emulator(isa) or "", str(path)]
    if isa.architecture == "wasm32":
        exports = [f"-Wl,--export={name}" for name in (*by_name, "__heap_base")]
        flags += ["-mcpu=generic+simd128+bulk_memory", "-nostdlib", "-Wl,--no-entry"]
        zig(folder, *flags, *exports, *objects, "-o", str(path))
        command = [command[0], str(HERE / "run_kernel.mjs"), str(path)]
    else:
        (folder / "table.c").write_text(kernel_table([KernelSet(isa.name, (), symbols)]), encoding="ascii")
        sources = [str(HERE / "run_kernel.c"), str(folder / "table.c")]
        zig(folder, *flags, "-mcpu=baseline", "-nostdlib", "-static", f"-I{CSRC}", *sources, *objects, "-o", str(path))
    return EmulatedLibrary(command, symbols)


def zig(folder: Path, *arguments: str) -> None:
    """`zig cc` in `folder`, with the tests' cache."""
    zig_cache = str(CACHE / "zig" / "zig")
    environment = dict(os.environ, ZIG_GLOBAL_CACHE_DIR=zig_cache, ZIG_LOCAL_CACHE_DIR=zig_cache)
    command = [sys.executable, "-m", "ziglang", "cc", *arguments]
    done = subprocess.run(command, check=False, env=environment, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class KernelLibrary:
    def __init__(self, path: Path, symbols: Sequence[KernelSymbol]) -> None:
        self._library = ctypes.CDLL(str(path))
        self._counts = {k.name: (k.num_buffers, k.num_scalars) for k in symbols}

    def __contains__(self, name: str) -> bool:
        return name in self._counts

    def run(
        self,
        name: str,
        buffers: Sequence[NDArray[Any]],
        scalars: Sequence[int],
        units: int,
        *,
        chunk: int,
        scratch_bytes: int = 64,
    ) -> None:
        """Runs a kernel over [0, units), in calls of `chunk` units: what several threads would do.

        `buffers` come from `guarded`; a write past the end of any of them, or of the scratch memory that the plan would
        give it, fails the test.
        """
        assert (len(buffers), len(scalars)) == self._counts[name], (name, self._counts[name])
        scratch = guarded((scratch_bytes,), np.uint8, 0xCB)  # what an earlier kernel left there must not matter
        self._call(name, [*buffers, scratch], scalars, units, chunk)
        for index, buffer in enumerate([*buffers, scratch]):
            assert is_intact(buffer), f"{name} wrote past the end of buffer {index}"

    def _call(self, name: str, buffers: list[NDArray[Any]], scalars: Sequence[int], units: int, chunk: int) -> None:
        function = getattr(self._library, name)
        function.restype = ctypes.c_int32
        *pointers, scratch = [ctypes.c_void_p(b.ctypes.data) for b in buffers]
        for begin in range(0, units, chunk):
            numbers = [ctypes.c_int64(n) for n in (begin, min(begin + chunk, units))]
            assert function(*numbers, *pointers, *map(ctypes.c_int64, scalars), scratch) == 0


class EmulatedLibrary(KernelLibrary):
    """Kernels in a program that `command` starts: see run_kernel.c."""

    def __init__(self, command: list[str], symbols: Sequence[KernelSymbol]) -> None:
        self._command = command
        self._counts = {k.name: (k.num_buffers, k.num_scalars) for k in symbols}

    def _call(self, name: str, buffers: list[NDArray[Any]], scalars: Sequence[int], units: int, chunk: int) -> None:
        memories = [with_guard(buffer) for buffer in buffers]
        head = [list(self._counts).index(name), units, chunk, len(buffers), len(scalars), *scalars]
        pieces = [np.array(head, "<i8").tobytes()]
        for memory in memories:
            pieces += [np.array([memory.size], "<i8").tobytes(), memory.tobytes()]
        done = subprocess.run([*self._command, name], input=b"".join(pieces), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        results = np.frombuffer(done.stdout, np.uint8)
        for memory in memories:
            memory[:], results = results[: memory.size], results[memory.size :]


def guarded(shape: tuple[int, ...], dtype: Any, fill: Any = None) -> NDArray[Any]:
    """An array that begins at a multiple of 64 bytes and has guard bytes behind it; NaN or garbage unless filled."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    memory = np.full(size + GUARD_BYTES + 64, _GUARD, np.uint8)
    start = -memory.ctypes.data % 64
    array = memory[start : start + size].view(dtype).reshape(shape)
    array[...] = fill if fill is not None else (np.nan if dtype.kind == "f" else 77)
    return array


def copied(values: NDArray[Any]) -> NDArray[Any]:
    """`values` in a guarded array."""
    return guarded(values.shape, values.dtype, values)


def with_guard(array: NDArray[Any]) -> NDArray[np.uint8]:
    """The bytes of an array that `guarded` made, and the guard behind it."""
    memory: Any = array
    while isinstance(memory.base, np.ndarray):
        memory = memory.base
    start = array.ctypes.data - memory.ctypes.data
    return np.asarray(memory[start : start + array.nbytes + GUARD_BYTES])


def is_intact(array: NDArray[Any]) -> bool:
    return bool((with_guard(array)[array.nbytes :] == _GUARD).all())
