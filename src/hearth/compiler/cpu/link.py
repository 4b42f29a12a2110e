"""Links a bundle's one shared library: the C runtime, the kernels, and the table by which the runtime finds them.

The compiler is `python -m ziglang cc` (PyPI `ziglang`): the same on every machine, and for every target. The runtime
itself is compiled once for each target and kept in a cache folder; for a new model only the small table is compiled.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hearth.bundle import WASM_LIBRARY
from hearth.bundle.failures import disk_full, is_full
from hearth.compiler.cpu.targets import MEMORY_BYTES
from hearth.compiler.kept import is_sound, keep
from hearth.distribution import install_command, version_of
from hearth.errors import CompileError, StorageError, UsageError

CSRC = Path(__file__).parents[2] / "runtime" / "csrc"

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# What zig calls the targets that we name, with the oldest C library a bundle should still run on: glibc 2.28 is that of
# RHEL 8 and Debian 10, macOS 11 the first on Arm.
_ZIG_TARGETS = {
    "x86_64-linux-gnu": "x86_64-linux-gnu.2.28",
    "aarch64-linux-gnu": "aarch64-linux-gnu.2.28",
    "x86_64-linux-musl": "x86_64-linux-musl",
    "aarch64-linux-musl": "aarch64-linux-musl",
    "x86_64-macos": "x86_64-macos.11.0",
    "aarch64-macos": "aarch64-macos.11.0",
    "wasm32": "wasm32-wasi",
}

_TRAMPOLINE_PARAMETERS = "int64_t begin, int64_t end, void *const *b, const int64_t *s, void *scratch"

_COMPILE_FLAGS = ("-std=c11", "-O2", "-fvisibility=hidden", "-fno-math-errno", "-Wall", "-Wextra", "-Werror")
# What a module exports: all that hearth.h declares, and by which its host gets memory.
_API = re.compile(r"^HEARTH_API [^;]*?(hearth_\w+)\(", re.MULTILINE)
_PAGES = ("hth_pages_allocate", "hth_pages_free")
# What gives an instance on a thread of its own a stack and thread-locals.
_THREAD = ("__stack_pointer", "__wasm_init_tls")
_WASM_STACK_BYTES = 1 << 20
_WASM_PAGE_BYTES = 1 << 16
_SANITIZE_FLAGS = ("-g", "-fsanitize=undefined", "-fno-sanitize-recover=undefined")


@dataclass(frozen=True)
class KernelSymbol:
    """A kernel in the objects: `int32_t NAME(int64 begin, int64 end, void *b0, ..., int64 s0, ..., void *scratch)`.

    Attributes:
        name: that the plan uses.
        num_buffers: pointers that the function takes after `begin` and `end`.
        num_scalars: 64-bit integers that follow them.
        symbol: the C name.
    """

    name: str
    num_buffers: int
    num_scalars: int
    symbol: str


@dataclass(frozen=True)
class KernelSet:
    """All kernels for one instruction set.

    Attributes:
        isa: its name.
        features: what a processor must have to run them, spelled as Linux does in /proc/cpuinfo.
    """

    isa: str
    features: Sequence[str]
    kernels: Sequence[KernelSymbol]


def host_target() -> str:
    """The target that this machine runs, such as `x86_64-linux-gnu`."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    if sys.platform == "darwin":
        return f"{machine}-macos"
    libc = "gnu" if platform.libc_ver()[0] == "glibc" else "musl"
    return f"{machine}-linux-{libc}"


def resolve_target(target: str | None) -> str:
    """The full name of a target: this machine's for None, `-gnu` added where only the system is named.

    Raises:
        UsageError: there is no such target.
    """
    if target is None:
        return host_target()
    for name in (target, f"{target}-gnu"):
        if name in _ZIG_TARGETS:
            return name
    raise UsageError(f"'{target}' is no target.", hint=f"Choose one of: {', '.join(sorted(_ZIG_TARGETS))}.")


def library_name(target: str | None = None) -> str:
    """File name of a bundle's library on `target`: `libhearth.so`, `.dylib` or `.dll`."""
    target = target or host_target()
    if "macos" in target or "ios" in target:
        return "libhearth.dylib"
    return "libhearth.dll" if "windows" in target else "libhearth.so"


def libraries(target: str, sets: Sequence[KernelSet]) -> dict[str, Sequence[KernelSet]]:
    """The libraries of a bundle by their file name, each with the kernels that it holds: one with all, of which the
    runtime takes the best that the processor has; for WebAssembly a module for each set."""
    if is_wasm(target):
        return {WASM_LIBRARY.format(isa=each.isa): [each] for each in sets}
    return {library_name(target): sets}


def is_wasm(target: str) -> bool:
    return target.startswith("wasm")


