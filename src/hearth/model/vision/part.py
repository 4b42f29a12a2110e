"""A function of a vision network before it is written: what it is given, what it declares, what writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hearth.model.network import Function
from hearth.model.vision.parameters import Declarations, Shape

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph

MOST_AT_ONCE = 8
"""Pictures, or texts, in one call."""


@dataclass(frozen=True)
class Part:
    """One function.

    Attributes:
        symbol: the size of the first axis of inputs and outputs: how many pictures, how many texts.
        input_shapes: of each input that has that axis, without it.
        write: returns the outputs in order.
        most: the bound of the symbol.
        fixed_shapes: of inputs without that axis; names are symbols of `sizes`.
        sizes: bounds of further symbols.
    """

    function: Function
    symbol: str
    input_shapes: Mapping[str, Shape]
    declarations: Declarations
    write: Callable[[Graph], Sequence[Any]]
    most: int = MOST_AT_ONCE
    fixed_shapes: Mapping[str, tuple[int | str, ...]] = field(default_factory=dict)
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def symbols(self) -> dict[str, tuple[int, int]]:
        """Bounds of all symbols."""
        return {self.symbol: (1, self.most), **self.sizes}
