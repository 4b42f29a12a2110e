"""Which device a language model runs on: what `--device` and `LLM(device=...)` say, and what there is.

A GPU that was asked for is had, or an error says why not. `auto` takes a GPU where one is there that is one (no
software adapter) and the model is compiled for it, and says what it took and why.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hearth.bundle import GPU_PLAN, Bundle
from hearth.errors import DeviceError, UsageError
from hearth.runtime import GpuInfo, available_bytes, devices, gpu_memory
from hearth.units import format_bytes

CPU = "cpu"

_ASKED = re.compile(r"auto|cpu|gpu(?::(\d{1,3}))?")
_SPARE_SHARE = 8
"""This part of a GPU's memory is left to what else runs on it."""
_BEST_FIRST = ("discrete", "integrated", "other", "cpu")
"""Types of GPUs, as `gpu` takes them; `auto` takes one of the first two."""
_REAL = _BEST_FIRST[:2]


@dataclass(frozen=True)
class Placement:
    """Where a model runs.

    Attributes:
        device: as `runtime.Model` takes it: `cpu`, or `gpu:N`.
        name: of the device, for people.
        why: it was taken.
        gpu: None on the CPU.
        memory_bytes: of a GPU; None where it does not tell.
    """

    device: str
    name: str
    why: str
    gpu: GpuInfo | None = None
    memory_bytes: int | None = None

    @property
    def is_gpu(self) -> bool:
        return self.device != CPU

    def free_bytes(self, weights_bytes: int) -> int | None:
        """Memory for keys and values beside the weights, which are there; None: nobody knows."""
        if not self.is_gpu:
            return available_bytes()
        return None if self.memory_bytes is None else max(0, _usable(self.memory_bytes) - weights_bytes)


ON_CPU = Placement(CPU, "CPU", "as asked for")


def check_device(asked: str) -> None:
    """Checks what was asked for.

    Raises:
        UsageError: it is no device.
    """
    if not isinstance(asked, str) or _ASKED.fullmatch(asked) is None:
        raise UsageError(
            f"device is {asked!r}, but must be 'auto', 'cpu', 'gpu' or 'gpu:N'.", hint="hearth doctor lists the GPUs."
        )


def place(bundle: Bundle, asked: str = "auto") -> Placement:
    """The device for a bundle.

    Args:
        asked: `auto`, `cpu`, `gpu` (the best there is) or `gpu:N` (adapter N of `hearth doctor`).

    Raises:
        UsageError: `asked` is no device.
        DeviceError: a GPU was asked for and cannot be had.
    """
    check_device(asked)
    if asked == CPU:
        return ON_CPU
    if asked == "auto":
        try:
            return _automatic(bundle)
        except DeviceError as error:
            return Placement(CPU, "CPU", _lower(error.what))
    found = _gpus(bundle)
    if asked == "gpu":
        return _on(found[0], "as asked for")
    for gpu in found:
        if asked == f"gpu:{gpu.index}":
            return _on(gpu, "as asked for")
    there = ", ".join(f"gpu:{gpu.index} is {gpu.label}" for gpu in sorted(found, key=lambda gpu: gpu.index))
    raise DeviceError(f"There is no {asked}.", why=f"{there}.", hint="hearth doctor tells more of them.")


def _automatic(bundle: Bundle) -> Placement:
    gpu = _gpus(bundle)[0]
    if gpu.type not in _REAL:
        return Placement(CPU, "CPU", f"{gpu.name} is no GPU, but a program that plays one")
    facts, memory = bundle.manifest.facts, gpu_memory(gpu)
    needed = facts.weights_bytes + facts.arena_bytes
    if memory is not None and needed > _usable(memory):
        why = f"the model takes {format_bytes(needed)}, {gpu.name} has {format_bytes(memory)}"
        return Placement(CPU, "CPU", why)
    return _on(gpu, "it is a GPU that the model fits")


def _gpus(bundle: Bundle) -> Sequence[GpuInfo]:
    """The GPUs that there are for a bundle, the best first.

    Raises:
        DeviceError: there is none, or the bundle has nothing for GPUs.
    """
    if GPU_PLAN not in bundle.manifest.files:
        raise DeviceError(
            f"{bundle.manifest.source_name} is not compiled for GPUs.",
            why="It computes something that no kernel for GPUs does yet, or it is no language model.",
            hint="Run it on the CPU: --device cpu.",
        )
    found = sorted(devices(bundle.library), key=lambda gpu: (_BEST_FIRST.index(gpu.type), gpu.index))
    if not found:
        raise DeviceError(
            "There is no GPU that can be used.",
            why="No driver of Vulkan, Metal or Direct3D 12 shows one.",
            hint="Install the driver of the GPU; hearth doctor lists those that can be used.",
        )
    return found


def _on(gpu: GpuInfo, why: str) -> Placement:
    return Placement(f"gpu:{gpu.index}", gpu.label, why, gpu, gpu_memory(gpu))


def _usable(memory_bytes: int) -> int:
    """What models may take of a GPU's memory."""
    return memory_bytes * (_SPARE_SHARE - 1) // _SPARE_SHARE


def _lower(sentence: str) -> str:
    """A sentence as a part of another one."""
    return sentence[:1].lower() + sentence[1:].rstrip(".")
