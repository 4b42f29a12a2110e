"""Which device a language model runs on: what `--device` and `LLM(device=...)` say, and what there is.

A GPU that was asked for is had, or an error says why not. `auto` takes a GPU where one is there that is one (no
software adapter) and the model is compiled for it, and says what it took and why.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hearth.bundle import GPU_PLAN, Bundle
from hearth.errors import DeviceError, UsageError
from hearth.prepare.context import MAX_DEFAULT_CONTEXT
from hearth.runtime import GpuInfo, available_bytes, devices, gpu_memory
from hearth.units import format_bytes

CPU = "cpu"

_ASKED = re.compile(r"auto|cpu|gpu(?::(\d{1,3}))?")
_SPARE_SHARE = 8
"""This part of a GPU's memory is left to what else runs on it."""
_LEAST_SHARE = 4
"""Less than this part of the layers is not worth a GPU."""
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
        gpu_layers: so many of the first layers run on the GPU, the rest on the CPU; None: all run on the device.
        layers: of the model.
    """

    device: str
    name: str
    why: str
    gpu: GpuInfo | None = None
    memory_bytes: int | None = None
    gpu_layers: int | None = None
    layers: int = 0

    @property
    def is_gpu(self) -> bool:
        return self.device != CPU

    def free_bytes(self, weights_bytes: int) -> int | None:
        """Memory for keys and values beside the weights, which are there; None: nobody knows.

        Args:
            weights_bytes: on the device; with layers on the CPU too those on the GPU.
        """
        if not self.is_gpu:
            return available_bytes()
        on_gpu = None if self.memory_bytes is None else max(0, _usable(self.memory_bytes) - weights_bytes)
        if self.gpu_layers is None:
            return on_gpu
        # Each part has the keys and values of its own layers.
        on_cpu, rest = available_bytes(), self.layers - self.gpu_layers
        shares = [(on_gpu, self.gpu_layers), (on_cpu, rest)]
        return min((free * self.layers // layers for free, layers in shares if free is not None), default=None)


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


def check_gpu_layers(gpu_layers: int | str | None, device: str) -> None:
    """Checks how many layers are asked for on the GPU, as far as that can be done without a model.

    Raises:
        UsageError: it is no number from 1 on; there are to be layers on a GPU, but none is to be used.
    """
    if gpu_layers is None:
        return
    if gpu_layers != "auto" and (not isinstance(gpu_layers, int) or isinstance(gpu_layers, bool) or gpu_layers < 1):
        raise UsageError(f"gpu_layers is {gpu_layers!r}, but must be 'auto' or a number from 1 on.")
    if device == CPU:
        raise UsageError("gpu_layers is given, but device is 'cpu'.", hint="Leave one of them out.")


def place(bundle: Bundle, asked: str = "auto", gpu_layers: int | str | None = None) -> Placement:
    """The device for a bundle.

    Args:
        asked: `auto`, `cpu`, `gpu` (the best there is) or `gpu:N` (adapter N of `hearth doctor`).
        gpu_layers: so many of a language model's first layers on the GPU, the rest on the CPU; "auto": as many as fit.
            None: all of them, or where `asked` is `auto` as many as fit, if that is a quarter of them.

    Raises:
        UsageError: `asked` is no device; the model has no such number of layers.
        DeviceError: a GPU was asked for and cannot be had.
    """
    check_device(asked)
    check_gpu_layers(gpu_layers, asked)
    whole = _place(bundle, asked if gpu_layers is None or asked != "auto" else "gpu")
    return whole if gpu_layers is None else _divided(bundle, whole, gpu_layers)


def _divided(bundle: Bundle, whole: Placement, gpu_layers: int | str) -> Placement:
    """The same GPU with as many layers as were asked for."""
    layers = bundle.manifest.language.layers
    count = fitting_layers(bundle, whole.memory_bytes) if gpu_layers == "auto" else int(gpu_layers)
    if count > layers:
        raise UsageError(
            f"{count} layers are asked for on the GPU, {bundle.manifest.source_name} has {layers}.",
            hint=f"Choose 1 to {layers}, or auto.",
        )
    if count == 0:
        raise DeviceError(
            f"Not one layer of {bundle.manifest.source_name} fits {whole.name}.",
            hint="Run it on the CPU: --device cpu.",
        )
    return whole if count == layers else _split(whole, count, layers, whole.why)


def _split(whole: Placement, count: int, layers: int, why: str) -> Placement:
    return replace(
        whole, gpu_layers=count, layers=layers, why=f"{why}; {count} of {layers} layers are on it, the rest on the CPU"
    )


def fitting_layers(bundle: Bundle, memory_bytes: int | None) -> int:
    """How many of a language model's first layers fit a GPU, with their keys and values of a context as it is chosen by
    itself; all where nobody knows how much memory it has."""
    facts, text = bundle.manifest.facts, bundle.manifest.language
    if memory_bytes is None or facts.weights_bytes + facts.arena_bytes <= _usable(memory_bytes):
        return text.layers
    beside = max(0, facts.weights_bytes - text.layers * text.layer_bytes) + facts.arena_bytes
    context = min(text.context_max, MAX_DEFAULT_CONTEXT)
    each = text.layer_bytes + context * text.kv_bytes_per_token // text.layers
    return max(0, min((_usable(memory_bytes) - beside) // each, text.layers - 1))


def _place(bundle: Bundle, asked: str) -> Placement:
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
    whole, facts = _on(gpu, "it is a GPU that the model fits"), bundle.manifest.facts
    needed, memory = facts.weights_bytes + facts.arena_bytes, whole.memory_bytes
    if memory is not None and needed > _usable(memory):
        why = f"the model takes {format_bytes(needed)}, {gpu.name} has {format_bytes(memory)}"
        count, layers = fitting_layers(bundle, memory), bundle.manifest.language.layers
        if count * _LEAST_SHARE >= layers:
            return _split(whole, count, layers, why)
        return Placement(CPU, "CPU", why)
    return whole


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
