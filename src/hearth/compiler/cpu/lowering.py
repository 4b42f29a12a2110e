"""A network's logical graphs for CPUs: kernels chosen for some instruction sets, and the plan that calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hearth.compiler.cpu.kernels.builder import Kernel
from hearth.compiler.cpu.prepare import split_products
from hearth.compiler.cpu.row_results import leave_rows
from hearth.compiler.cpu.select import select_kernels
from hearth.compiler.cpu.selection import Product, Selection
from hearth.compiler.cpu.targets import Isa
from hearth.compiler.cpu.tuning import Tunings
from hearth.compiler.extract import extract_plan
from hearth.compiler.parameters import Parameters
from hearth.compiler.pipeline import Dump, Logical, run_phases
from hearth.compiler.plan import Plan
from hearth.model.weights import Source


@dataclass(frozen=True)
class Lowered:
    """What the phases leave: the plan, its kernels, and what each parameter is made of.

    Attributes:
        sources: where each part of a parameter is from.
        kernels: by name, for each instruction set; their PrimFuncs are functions `isa.symbol(name)` of `module`.
        products: the product of every step that is one, in order.
    """

    plan: Plan
    kernels: dict[str, dict[Isa, Kernel]]
    module: Any
    parameters: Parameters
    sources: Mapping[str, Source]
    products: list[Product]


def lower(
    logical: Logical,
    isas: Sequence[Isa],
    *,
    high_precision: bool,
    tunings: Tunings | None = None,
    dump: Dump | None = None,
) -> Lowered:
    """Compiles logical graphs down to kernels.

    Args:
        isas: instruction sets to make kernels for, best first.
        high_precision: f32 activations.
        tunings: how products are computed that are not computed as by default.
        dump: called with the name of each phase and the module after it.
    """
    network, parameters = logical.network, logical.parameters
    selection = Selection(isas, parameters, network.symbols, tunings or {})
    module = run_phases(
        logical.module,
        [
            (
                "split_products",
                lambda m: split_products(m, parameters, high_precision=high_precision, coarse=network.coarse),
            ),
            ("leave_rows", lambda m: leave_rows(m, parameters)),
            ("select_kernels", lambda m: select_kernels(m, selection)),
        ],
        dump,
    )
    plan = Plan(network.symbols, selection.scratch_bytes)
    first = [made[isas[0]] for made in selection.kernels.values()]
    plan.kernels = [(k.name, k.num_buffers, k.num_scalars) for k in first]
    extract_plan(module, plan, network, parameters, logical.results)
    sources = {**network.sources, **parameters.constants}
    return Lowered(plan, selection.kernels, module, parameters, sources, selection.products)
