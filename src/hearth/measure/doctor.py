"""What this machine offers and which paths Hearth takes on it, and why."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hearth.bundle import cache_dir, cpu
from hearth.compiler.cpu.targets import ISAS
from hearth.compiler.cpu.tuning import DEFAULT_TUNING
from hearth.compiler.cpu.tuning_record import read_record
from hearth.distribution import NAME, install_command, version_of
from hearth.errors import CorruptFile, HearthError
from hearth.hub.settings import cache_dir as hub_cache_dir
from hearth.hub.settings import is_offline
from hearth.measure.gpus import list_gpus
from hearth.runtime import GpuInfo, available_bytes, default_threads, gpu_memory
from hearth.runtime.threads import usable_processors
from hearth.units import format_bytes

_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")

# What the instruction sets are called, and what they do.
_SETS = {
    "amx_int8": ("AMX", "int8 products of whole tiles; AVX-512 VNNI for all else"),
    "avx512vnni": ("AVX-512 VNNI", "int8 dot products, 64 bytes wide"),
    "avxvnni": ("AVX-VNNI", "int8 dot products, 32 bytes wide"),
    "avx2": ("AVX2", "int8 products in pairs, 32 bytes wide"),
    "i8mm": ("NEON int8 matrix product", "two by two int8 dot products, 16 bytes wide"),
    "dotprod": ("NEON dot product", "int8 dot products, 16 bytes wide"),
    "neon": ("NEON", "int8 products widened, 16 bytes wide"),
}


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis.

    Attributes:
        state: `ok`, `note` (works, could be better) or `problem` (something does not work).
        what: the subject.
        value: what was found.
        why: what follows from it; "" where nothing does.
    """

    state: Literal["ok", "note", "problem"]
    what: str
    value: str
    why: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """All findings, in the order of importance."""

    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        return all(f.state != "problem" for f in self.findings)


def diagnose() -> Diagnosis:
    """Looks at processor, memory, compiler, caches and versions. Changes nothing, needs no network."""
    return Diagnosis((*_processor(), *_memory(), *_gpus(), *_compiler(), *_tuning(), *_folders(), *_versions()))


def _processor() -> list[Finding]:
    usable, threads = len(usable_processors()), default_threads()
    found = [
        Finding("ok", "machine", f"{cpu.architecture()} {cpu.operating_system()}"),
        Finding(
            "ok",
            "cores",
            f"{os.cpu_count()} logical, {usable} usable by this process",
            f"{threads} threads compute: one for each physical core that affinity and quota leave",
        ),
    ]
    features = cpu.features()
    if features is None:
        return [*found, Finding("note", "instruction sets", "unknown", "the system does not tell")]
    lacking: list[str] = []
    for isa in (isa for isa in ISAS.values() if isa.name in _SETS and isa.architecture == cpu.architecture()):
        name, purpose = _SETS[isa.name]
        if features.issuperset(isa.features):
            why = "the best it has" + (f"; it lacks {', '.join(lacking)}" if lacking else "")
            return [*found, Finding("ok", "instruction set", f"{name}: {purpose}", why)]
        lacking.append(name)
    return [*found, Finding("note", "instruction set", "none of the fast ones", "portable kernels: slow, but right")]


def _memory() -> list[Finding]:
    free = available_bytes()
    found = [Finding("ok", "memory", format_bytes(free) if free is not None else "unknown", "free for models")]
    if cpu.operating_system() != "linux":
        return found
    try:
        setting = _HUGE_PAGES.read_text(encoding="ascii").split("[")[-1].split("]")[0]
    except OSError:
        setting = "unknown"
    if setting in ("always", "madvise"):
        return [
            *found,
            Finding("ok", "huge pages", setting, "weights go into them: decoding is up to 1.4 times faster"),
        ]
    return [
        *found,
        Finding(
            "note",
            "huge pages",
            setting,
            "weights lie in small pages: decoding is slower. As root: echo madvise > " + str(_HUGE_PAGES),
        ),
    ]


def _gpus() -> list[Finding]:
    try:
        found = list_gpus()
    except HearthError as error:
        return [Finding("note", "GPU", "none that can be used", f"{error.what} {error.hint}".strip())]
    if not found:
        return [Finding("note", "GPU", "none", "no driver of Vulkan, Metal or Direct3D 12 shows one; the CPU computes")]
    return [_gpu(adapter) for adapter in found]


def _gpu(gpu: GpuInfo) -> Finding:
    memory = gpu_memory(gpu)
    limits = gpu.limits
    told = [
        gpu.type if gpu.type != "cpu" else "a program that plays a GPU",
        gpu.driver or "driver unknown",
        "memory unknown" if memory is None else f"{format_bytes(memory)} of memory",
        f"has {', '.join(gpu.features) or 'only what every GPU has'}",
        f"buffers to {format_bytes(limits['buffer_bytes'])}, bound to {format_bytes(limits['binding_bytes'])}",
        f"groups of {limits['invocations']} with {format_bytes(limits['workgroup_bytes'])}",
    ]
    state: Literal["ok", "note"] = "note" if gpu.type == "cpu" else "ok"
    return Finding(state, f"gpu:{gpu.index}", gpu.label, "; ".join(told))


def _compiler() -> list[Finding]:
    tvm, zig = version_of("apache-tvm"), version_of("ziglang")
    if tvm and zig:
        return [Finding("ok", "compiler", f"TVM {tvm}, zig {zig}", "models are compiled here")]
    return [
        Finding(
            "note",
            "compiler",
            "not installed",
            f"bundles that were compiled elsewhere run; to compile here: {install_command('compile')}",
        )
    ]


def _tuning() -> list[Finding]:
    try:
        record = read_record()
    except CorruptFile as error:
        return [Finding("note", "tuning", "damaged, so not used", f"{error.why}; hearth tune --reset removes it")]
    if not record.is_current:
        return [Finding("note", "tuning", "of other kernels, so not used", "measure again: hearth tune MODEL")]
    faster = [entry.speedup for entry in record.entries.values() if entry.tuning != DEFAULT_TUNING]
    if not faster:
        return [Finding("ok", "tuning", "none", "kernels as by default; hearth tune MODEL searches faster ones")]
    value = f"{len(faster)} kernels, up to {100 * (max(faster) - 1):.0f}% faster"
    return [Finding("ok", "tuning", value, f"for {record.processor}")]


def _folders() -> list[Finding]:
    found = []
    for what, folder in (("bundles", cache_dir()), ("models", hub_cache_dir())):
        existing = next((f for f in (folder, *folder.parents) if f.exists()), folder)
        if not os.access(existing, os.W_OK):
            way_out = "cannot be written; set HEARTH_CACHE or HF_HOME to a folder that can"
            found.append(Finding("problem", what, str(folder), way_out))
            continue
        free = shutil.disk_usage(existing).free
        found.append(Finding("ok", what, str(folder), f"{format_bytes(free)} free on that disk"))
    if is_offline():
        found.append(Finding("note", "network", "switched off by HF_HUB_OFFLINE", "only models on this disk are used"))
    return found


def _versions() -> list[Finding]:
    names = (NAME, "numpy", "tokenizers", "huggingface-hub", "jinja2")
    text = ", ".join(f"{name} {version_of(name) or '?'}" for name in names)
    return [Finding("ok", "versions", f"python {platform.python_version()} ({sys.platform}), {text}")]
