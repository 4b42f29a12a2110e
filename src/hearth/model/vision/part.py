"""A function of a vision network before it is written: what it is given, what it declares, what writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hearth.model.network import Function
from hearth.model.vision.parameters import Declarations, Shape

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph


@dataclass(frozen=True)
class Part:
    """One function.

    Attributes:
        symbol: the size of the first axis of all inputs and outputs: how many pictures, how many texts.
        input_shapes: of each input, without that axis.
        write: returns the outputs in order.
    """

    function: Function
    symbol: str
    input_shapes: Mapping[str, Shape]
    declarations: Declarations
    write: Callable[[Graph], Sequence[Any]]
