"""What stands between a tower and a decoder: from tokens of pictures to embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hearth.model.vision.layers import Linear
from hearth.model.vision.parameters import Scope

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph


class MlpProjector:
    """LLaVA's: two linear layers with an activation between them, for each token."""

    def __init__(self, scope: Scope, size: int, hidden: int, activation: str, *, bias: bool) -> None:
        self.first = Linear(scope / "first", size, hidden, bias=bias)
        self.second = Linear(scope / "second", hidden, hidden, bias=bias)
        self.activation = activation

    def __call__(self, g: Graph, x: Any) -> Any:
        return self.second(g, g.activation(self.first(g, x), self.activation))


class PixelShuffle:
    """Idefics3's: squares of factor x factor tokens become one, whose numbers are those of all of them; projected."""

    def __init__(self, scope: Scope, size: int, hidden: int, factor: int) -> None:
        self.factor = factor
        self.projection = Linear(scope / "projection", size * factor * factor, hidden, bias=False)

    def __call__(self, g: Graph, x: Any, grid: tuple[int, int]) -> Any:
        squares = g.patches(g.map(x, *grid), self.factor, self.factor)
        return self.projection(g, g.tokens(squares))
