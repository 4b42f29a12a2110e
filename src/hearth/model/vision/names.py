"""Where a vision network's tensors are in a published file: rules for the paths of its parts.

A rule is for a part (`layers.N.q`), whose tensors end alike on both sides (`.weight`, `.bias`), or for one tensor that
has no such ending (`cls_token`). Numbers of our path are `N`, `M`, `K` in order; in the published name `{N}` stands for
one, `{N+1}` for the next number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.readable import require_readable
from hearth.checkpoint.types import Checkpoint
from hearth.errors import CorruptFile
from hearth.model.tensors import Fused, Places, Rules, account_for, names_of
from hearth.model.vision.parameters import Declarations, Declared, Shape, Stored
from hearth.model.weights import ComputedWeight, Source, WeightSource

_NUMBERS = "NMK"
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.|$)")
_PLACE = re.compile(r"\{([NMK])(?:\+(\d+))?\}")


@dataclass(frozen=True)
class Naming:
    """How one library names a family's tensors.

    Attributes:
        rules: for parts and tensors; several published parts of which the first that exists is taken are a tuple.
        marker: a tensor that only files of this naming have, as it is after `places`.
        places: prefixes, forms without a head, what may be left out.
    """

    rules: Rules
    marker: str
    places: Places = field(default_factory=Places)

    def published(self, path: str) -> list[str]:
        """What a tensor of ours may be called; nothing where no rule knows it."""
        return [place.tensor for place in _candidates(path, self.rules)]


def naming_of(checkpoint: Checkpoint, family: str, namings: Sequence[Naming]) -> Naming:
    """The naming that a file follows. Raises CorruptFile where it is none of them."""
    for naming in namings:
        if naming.marker in names_of(checkpoint, naming.places):
            return naming
    raise CorruptFile(
        f"{checkpoint.path.name}: the tensor {namings[0].marker!r} is missing.", why=f"A {family} model has it."
    )


def map_parameters(
    checkpoint: Checkpoint, family: str, declarations: Sequence[Declarations], naming: Naming
) -> tuple[dict[str, Source], tuple[str, ...]]:
    """Finds the tensors of every declared parameter and accounts for every tensor of the file.

    Returns:
        The source of every parameter, and the names of the tensors left out.

    Raises:
        CorruptFile: a tensor is missing or has another shape than the configuration says.
        Unsupported: the file has a tensor that no part knows, or one of a type that Hearth cannot use.
    """
    names = names_of(checkpoint, naming.places)
    used: set[str] = set()
    sources: dict[str, Source] = {}
    for every in declarations:
        for parameter, declared in every.parameters.items():
            found = [_find(checkpoint, family, stored, naming.rules, names) for stored in declared.stored]
            used.update(place.tensor for place in found)
            sources[parameter] = _source(declared, found)
    return sources, account_for(checkpoint, family, used, naming.places)


def _source(declared: Declared, found: Sequence[_Found]) -> Source:
    if declared.compute is None and found[0].as_declared:
        return WeightSource(found[0].tensor, found[0].rows)
    compute: Callable[..., NDArray[np.float32]] = declared.compute or (lambda values: values)
    shapes, ranges = [stored.shape for stored in declared.stored], [place.rows for place in found]

    def computed(*tensors: NDArray[np.float32]) -> NDArray[np.float32]:
        # A kernel of one pixel may be stored as a matrix, a vector with axes of 1 around it.
        cut = [t if rows is None else t[slice(*rows)] for t, rows in zip(tensors, ranges, strict=True)]
        return compute(*(t.reshape(shape) for t, shape in zip(cut, shapes, strict=True)))

    return ComputedWeight(tuple(place.tensor for place in found), computed)


@dataclass(frozen=True)
class _Found:
    """A tensor of the file, which of its rows, and whether it has the very axes that were declared."""

    tensor: str
    rows: tuple[int, int] | None
    as_declared: bool


def _find(checkpoint: Checkpoint, family: str, stored: Stored, rules: Rules, names: Mapping[str, str]) -> _Found:
    """The tensor that holds a stored one."""
    candidates = list(_candidates(stored.path, rules))
    place = next((c for c in candidates if c.tensor in names), candidates[0])
    rows, shape = None, stored.shape
    if len(place.parts) > 1:
        # Parts that share a tensor are equally large: q, k and v; gate and up.
        rows = (place.index * shape[0], (place.index + 1) * shape[0])
        shape = (len(place.parts) * shape[0], *shape[1:])
    if place.tensor not in names:
        raise CorruptFile(f"The tensor {place.tensor!r} is missing.", why=f"The {family} model needs it.")
    info = checkpoint.tensors[names[place.tensor]]
    if _core(info.shape) != _core(shape):
        raise CorruptFile(
            f"The tensor {info.name!r} has the shape {list(info.shape)}.",
            why=f"The configuration of this {family} model says {list(shape)}.",
        )
    require_readable(info, checkpoint.kind)
    return _Found(info.name, rows, len(info.shape) == len(shape))


def _core(shape: Shape) -> Shape:
    """A shape without its axes of 1: (1, 1, c) and (c,) hold the same."""
    return tuple(dim for dim in shape if dim != 1)


@dataclass(frozen=True)
class _Place:
    tensor: str
    parts: tuple[str, ...] = ("",)
    index: int = 0


def _candidates(path: str, rules: Rules) -> list[_Place]:
    """The published tensors that a path may be."""
    numbers = [int(found[0]) for found in _NUMBER.finditer(path)]
    letters = iter(_NUMBERS)
    pattern = _NUMBER.sub(lambda found: next(letters), path)
    leaf = path.rpartition(".")[2]
    # A rule for the tensor, then for its part; one that gives its numbers, then one for all numbers.
    keys = [(path, ""), (pattern, ""), (path.rpartition(".")[0], f".{leaf}"), (pattern.rpartition(".")[0], f".{leaf}")]
    key, ending = next((found for found in keys if found[0] in rules), ("", ""))
    if not key:
        return []
    rule, part = rules[key], path.rpartition(".")[0]
    places = []
    for alternative in rule if isinstance(rule, tuple) else (rule,):
        published = alternative if isinstance(alternative, str) else alternative.tensor
        tensor = _PLACE.sub(lambda found: str(numbers[_NUMBERS.index(found[1])] + int(found[2] or 0)), published)
        if isinstance(alternative, Fused):
            own = part.rpartition(".")[2] if leaf in ("weight", "bias") else leaf
            places.append(_Place(tensor + ending, alternative.parts, alternative.parts.index(own)))
        else:
            places.append(_Place(tensor + ending))
    return places
