"""What a bundle has for GPUs beside what it has for a CPU: a plan over the same weights, and its shaders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hearth.compiler.gpu.lowering import GpuLowered, lower
from hearth.compiler.gpu.shaders import kernels_file
from hearth.compiler.pipeline import Dump, Logical
from hearth.compiler.plan import Plan
from hearth.compiler.plan_file import plan_bytes
from hearth.errors import Unsupported
from hearth.model.network import TEXT_DOOR


@dataclass(frozen=True)
class GpuPart:
    """The half of a bundle that runs on GPUs."""

    lowered: GpuLowered

    @property
    def plan(self) -> bytes:
        """The content of gpu_plan.bin."""
        return plan_bytes(self.lowered.plan)

    def shaders(self, cache: Path, progress: Callable[[str], None]) -> str:
        """The content of gpu_kernels.wgsl.

        Args:
            cache: folder of shaders that were made before.
            progress: called with the name of each kernel before it is made.
        """
        return kernels_file(self.lowered.kernels, cache, progress)


def gpu_part(graphs: Logical, cpu_plan: Plan, dump: Dump | None) -> GpuPart | None:
    """A language model's part for GPUs; None: the network takes no tokens, or has an operation that no GPU kernel
    computes yet, and runs on CPUs alone.

    Args:
        cpu_plan: as `gpu.lowering.lower`.
    """
    if not any(function.door == TEXT_DOOR for function in graphs.network.functions):
        return None
    try:
        return GpuPart(lower(graphs, cpu_plan, dump=dump))
    except Unsupported:
        return None
