"""A network's logical graphs for GPUs: WGSL kernels, and the plan that dispatches them.

It reads the same packed weights as the plan for CPUs, so one bundle serves both (docs/architecture.md, "The GPU plan").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tvm

from hearth.compiler.extract import MemoryRules, extract_plan
from hearth.compiler.gpu.batches import gpu_symbols
from hearth.compiler.gpu.carry import carry_norms
from hearth.compiler.gpu.features import BINDING_ALIGNMENT
from hearth.compiler.gpu.fold import fold_into_products
from hearth.compiler.gpu.join import join_products
from hearth.compiler.gpu.kernels.builder import GpuKernel
from hearth.compiler.gpu.select import select_kernels
from hearth.compiler.gpu.selection import GpuSelection
from hearth.compiler.gpu.wanted import part_outputs, with_likeliest
from hearth.compiler.passes.rewrite import attribute, operation
from hearth.compiler.pipeline import Dump, Logical, Phase, run_phases
from hearth.compiler.plan import Plan
from hearth.model.network import TEXT_DOOR


@dataclass(frozen=True)
class GpuLowered:
    """The plan and the variants of its kernels, in the plan's order."""

    plan: Plan
    kernels: list[GpuKernel]


def lower(logical: Logical, cpu_plan: Plan, *, dump: Dump | None = None) -> GpuLowered:
    """Compiles the function of a network that takes tokens for GPUs.

    Args:
        cpu_plan: of the same network; weights lie where it says, and those that only GPUs read are added to it.

    Raises:
        Unsupported: an operation that no rule knows.
    """
    network = logical.network
    names = [f.name for f in network.functions if f.door == TEXT_DOOR]
    module = tvm.IRModule({name: logical.module[name] for name in names})
    symbols = gpu_symbols(module, network.symbols)
    selection = GpuSelection(logical.parameters, symbols)
    phases: list[Phase] = [
        ("gpu_part_outputs", lambda m: part_outputs(m, selection)),
        ("gpu_fold_into_products", fold_into_products),
        ("gpu_join_products", lambda m: join_products(m, selection)),
        ("gpu_carry_norms", lambda m: carry_norms(m, selection)),
        ("gpu_select_kernels", lambda m: select_kernels(m, selection)),
    ]
    module = run_phases(module, phases, dump)
    plan = Plan(symbols, scratch_bytes=0, weights=cpu_plan.weights)
    called = {str(attribute(v, "kernel")) for v in _values(module, names) if operation(v) == "hearth.kernel"}
    kernels = {name: variants for name, variants in selection.kernels.items() if name in called}
    plan.kernels = [(k.name, k.num_buffers, k.num_scalars) for k, *_ in kernels.values()]
    rules = MemoryRules(alignment=BINDING_ALIGNMENT, separate=True)
    asked = with_likeliest(logical, selection)
    extract_plan(module, plan, asked.network, logical.parameters, asked.results, rules)
    return GpuLowered(plan, [kernel for variants in kernels.values() for kernel in variants])


def _values(module: Any, names: list[str]) -> list[Any]:
    return [binding.value for name in names for binding in module[name].body.blocks[0].bindings]
