"""How much memory this process may still take, and the refusal when that is not enough.

Weights, KV cache and workspace are computed before anything is loaded: a machine that would begin to swap, or a
container that would be killed, gets a clear message instead.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from hearth.errors import NotEnoughMemory
from hearth.runtime.threads import cgroup_folders
from hearth.units import format_bytes

_MEMINFO = Path("/proc/meminfo")
_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


def available_bytes() -> int | None:
    """Memory that can be taken without swapping and within the container's limit; None if the system does not tell."""
    if sys.platform == "darwin":
        return _darwin_available()
    if sys.platform != "linux":
        return None
    known = [n for n in (_linux_available(_MEMINFO), cgroup_available(_OWN_CGROUP, _CGROUPS)) if n is not None]
    return min(known, default=None)


def total_bytes() -> int | None:
    """Memory that this machine or container has, whoever uses it now; None if the system does not tell."""
    if sys.platform not in ("linux", "darwin"):
        return None
    known = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for folder in cgroup_folders(_OWN_CGROUP, _CGROUPS, "memory") if sys.platform == "linux" else ():
        limits = (_read(folder / name).strip() for name in ("memory.max", "memory.limit_in_bytes"))
        known += [int(limit) for limit in limits if limit.isdigit()]
    return min(known)


def require(size_bytes: int, what: str, *, hint: str = "") -> None:
    """Checks that `size_bytes` are available for `what` (a noun: "The model's weights").

    Raises:
        NotEnoughMemory: they are not. Where the system does not tell how much there is, nothing is refused.
    """
    require_within(size_bytes, available_bytes(), what, hint=hint)


def require_within(size_bytes: int, available: int | None, what: str, *, hint: str = "") -> None:
    """The same of memory of which so much is available; None: nobody knows, and nothing is refused."""
    if available is None or size_bytes <= available:
        return
    raise NotEnoughMemory(
        f"{what} would take {format_bytes(size_bytes)}; {format_bytes(available)} are available.",
        hint=hint
        or "Use a smaller context (--context), a smaller number format (--quant q4), a smaller model, or close "
        "other programs.",
    )


def give_memory_back() -> None:
    """Returns to the system what this process has freed: after much was in use, the C library keeps most of it."""
    with suppress(OSError, AttributeError):  # glibc's; others return it by themselves
        ctypes.CDLL(None).malloc_trim(0)


def _linux_available(meminfo: Path) -> int | None:
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _read(meminfo), re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def cgroup_available(own_cgroup: Path, cgroups: Path) -> int | None:
    """What the control groups' memory limits leave (versions 1 and 2); None when there is no limit.

    Cached files count as used there, but the kernel gives them up under pressure, so they are taken off.
    """
    left = []
    for folder in cgroup_folders(own_cgroup, cgroups, "memory"):
        for limit_name, used_name, cache_key in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit, used = _read(folder / limit_name).strip(), _read(folder / used_name).strip()
            if not (limit.isdigit() and used.isdigit()) or int(limit) >= 1 << 60:  # version 1 spells "none" so
                continue
            cached = re.search(rf"^{cache_key} (\d+)", _read(folder / "memory.stat"), re.MULTILINE)
            left.append(max(0, int(limit) - int(used) + (int(cached[1]) if cached else 0)))
    return min(left, default=None)


def _darwin_available() -> int | None:
    """Free, inactive and purgeable pages: what the system gives out before it swaps."""
    done = subprocess.run(["/usr/bin/vm_stat"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None
    kinds = ("free", "inactive", "purgeable", "speculative")
    pages = [re.search(rf"^Pages {kind}:\s+(\d+)", done.stdout, re.MULTILINE) for kind in kinds]
    return sum(int(found[1]) for found in pages if found) * os.sysconf("SC_PAGE_SIZE")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
