"""How many threads to compute with: the physical cores that this process may use.

Matrix kernels fill a core's units, so a second thread on the same core adds nothing and costs memory. Three things
bound the number: the affinity mask (`taskset`, Docker's `--cpuset-cpus`), the two or more processors of one core, and
the CPU quota of a container (`--cpus`). On a Mac the efficiency cores are left to the rest of the system.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_TOPOLOGY = Path("/sys/devices/system/cpu")
_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


def default_threads() -> int:
    """Physical cores this process may use: at least 1, at most the container's CPU quota, rounded up."""
    if sys.platform == "darwin":
        return _darwin_cores() or os.cpu_count() or 1
    cores = _physical_cores(usable_processors(), _TOPOLOGY)
    quota = cpu_quota(_OWN_CGROUP, _CGROUPS)
    return max(1, cores if quota is None else min(cores, math.ceil(quota)))


def usable_processors() -> set[int]:
    """Numbers of the logical processors in this process's affinity mask."""
    if sys.platform != "linux":
        return set(range(os.cpu_count() or 1))
    return set(os.sched_getaffinity(0))


def _physical_cores(processors: set[int], topology: Path) -> int:
    """Counts processors, those of one core once. Without topology files each processor is a core."""
    cores = set()
    for processor in processors:
        siblings = _read(topology / f"cpu{processor}" / "topology" / "thread_siblings_list")
        cores.add(siblings or str(processor))
    return len(cores)


def cpu_quota(own_cgroup: Path, cgroups: Path) -> float | None:
    """The smallest CPU quota of this process's control groups, in processors; None when there is none.

    A quota holds for all groups below the one it is set on, so every level up to the root counts. Reads version 2
    (`cpu.max`) and version 1 (`cpu.cfs_quota_us`).
    """
    quotas = []
    for folder in cgroup_folders(own_cgroup, cgroups, "cpu"):
        limit, _, period = _read(folder / "cpu.max").partition(" ")
        if not period:
            limit, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
        if limit.isdigit() and period.isdigit() and int(limit) > 0 and int(period) > 0:
            quotas.append(int(limit) / int(period))
    return min(quotas, default=None)


def cgroup_folders(own_cgroup: Path, cgroups: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups that this process is in, the innermost first, then each above it.

    Inside a container the paths in `/proc/self/cgroup` may be those of the host, which are not mounted here: folders
    that do not exist are left out, and the root of each hierarchy, where the container's own limits then stand, is in.
    """
    for line in _read(own_cgroup).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            root = cgroups
        elif controller in controllers.split(","):
            root = cgroups / controllers if (cgroups / controllers).is_dir() else cgroups / controller
        else:
            continue
        folder = root / path.strip("/")
        while folder != root:
            if ".." not in folder.parts and folder.is_dir():
                yield folder
            folder = folder.parent
        yield root


def _darwin_cores() -> int:
    """Performance cores of a Mac, or all cores where it does not tell them apart; 0 if unknown."""
    for name in ("hw.perflevel0.physicalcpu", "hw.physicalcpu"):
        done = subprocess.run(["/usr/sbin/sysctl", "-n", name], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip().isdigit():
            return int(done.stdout)
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
