"""Kernels as C functions in a shared library, called on numpy arrays that are guarded against writes past their end."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.compiler.compiled import CACHE

from hearth.bundle.cpu import architecture, features
from hearth.compiler.kernels.builder import Kernel
from hearth.compiler.link import host_target
from hearth.compiler.objects import kernel_objects
from hearth.compiler.targets import ISAS, Isa, best_isa

GUARD_BYTES = 256
_GUARD = 0xA5


def runs_here(isa: Isa) -> bool:
    have = features() or frozenset()
    return isa.architecture in (None, architecture()) and have.issuperset(isa.features)


def isa_params(*, best_only: bool = False) -> list[Any]:
    """A pytest parameter for each instruction set of this architecture, skipped with a reason where it cannot run."""
    params = []
    for isa in ISAS.values():
        reason = f"this processor has no {isa.name}: {' '.join(isa.features)}"
        params.append(pytest.param(isa, id=isa.name, marks=pytest.mark.skipif(not runs_here(isa), reason=reason)))
    return params[:1] if best_only else params


def host_isa() -> Isa:
    return best_isa(host_target(), features() or frozenset())


def build(kernels: Iterable[Kernel], isa: Isa, folder: Path) -> KernelLibrary:
    """Compiles `kernels` and loads them as one library."""
    by_name = {kernel.name: kernel for kernel in kernels}
    counts = {name: (kernel.num_buffers, kernel.num_scalars) for name, kernel in by_name.items()}
    functions = {name: kernel.finish() for name, kernel in by_name.items()}
    objects = kernel_objects(functions, host_target(), isa, CACHE / "kernels")
    path = folder / f"kernels-{isa.name}.so"
    zig_cache = str(CACHE / "zig" / "zig")
    environment = dict(os.environ, ZIG_GLOBAL_CACHE_DIR=zig_cache, ZIG_LOCAL_CACHE_DIR=zig_cache)
    flags = ["-target", host_target(), "-mcpu=baseline", "-O2", "-fno-sanitize=all", "-shared", "-lm"]
    command = [sys.executable, "-m", "ziglang", "cc", *flags, *map(str, objects), "-o", str(path)]
    subprocess.run(command, check=True, env=environment, cwd=folder, capture_output=True)
    return KernelLibrary(path, counts)


class KernelLibrary:
    def __init__(self, path: Path, counts: dict[str, tuple[int, int]]) -> None:
        self._library = ctypes.CDLL(str(path))
        self._counts = counts

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
        function = getattr(self._library, name)
        function.restype = ctypes.c_int32
        scratch = guarded((scratch_bytes,), np.uint8, 0xCB)  # what an earlier kernel left there must not matter
        pointers = [ctypes.c_void_p(b.ctypes.data) for b in buffers]
        for begin in range(0, units, chunk):
            end = min(begin + chunk, units)
            numbers = [ctypes.c_int64(n) for n in (begin, end)]
            status = function(*numbers, *pointers, *map(ctypes.c_int64, scalars), ctypes.c_void_p(scratch.ctypes.data))
            assert status == 0
        for index, buffer in enumerate([*buffers, scratch]):
            assert is_intact(buffer), f"{name} wrote past the end of buffer {index}"


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


def is_intact(array: NDArray[Any]) -> bool:
    memory: Any = array
    while isinstance(memory.base, np.ndarray):
        memory = memory.base
    end = array.ctypes.data + array.nbytes - memory.ctypes.data
    return bool((memory[end : end + GUARD_BYTES] == _GUARD).all())
