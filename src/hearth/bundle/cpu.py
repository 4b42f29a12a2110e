"""What this machine is: operating system, processor architecture, and the features of the processor.

Features are spelled as Linux does in /proc/cpuinfo; what macOS says is translated to that, so that a manifest has one
vocabulary.
"""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path

_ARCHITECTURES = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}
_SYSTEMS = {"linux": "linux", "darwin": "macos", "macos": "macos", "windows": "windows", "win32": "windows"}

# sysctl's hw.optional.arm.* on Apple silicon.
_APPLE_ARM = {
    "FEAT_DotProd": "asimddp",
    "FEAT_FP16": "asimdhp",
    "FEAT_FHM": "asimdfhm",
    "FEAT_I8MM": "i8mm",
    "FEAT_BF16": "bf16",
    "FEAT_SME": "sme",
}
# sysctl's machdep.cpu.features and leaf7_features on Intel Macs, where they differ from the lower-case name.
_APPLE_X86 = {
    "AVX1.0": "avx",
    "SSE3": "pni",
    "SSE4.1": "sse4_1",
    "SSE4.2": "sse4_2",
    "AVX512VNNI": "avx512_vnni",
    "AVX512VBMI2": "avx512_vbmi2",
}


def architecture(name: str | None = None) -> str:
    """`x86_64`, `aarch64`, ... of a machine name or the first part of a triple; of this machine when None."""
    machine = (name if name is not None else platform.machine()).lower()
    return _ARCHITECTURES.get(machine, machine)


def operating_system() -> str:
    """`linux`, `macos` or `windows`."""
    return _SYSTEMS.get(sys.platform, sys.platform)


def triple_system(target: str) -> str | None:
    """The operating system in a triple (`x86_64-linux-gnu`, `aarch64-apple-darwin`), None where it names none."""
    for part in target.lower().split("-")[1:]:
        for prefix, system in _SYSTEMS.items():
            if part.startswith(prefix):
                return system
    return None


@cache
def processor() -> str:
    """The model of this processor: what is fast on one is fast on all of them. `AMD EPYC (family 25, model 17)`."""
    name = ""
    if operating_system() == "linux":
        try:
            name = parse_model(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
        except OSError:
            name = ""
    elif operating_system() == "macos":
        name = _run("/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string")
    return " ".join((name or platform.processor() or architecture()).split())[:200]


def parse_model(text: str) -> str:
    """The name of the first processor in the text of /proc/cpuinfo, with the numbers that tell apart what a virtual
    machine calls by one name; on Arm only numbers are given. "" where there is nothing of it."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip().lower(), value.strip())
    numbers = {
        "cpu family": "family", "model": "model", "cpu implementer": "implementer", "cpu variant": "variant",
        "cpu part": "part",
    }  # fmt: skip
    details = ", ".join(f"{word} {found[key]}" for key, word in numbers.items() if found.get(key))
    name = found.get("model name", "")
    return f"{name} ({details})" if name and details else name or details


@cache
def features() -> frozenset[str] | None:
    """The features of this processor that this process may use, or None where they cannot be told (then nothing can be
    said to be missing)."""
    if operating_system() == "linux":
        try:
            found = parse_cpuinfo(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
        except OSError:
            return None
        tiles = {name for name in found or () if name.startswith("amx_")}
        return found - tiles if found and tiles and not _may_use_tiles() else found
    if operating_system() == "macos":
        return parse_sysctl(_sysctl())
    return None


def _may_use_tiles() -> bool:
    """Whether Linux lets this process use Intel's tile registers, for which it must be asked (as runtime/csrc/cpu.c
    does): where it says no, the first such instruction would end the process."""
    arch_prctl, request_permission, tile_data = 158, 0x1023, 18
    try:
        return int(ctypes.CDLL(None).syscall(arch_prctl, request_permission, tile_data)) == 0
    except (OSError, AttributeError):
        return False


def parse_cpuinfo(text: str) -> frozenset[str] | None:
    """Features in the text of /proc/cpuinfo that all processors have (big and little cores may differ)."""
    shared: set[str] | None = None
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip().lower() in ("flags", "features"):
            found = set(value.split())
            shared = found if shared is None else shared & found
    return None if shared is None else frozenset(shared)


def parse_sysctl(text: str) -> frozenset[str] | None:
    """Features in the output of `sysctl hw.optional machdep.cpu`, in Linux's spelling."""
    found = set()
    for line in text.splitlines():
        key, _, value = line.partition(":")
        last = key.rpartition(".")[2]
        if key.startswith("hw.optional.") and value.strip() == "1":
            if last in _APPLE_ARM:
                found.add(_APPLE_ARM[last])
            if last in ("arm64", "neon", "AdvSIMD"):
                found |= {"asimd", "fp"}
        elif last in ("features", "leaf7_features") and key.startswith("machdep.cpu."):
            found |= {_APPLE_X86.get(name, name.lower()) for name in value.split()}
    return frozenset(found) if found else None


def _sysctl() -> str:
    return _run("/usr/sbin/sysctl", "hw.optional", "machdep.cpu")


def _run(*command: str) -> str:
    try:
        # Exits with 1 where one of several trees does not exist; what was printed counts.
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
