"""Machine code of kernels, kept by what they are: the second level of the compile cache.

A kernel's object file is named by its structural hash, its target and the compiler's version, so models share kernels
(all of one format do) and a changed kernel is never mistaken for its former self.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import tvm
from tvm_ffi import structural_hash

from hearth.bundle.failures import disk_full, is_full, storage_errors
from hearth.compiler.cpu.kernels import build
from hearth.compiler.cpu.kernels.build import write_object
from hearth.compiler.cpu.targets import Isa
from hearth.compiler.kept import is_sound, make
from hearth.errors import CompileError

_LLVM_TRIPLES = {"macos": "apple-darwin", "linux": "linux-gnu", "windows": "windows-gnu"}

# Where TVM does not know and would warn that it guesses.
_VECTOR_BITS = {"wasm32": 128}

# What every object of an architecture is compiled with, whatever its instruction set: a module's memory may be shared.
_FEATURES = {"wasm32": ("+atomics", "+bulk-memory")}


def llvm_target(target: str, isa: Isa) -> Any:
    """TVM's target for a triple and an instruction set."""
    arch, _, system = target.partition("-")
    family = system.partition("-")[0]
    triple = f"{arch}-{_LLVM_TRIPLES[family]}" if family in _LLVM_TRIPLES else target
    if family == "linux" and "musl" in system:
        triple = f"{arch}-linux-musl"
    cpu = {"x86_64": "x86-64", "aarch64": "generic"}.get(arch, "generic")
    attributes = dict.fromkeys([*isa.llvm_features, *_FEATURES.get(arch, ())])
    about: dict[str, Any] = {"kind": "llvm", "mtriple": triple, "mcpu": cpu, "mattr": list(attributes)}
    if arch in _VECTOR_BITS:
        about["vector-width"] = _VECTOR_BITS[arch]
    return tvm.target.Target(about)


def kernel_objects(
    functions: Mapping[str, Any],
    target: str,
    isa: Isa,
    cache: Path,
    progress: Callable[[str], None] | None = None,
) -> list[Path]:
    """Object files of kernels, compiled where the cache has none.

    Args:
        functions: their PrimFuncs by C name.
        cache: folder of the object files.
    """
    with storage_errors("write", cache):
        cache.mkdir(parents=True, exist_ok=True)
    machine = llvm_target(target, isa)
    lowering = hashlib.sha256(Path(build.__file__).read_bytes()).hexdigest()
    paths = []
    for name, function in functions.items():
        if progress:
            progress(name)
        identity = f"{structural_hash(function, map_free_vars=True):x} {machine} {tvm.__version__} {lowering}"
        path = cache / f"{name[:80]}-{hashlib.sha256(identity.encode()).hexdigest()[:20]}.o"
        if not is_sound(path):
            try:
                make(path, partial(write_object, tvm.IRModule({name: function}), machine))
            except (tvm.error.InternalError, RuntimeError, ValueError) as error:
                if is_full(cache):
                    raise disk_full("write", path) from error
                raise CompileError(f"Kernel {name} does not compile for {target}.", why=str(error)[-500:]) from error
        paths.append(path)
    return paths