def kernel_table(sets: Sequence[KernelSet], plan: bytes | None = None) -> str:
    """C source of the kernel tables, one for each set, best first: for each kernel a trampoline from the runtime's one
    signature to its own; and of the hash of the plan."""
    lines = ['#include "kernels.h"', ""]
    for number, each in enumerate(sets):
        lines += _trampolines(number, each)
        rows = [f'    {{"{k.name}", {k.num_buffers}, {k.num_scalars}, call{number}_{k.name}}},' for k in each.kernels]
        # C has no empty arrays: one row more than counted, which also ends the table for a reader.
        lines += [f"static const hearth_kernel kernels{number}[] = {{", *rows, "    {0, 0, 0, 0}};", ""]
    lines += ["const hearth_kernel_set hearth_kernel_sets[] = {"]
    for number, each in enumerate(sets):
        lines += [f'    {{"{each.isa}", "{" ".join(each.features)}", {len(each.kernels)}, kernels{number}}},']
    lines += ["    {0, 0, 0, 0}};", f"const uint32_t hearth_num_kernel_sets = {len(sets)};", ""]
    if plan is None:
        lines += ["const uint8_t *const hearth_plan_sha256 = 0;", ""]
    else:
        digest = ", ".join(map(str, hashlib.sha256(plan).digest()))
        lines += [f"static const uint8_t plan_sha256[32] = {{{digest}}};"]
        lines += ["const uint8_t *const hearth_plan_sha256 = plan_sha256;", ""]
    return "\n".join(lines)


def _trampolines(number: int, each: KernelSet) -> list[str]:
    lines = []
    for k in each.kernels:
        parameters = ["int64_t", "int64_t", *["void *"] * k.num_buffers, *["int64_t"] * k.num_scalars, "void *"]
        arguments = ["begin", "end", *(f"b[{i}]" for i in range(k.num_buffers))]
        arguments += [*(f"s[{i}]" for i in range(k.num_scalars)), "scratch"]
        lines += [
            f"extern int32_t {k.symbol}({', '.join(parameters)});",
            f"static int32_t call{number}_{k.name}({_TRAMPOLINE_PARAMETERS}) {{",
            "    (void)b, (void)s;",
            f"    return {k.symbol}({', '.join(arguments)});",
            "}",
            "",
        ]
    return lines


def link_library(
    objects: Sequence[Path],
    sets: Sequence[KernelSet],
    output: Path,
    *,
    plan: bytes | None = None,
    target: str | None = None,
    cpu: str | None = None,
    sanitize: bool = False,
    cache_dir: Path,
) -> None:
    """Links `objects`, which define the kernels of `sets`, and the C runtime into the shared library `output`, or a
    WebAssembly module.

    Args:
        objects: relocatable object files for `target`.
        sets: the functions in them that the plan may call, for each instruction set, best first.
        output: the library to write; it appears complete or not at all.
        plan: the `plan.bin` that the library will run, and no other; None: whatever plan its maker gives it.
        target: `None` for this machine, or one of the known triples, such as `aarch64-linux-gnu`.
        cpu: processor to compile the runtime itself for, as zig spells it; `None` is the oldest of the architecture.
            The kernels bring their own choice.
        sanitize: build the runtime with UndefinedBehaviorSanitizer, for tests.
        cache_dir: folder for the runtime's objects and zig's own caches; made if missing.

    Raises:
        CompileError: a kernel name is no C identifier, ziglang is missing, or the compiler refuses.
        StorageError: `output` or `cache_dir` cannot be written.
    """
    _check_sets(sets)
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        target = target or host_target()
        compiler = (_WasmCompiler if is_wasm(target) else _Compiler)(target, cpu, sanitize, cache_dir)
        runtime = compiler.runtime()
        with tempfile.TemporaryDirectory(prefix="link-", dir=cache_dir) as folder:
            table = Path(folder) / "table.c"
            table.write_text(kernel_table(sets, plan), encoding="utf-8")
            library = Path(folder) / output.name
            compiler.link([table, *runtime, *objects], library)
            _move(library, output)
    except OSError as error:
        raise StorageError(f"The library {output.name} cannot be written.", why=str(error)) from error


def _check_sets(sets: Sequence[KernelSet]) -> None:
    for each in sets:
        names: set[str] = set()
        for text in (each.isa, *each.features):
            if not _IDENTIFIER.fullmatch(text):
                raise CompileError(f"{text!r} is no name of an instruction set or feature.")
        for kernel in each.kernels:
            for name in (kernel.name, kernel.symbol):
                if not _IDENTIFIER.fullmatch(name):
                    raise CompileError(f"The kernel name {name!r} is no C identifier.")
            if kernel.name in names:
                raise CompileError(f"The kernel {kernel.name!r} is named twice.")
            names.add(kernel.name)
        if names != {kernel.name for kernel in sets[0].kernels}:
            raise CompileError(f"The instruction sets {sets[0].isa} and {each.isa} have not the same kernels.")


def _move(source: Path, target: Path) -> None:
    """Puts `source` in the place of `target` in one step, also from another file system."""
    staged = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        staged.write_bytes(source.read_bytes())
        staged.chmod(0o755)
        staged.replace(target)
    finally:
        staged.unlink(missing_ok=True)


