"""The compiler's phases, top to bottom: from the logical decoder to chosen kernels and a plan.

`--dump-ir DIR` writes the module after each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearth.compiler.cpu.kernels.builder import Kernel
from hearth.compiler.cpu.prepare import split_products
from hearth.compiler.cpu.select import SPLIT_TOKENS, TILE_TOKENS, Product, Selection, select_kernels
from hearth.compiler.cpu.targets import Isa
from hearth.compiler.cpu.tuning import Tunings
from hearth.compiler.parameters import Parameters
from hearth.compiler.passes.fuse import fuse_embedding_scale, fuse_gated_mlp, fuse_logits, fuse_qkv, fuse_residual
from hearth.compiler.plan import Limits, Plan, extract_plan
from hearth.model.text.config import DecoderConfig
from hearth.model.text.decoder import build, kv_page_bytes, rope_parameter
from hearth.model.text.kv_cache import PAGE_TOKENS, KvDtype
from hearth.model.text.parameters import parameter_shapes
from hearth.quant.formats import Format

Phase = tuple[str, Callable[[Any], Any]]


@dataclass(frozen=True)
class Lowered:
    """What the phases leave: the plan, its kernels, and what each parameter is made of.

    Attributes:
        kernels: by name, for each instruction set; their PrimFuncs are functions `isa.symbol(name)` of `module`.
        products: the product of every step that is one, in order.
    """

    plan: Plan
    kernels: dict[str, dict[Isa, Kernel]]
    module: Any
    parameters: Parameters
    products: list[Product]


def lower(
    config: DecoderConfig,
    formats: dict[str, Format],
    isas: Sequence[Isa],
    *,
    high_precision: bool,
    kv_dtype: KvDtype,
    limits: Limits,
    tunings: Tunings | None = None,
    dump: Callable[[str, Any], None] | None = None,
) -> Lowered:
    """Compiles the decoder down to kernels.

    Args:
        isas: instruction sets to make kernels for, best first.
        formats: of every matrix, by decoder parameter name.
        high_precision: f32 activations.
        kv_dtype: number format of the KV pages.
        tunings: how products are computed that are not computed as by default.
        dump: called with the name of each phase and the module after it.
    """
    parameters = Parameters(formats)
    selection = Selection(config, isas, parameters, limits.max_partials, kv_dtype, tunings or {})

    module = build(config, kv_dtype)
    parameters.declare(module, {*parameter_shapes(config), *(rope_parameter(i) for i in range(len(config.ropes)))})
    phases: list[Phase] = [
        ("fuse_embedding_scale", fuse_embedding_scale),
        ("fuse_qkv", lambda m: fuse_qkv(m, parameters)),
        ("fuse_gated_mlp", lambda m: fuse_gated_mlp(m, parameters)),
        ("fuse_residual", fuse_residual),
        ("fuse_logits", fuse_logits),
        ("split_products", lambda m: split_products(m, parameters, high_precision=high_precision)),
        ("select_kernels", lambda m: select_kernels(m, selection)),
    ]
    if dump:
        dump("decoder", module)
    for name, phase in phases:
        module = phase(module)
        if dump:
            dump(name, module)

    plan = Plan(
        limits, TILE_TOKENS, SPLIT_TOKENS, PAGE_TOKENS, config.vocab_size, config.hidden_size, selection.scratch_bytes
    )
    first = [made[isas[0]] for made in selection.kernels.values()]
    plan.kernels = [(k.name, k.num_buffers, k.num_scalars) for k in first]
    extract_plan(module, plan, parameters, kv_page_bytes(config, kv_dtype))
    return Lowered(plan, selection.kernels, module, parameters, selection.products)


def dump_to(folder: Path) -> Callable[[str, Any], None]:
    """A `dump` that writes each module as numbered TVMScript files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0

    def write(name: str, module: Any) -> None:
        nonlocal count
        (folder / f"{count:02d}_{name}.py").write_text(module.script() + "\n", encoding="utf-8")
        count += 1

    return write
