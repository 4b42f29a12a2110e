"""How much memory a GPU has. WebGPU does not tell, so its driver's own interfaces are asked; where none answers, nobody
knows, and what does not fit is found out when it is taken."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hearth.runtime.info import GpuInfo
from hearth.runtime.memory import total_bytes

_CARDS = Path("/sys/class/drm")
_NVIDIA = 0x10DE
_QUERY = ("nvidia-smi", "--query-gpu=pci.device_id,memory.total", "--format=csv,noheader,nounits")
_TIMEOUT_S = 10


def gpu_memory(gpu: GpuInfo) -> int | None:
    """Bytes that the GPU has; None: unknown. One that has no memory of its own shares the system's."""
    if gpu.type in ("integrated", "cpu"):
        return total_bytes()
    if gpu.vendor_id == _NVIDIA:
        return _nvidia(gpu.device_id)
    return _kernel(gpu.vendor_id, gpu.device_id)


def _nvidia(device_id: int) -> int | None:
    """NVIDIA's own tool; of several alike the least."""
    try:
        done = subprocess.run(_QUERY, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return nvidia_memory(done.stdout, device_id)


def nvidia_memory(listed: str, device_id: int) -> int | None:
    """Bytes of a device in a list of `0xDDDDVVVV, MiB` a line."""
    found = []
    for line in listed.splitlines():
        pci, _, mebibytes = line.partition(",")
        try:
            if int(pci.strip(), 16) >> 16 == device_id:
                found.append(int(mebibytes) << 20)
        except ValueError:
            continue
    return min(found, default=None)


def _kernel(vendor_id: int, device_id: int, cards: Path = _CARDS) -> int | None:
    """What Linux' drivers for AMD tell; of several alike the least."""
    found = []
    for total in sorted(cards.glob("card*/device/mem_info_vram_total")):
        try:
            ids = [int((total.parent / name).read_text(encoding="ascii"), 16) for name in ("vendor", "device")]
            if ids == [vendor_id, device_id]:
                found.append(int(total.read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    return min(found, default=None)