def _runtime_sources() -> list[Path]:
    return sorted(CSRC.glob("*.c"))


class _Compiler:
    """`zig cc` for one target and one set of flags."""

    # Without a name zig would take the processor it runs on, and the bundle would not travel.
    _oldest_cpu = "baseline"
    _flags_of_kind: Sequence[str] = ("-fPIC",)

    def __init__(self, target: str, cpu: str | None, sanitize: bool, cache_dir: Path) -> None:
        if target not in _ZIG_TARGETS:
            raise CompileError(
                f"The target {target!r} is not known to the linker.", hint=f"Known: {', '.join(sorted(_ZIG_TARGETS))}."
            )
        if importlib.util.find_spec("ziglang") is None:
            raise CompileError(
                "The C compiler is not installed.",
                why="The Python package ziglang is missing.",
                hint=f"Install it with: {install_command('compile')}",
            )
        self._target = target
        self._cache_dir = cache_dir
        self._flags = ["-target", _ZIG_TARGETS[target], f"-mcpu={cpu or self._oldest_cpu}", *_COMPILE_FLAGS]
        self._flags += self._flags_of_kind
        # zig switches its own sanitizer on by default, at a price.
        self._flags += _SANITIZE_FLAGS if sanitize else ("-fno-sanitize=all", "-DNDEBUG")

    def runtime(self) -> Sequence[Path]:
        """The compiled runtime, from the cache if these very sources were compiled with these flags before."""
        sources = _runtime_sources()
        digest = hashlib.sha256(repr((self._flags, (version_of("ziglang") or "unknown"))).encode())
        for source in [*sources, *sorted(CSRC.glob("*.h"))]:
            digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
        cached = self._cache_dir / "runtime" / f"{digest.hexdigest()[:24]}.o"
        if not is_sound(cached):
            cached.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="compile-", dir=cached.parent) as work:
                compiled = Path(work) / "runtime.o"
                # With one -o for several sources zig joins their objects into one.
                self._run(["-c", *map(str, sources), "-o", str(compiled)], cwd=Path(work))
                keep(compiled, cached)
        return [cached]

    def link(self, inputs: Sequence[Path], library: Path) -> None:
        flags = ["-shared", f"-I{CSRC}", "-o", str(library), "-lm"]
        if "linux" in self._target:
            # Hides the kernels' symbols as well, and drops what nothing calls.
            exports = library.with_name("exports.map")
            exports.write_text("{ global: hearth_*; local: *; };\n", encoding="ascii")
            flags += [
                "-lpthread",
                "-ldl",
                f"-Wl,--version-script={exports}",
                "-Wl,--gc-sections",
                "-Wl,-s",
                "-Wl,-z,defs",
            ]
            flags += [f"-Wl,-soname,{library.name}"]
        self._run([*map(str, inputs), *flags], cwd=library.parent)

    def _run(self, arguments: Sequence[str], *, cwd: Path) -> None:
        # Absolute: the compiler runs in another folder.
        zig_cache = str((self._cache_dir / "zig").resolve())
        environment = dict(os.environ, ZIG_GLOBAL_CACHE_DIR=zig_cache, ZIG_LOCAL_CACHE_DIR=zig_cache)
        command = [sys.executable, "-m", "ziglang", "cc", *self._flags, *arguments]
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0 and (is_full(cwd) or "NoSpaceLeft" in done.stderr):
            raise disk_full("write", self._cache_dir)
        if done.returncode != 0:
            raise CompileError(
                f"The C compiler failed for {self._target} (exit code {done.returncode}).",
                why="\n".join(done.stderr.strip().splitlines()[-20:]),
            )


class _WasmCompiler(_Compiler):
    """The same for a WebAssembly module, which imports its memory, what platform_wasm.c says and no system."""

    # The runtime's own code: every engine that runs the plainest kernels has these.
    _oldest_cpu = "generic+simd128+bulk_memory+atomics"
    _flags_of_kind = ()

    def runtime(self) -> Sequence[Path]:
        """The sources: zig does not join objects of this kind, and keeps each in its own cache."""
        return _runtime_sources()

    def link(self, inputs: Sequence[Path], library: Path) -> None:
        exports = [*_API.findall((CSRC / "hearth.h").read_text(encoding="utf-8")), *_PAGES, *_THREAD]
        flags = [f"-I{CSRC}", "-o", str(library), "-mexec-model=reactor", *(f"-Wl,--export={name}" for name in exports)]
        flags += [f"-Wl,-z,stack-size={_WASM_STACK_BYTES}", "-Wl,--strip-all", "-Wl,--gc-sections"]
        # Shared, for threads to compute over it; who loads the module may say otherwise (web/runtime/src/memory.ts).
        # A page less than there are addresses for: zig takes no number of more than 32 bits.
        most = MEMORY_BYTES[self._target] - _WASM_PAGE_BYTES
        flags += ["-Wl,--import-memory", "-Wl,--shared-memory", f"-Wl,--max-memory={most}"]
        self._run([*map(str, inputs), *flags], cwd=library.parent)
