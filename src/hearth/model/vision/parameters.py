"""The parameters of a network as its parts declare them: shapes, what they are made of, what a checkpoint must hold.

A part of a network (`layers.py`) declares its parameters when it is made, which needs no TVM, and is called later to
write its operations. Names are paths (`layers.3.q.weight`); names of stored tensors are paths too, which a family's
rules (`names.py`) turn into those of a published file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hearth.model.network import Role

Shape = tuple[int, ...]
Compute = Callable[..., NDArray[np.float32]]


@dataclass(frozen=True)
class Stored:
    """A tensor that a checkpoint must have: our path of it, and its shape there."""

    path: str
    shape: Shape


@dataclass(frozen=True)
class Declared:
    """One parameter: computed from these tensors, or the one tensor itself."""

    shape: Shape
    stored: tuple[Stored, ...]
    compute: Compute | None = None
    role: Role = "exact"


@dataclass
class Declarations:
    """All parameters of a network, in the order of its parts."""

    parameters: dict[str, Declared] = field(default_factory=dict)


@dataclass(frozen=True)
class Scope:
    """A place in a network where a part declares its parameters: `scope / "layers" / 3 / "q"`."""

    declarations: Declarations
    path: str = ""

    def __truediv__(self, name: str | int) -> Scope:
        return Scope(self.declarations, self.name(str(name)))

    def name(self, leaf: str) -> str:
        return f"{self.path}.{leaf}" if self.path else leaf

    def stored(self, leaf: str, *shape: int) -> Stored:
        return Stored(self.name(leaf), shape)

    def tensor(self, leaf: str, *shape: int, role: Role = "exact") -> str:
        """A parameter that is a tensor of the file as it stands; its name."""
        return self.computed(leaf, shape, (self.stored(leaf, *shape),), None, role=role)

    def computed(
        self, leaf: str, shape: Shape, stored: tuple[Stored, ...], compute: Compute | None, *, role: Role = "exact"
    ) -> str:
        """A parameter that `compute` makes of tensors, each f32 in its stored shape; its name."""
        name = self.name(leaf)
        assert name not in self.declarations.parameters, name
        self.declarations.parameters[name] = Declared(shape, stored, compute, role)
        return name

    def constant(self, leaf: str, values: NDArray[np.float32]) -> str:
        """A parameter that is in no file; its name."""
        return self.computed(leaf, values.shape, (), lambda: values)
