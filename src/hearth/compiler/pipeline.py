"""The compiler's phases that know no device, top to bottom; each device goes on from there (`cpu/lowering.py`).

`--dump-ir DIR` writes the module after each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearth.compiler.parameters import Parameters
from hearth.compiler.passes.adapters import add_adapters
from hearth.compiler.passes.constants import lift_constants
from hearth.compiler.passes.convolutions import fuse_convolutions, multiply_pixels
from hearth.compiler.passes.decompose import decompose
from hearth.compiler.passes.elementwise import fuse_elementwise
from hearth.compiler.passes.fuse import (
    fuse_activation,
    fuse_activation_of_sums,
    fuse_embedding_scale,
    fuse_gated_mlp,
    fuse_joined,
    fuse_logits,
    fuse_mixer_inputs,
    fuse_qkv,
    fuse_residual,
)
from hearth.compiler.passes.patches import find_patches
from hearth.compiler.passes.rotations import rotations
from hearth.model.network import Network
from hearth.quant.formats import Format

Phase = tuple[str, Callable[[Any], Any]]
Dump = Callable[[str, Any], None]
"""Called with the name of each phase and the module after it."""


@dataclass(frozen=True)
class Logical:
    """A network after the phases that know no device.

    Attributes:
        module: graphs of logical operations, fused.
        parameters: what the graphs read, packed alike for all devices.
        results: by function, the types of its results in logical shapes.
    """

    network: Network
    module: Any
    parameters: Parameters
    results: Mapping[str, Sequence[Any]]


def logical(network: Network, formats: Mapping[str, Format], dump: Dump | None = None) -> Logical:
    """What every device begins with.

    Args:
        formats: of every parameter that is not f32, by name.
        dump: called with the name of each phase and the module after it.
    """
    module = network.build()
    parameters = Parameters(formats)
    parameters.declare(network, rotations(module, formats))
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
        ("fuse_joined", lambda m: fuse_joined(m, parameters)),
        ("fuse_mixer_inputs", lambda m: fuse_mixer_inputs(m, parameters)),
        ("add_adapters", lambda m: add_adapters(m, parameters, network)),
        ("fuse_gated_mlp", lambda m: fuse_gated_mlp(m, parameters)),
        ("fuse_activation", fuse_activation),
        ("fuse_residual", fuse_residual),
        ("fuse_activation_of_sums", lambda m: fuse_activation_of_sums(m, parameters)),
        ("fuse_convolutions", fuse_convolutions),
        ("fuse_logits", fuse_logits),
        ("fuse_elementwise", fuse_elementwise),
    ]
    if dump:
        dump("network", module)
    return Logical(network, run_phases(module, phases, dump), parameters, results)


def run_phases(module: Any, phases: Sequence[Phase], dump: Dump | None) -> Any:
    """The module after some phases, in order."""
    for name, phase in phases:
        module = phase(module)
        if dump:
            dump(name, module)
    return module


def _results(function: Any) -> list[Any]:
    """Types of what a function returns."""
    ty = function.ret_ty
    return list(ty.fields) if hasattr(ty, "fields") else [ty]


def dump_to(folder: Path) -> Dump:
    """A `dump` that writes each module as numbered TVMScript files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0

    def write(name: str, module: Any) -> None:
        nonlocal count
        (folder / f"{count:02d}_{name}.py").write_text(module.script() + "\n", encoding="utf-8")
        count += 1

    return write
