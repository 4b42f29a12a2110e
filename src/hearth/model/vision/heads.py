"""Heads that several families have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hearth.model.vision.layers import Linear
from hearth.model.vision.parameters import Scope

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph


class BoxHead:
    """Linear layers with ReLU between them, all but the last of one size."""

    def __init__(self, scope: Scope, size: int, n: int, layers: int = 3) -> None:
        self.layers = [Linear(scope / i, size, n if i == layers - 1 else size) for i in range(layers)]

    def __call__(self, g: Graph, x: Any) -> Any:
        for layer in self.layers[:-1]:
            x = g.activation(layer(g, x), "relu")
        return self.layers[-1](g, x)
