"""What stands between a tower and a decoder: from tokens of pictures to embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

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


class PoolProjector:
    """Gemma 3's: the mean of each square of tokens, normalised, projected.

    Args:
        offset: what is added to the norm's weight.
    """

    def __init__(self, scope: Scope, size: int, hidden: int, square: int, eps: float, offset: float) -> None:
        self.square, self.eps = square, eps
        self.norm = scope.computed(
            "norm.weight", (size,), (scope.stored("norm.weight", size),), lambda weight: weight + np.float32(offset)
        )
        self.weight = scope.computed(
            "projection.weight", (hidden, size), (scope.stored("projection", size, hidden),),
            lambda weight: np.ascontiguousarray(weight.T), role="body",
        )  # fmt: skip

    def __call__(self, g: Graph, x: Any, grid: tuple[int, int]) -> Any:
        means = g.tokens(g.avg_pool(g.map(x, *grid), self.square, self.square))
        return g.linear(g.rms_norm(means, self.norm, self.eps), self.weight, None)
