"""The compiler's phases, top to bottom: from a network's logical graphs to chosen kernels and a plan.

`--dump-ir DIR` writes the module after each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
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
from hearth.compiler.passes.constants import lift_constants
from hearth.compiler.passes.convolutions import fuse_convolutions, multiply_pixels
from hearth.compiler.passes.decompose import decompose
from hearth.compiler.passes.elementwise import fuse_elementwise
from hearth.compiler.passes.fuse import (
    fuse_activation,
    fuse_activation_of_sums,
    fuse_embedding_scale,
    fuse_gated_mlp,
    fuse_logits,
    fuse_qkv,
    fuse_residual,
)
from hearth.compiler.passes.patches import find_patches
from hearth.compiler.passes.rotations import rotations
from hearth.compiler.plan import Plan
from hearth.model.network import Network
from hearth.model.weights import Source
from hearth.quant.formats import Format

Phase = tuple[str, Callable[[Any], Any]]


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
    network: Network,
    formats: Mapping[str, Format],
    isas: Sequence[Isa],
    *,
    high_precision: bool,
    tunings: Tunings | None = None,
    dump: Callable[[str, Any], None] | None = None,
) -> Lowered:
    """Compiles a network down to kernels.

    Args:
        isas: instruction sets to make kernels for, best first.
        formats: of every parameter that is not f32, by name.
        high_precision: f32 activations.
        tunings: how products are computed that are not computed as by default.
        dump: called with the name of each phase and the module after it.
    """
    module = network.build()
    parameters = Parameters(formats)
    parameters.declare(network, rotations(module, formats))
    selection = Selection(isas, parameters, network.symbols, tunings or {})

    results: dict[str, Sequence[Any]] = {
        function.name: _results(module[function.name]) for function in network.functions
    }
    phases: list[Phase] = [
        ("lift_constants", lambda m: lift_constants(m, parameters)),
        ("decompose", decompose),
        ("find_patches", find_patches),
        ("multiply_pixels", multiply_pixels),
        ("fuse_embedding_scale", lambda m: fuse_embedding_scale(m, parameters)),
        ("fuse_qkv", lambda m: fuse_qkv(m, parameters)),
        ("fuse_gated_mlp", lambda m: fuse_gated_mlp(m, parameters)),
        ("fuse_activation", fuse_activation),
        ("fuse_residual", fuse_residual),
        ("fuse_activation_of_sums", lambda m: fuse_activation_of_sums(m, parameters)),
        ("fuse_convolutions", fuse_convolutions),
        ("fuse_logits", fuse_logits),
        ("fuse_elementwise", fuse_elementwise),
        (
            "split_products",
            lambda m: split_products(m, parameters, high_precision=high_precision, coarse=network.coarse),
        ),
        ("leave_rows", lambda m: leave_rows(m, parameters)),
        ("select_kernels", lambda m: select_kernels(m, selection)),
    ]
    if dump:
        dump("network", module)
    for name, phase in phases:
        module = phase(module)
        if dump:
            dump(name, module)

    plan = Plan(network.symbols, selection.scratch_bytes)
    first = [made[isas[0]] for made in selection.kernels.values()]
    plan.kernels = [(k.name, k.num_buffers, k.num_scalars) for k in first]
    extract_plan(module, plan, network, parameters, results)
    sources = {**network.sources, **parameters.constants}
    return Lowered(plan, selection.kernels, module, parameters, sources, selection.products)


def _results(function: Any) -> list[Any]:
    """Types of what a function returns."""
    ty = function.ret_ty
    return list(ty.fields) if hasattr(ty, "fields") else [ty]


def dump_to(folder: Path) -> Callable[[str, Any], None]:
    """A `dump` that writes each module as numbered TVMScript files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0

    def write(name: str, module: Any) -> None:
        nonlocal count
        (folder / f"{count:02d}_{name}.py").write_text(module.script() + "\n", encoding="utf-8")
        count += 1

    return write
