"""Texts of shaders, kept by what their kernels are: the second level of the compile cache, as machine code has it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import tvm
from tvm_ffi import structural_hash

from hearth.bundle.failures import storage_errors
from hearth.compiler.gpu import wgsl
from hearth.compiler.gpu.kernels.builder import GpuKernel
from hearth.compiler.kept import is_sound, make
from hearth.errors import CompileError


def kernels_file(kernels: Sequence[GpuKernel], cache: Path, progress: Callable[[str], None]) -> str:
    """The content of gpu_kernels.wgsl: each shader behind a line `//@ NAME THREADS FEATURES`.

    Args:
        cache: folder of the texts.
        progress: called with the name of each kernel before it is made.
    """
    parts = []
    for kernel in kernels:
        progress(kernel.name)
        parts.append(f"//@ {kernel.name} {kernel.threads} {kernel.features.name}\n{_text(kernel, cache)}")
    return "\n".join(parts)


def _text(kernel: GpuKernel, cache: Path) -> str:
    lowering = hashlib.sha256(Path(wgsl.__file__).read_bytes()).hexdigest()
    function = structural_hash(kernel.finish(), map_free_vars=True)
    identity = f"{function:x} {kernel.features.name} {tvm.__version__} {lowering}"
    path = cache / f"{kernel.name[:80]}-{hashlib.sha256(identity.encode()).hexdigest()[:20]}.wgsl"
    if not is_sound(path):
        try:
            text = wgsl.wgsl(kernel)
        except (tvm.error.InternalError, RuntimeError, ValueError) as error:
            raise CompileError(f"Kernel {kernel.name} does not become WGSL.", why=str(error)[-500:]) from error
        with storage_errors("write", cache):
            cache.mkdir(parents=True, exist_ok=True)
            make(path, partial(Path.write_text, data=text, encoding="utf-8"))
    return path.read_text(encoding="utf-8")
