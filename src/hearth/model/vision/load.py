"""From a checkpoint to a vision model: its family, what it does, its network and the source of every parameter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hearth.checkpoint.folder import TIMM
from hearth.checkpoint.quantised import refuse_unreadable
from hearth.checkpoint.torch_file import TORCH
from hearth.checkpoint.types import Checkpoint
from hearth.errors import Unsupported
from hearth.model.kinds import VISION, refuse_other_kinds
from hearth.model.network import Network
from hearth.model.settings import Settings, shown
from hearth.model.tensors import names_of
from hearth.model.vision.families import FAMILIES, Family, timm, weight_files
from hearth.model.vision.model import Described, Head, Source, Task, TextTower
from hearth.model.vision.names import map_parameters, naming_of
from hearth.model.vision.part import Part


@dataclass(frozen=True)
class LoadedVision:
    """A checkpoint as Hearth understands it.

    Attributes:
        task: what its function `image` gives (`model.Task`).
        size: height and width of the pictures that the network is for.
        unused: tensors of the checkpoint that are left out, by name.
    """

    family: str
    task: Task
    size: tuple[int, int]
    network: Network
    head: Head
    text: TextTower | None
    labels: tuple[str, ...]
    unused: tuple[str, ...]


def load_vision(
    checkpoint: Checkpoint,
    *,
    size: tuple[int, int] | None = None,
    prepare: Callable[[tuple[int, int]], Part] | None = None,
) -> LoadedVision:
    """Says what vision model a checkpoint holds.

    Args:
        checkpoint: an opened model; only its header is read.
        size: height and width of the pictures that it is to be made for; None: as its configuration says.
        prepare: the function that makes pictures ready (`pictures.picture_part`), by that size; None: there is none.

    Raises:
        Unsupported: an architecture, a setting or a tensor that Hearth does not know, by name; a size that the model
            cannot be made for.
        CorruptFile: a setting out of range, a tensor missing or of the wrong shape.
    """
    family, values = _family_of(checkpoint)
    refuse_unreadable(str(checkpoint.path), checkpoint.config, checkpoint.tensors)
    settings = Settings(values, where="config.json", defaults=family.defaults)
    family.refuse_unknown(settings)
    naming = naming_of(checkpoint, family.name, family.namings)
    names = names_of(checkpoint, naming.places)
    described = family.describe(Source(settings, names, naming, size))
    if prepare is not None:
        described = replace(described, parts=(*described.parts, prepare(described.size)))
    declarations = [part.declarations for part in described.parts]
    sources, unused = map_parameters(checkpoint, family.name, declarations, naming)
    return LoadedVision(
        family.name,
        described.task,
        described.size,
        network_of(described, sources),
        described.head,
        described.text,
        described.labels,
        unused,
    )


def network_of(described: Described, sources: Mapping[str, Any]) -> Network:
    """The network of a described model."""
    parameters = {n: p for part in described.parts for n, p in part.declarations.parameters.items()}
    return Network(
        functions=tuple(part.function for part in described.parts),
        symbols={name: bounds for part in described.parts for name, bounds in part.symbols.items()},
        shapes={name: declared.shape for name, declared in parameters.items()},
        sources=sources,
        build=lambda: _write(described.parts),
        roles={name: declared.role for name, declared in parameters.items() if declared.role != "exact"},
    )


def _write(parts: tuple[Part, ...]) -> Any:
    from hearth.model.vision.graph import write_module  # needs TVM, which only compiling does

    return write_module(parts)


def _family_of(checkpoint: Checkpoint) -> tuple[Family, Mapping[str, Any]]:
    """The family, and the configuration in transformers' words."""
    architecture = checkpoint.architecture
    if architecture == TIMM:
        return timm.family_of(checkpoint.config)
    if architecture == TORCH:
        return weight_files.family_of(checkpoint)
    for family in FAMILIES:
        if architecture in family.model_types:
            return family, checkpoint.config
    known = sorted(name for family in FAMILIES for name in family.model_types)
    refuse_other_kinds("The model", VISION, architecture, checkpoint.kind, checkpoint.config)
    raise Unsupported(
        f"The architecture {shown(architecture)} (config.json: model_type) is no vision model that Hearth knows.",
        hint=f"Known: {', '.join(known)}.",
    )
