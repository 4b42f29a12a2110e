"""The masks of DETR's objects: where each query looks in the picture, made sharper with the backbone's maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hearth.model.vision.layers import Conv, Linear
from hearth.model.vision.parameters import Scope

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph

_GROUPS, _EPS = 8, 1e-5


class _Norm:
    """A norm of groups of channels and an activation."""

    def __init__(self, scope: Scope, channels: int, activation: str) -> None:
        self.weight, self.bias = scope.tensor("weight", channels), scope.tensor("bias", channels)
        self.groups, self.activation = min(_GROUPS, channels), activation

    def __call__(self, g: Graph, x: Any) -> Any:
        return g.activation(g.group_norm(x, self.weight, self.bias, self.groups, _EPS), self.activation)


class _Sharpen:
    """A map twice as large, with what a map of the backbone adds."""

    def __init__(self, scope: Scope, channels: int, c_in: int, c_out: int, activation: str) -> None:
        self.adapter = Conv(scope / "adapter", channels, c_in, 1)
        self.conv, self.norm = Conv(scope / "conv", c_in, c_out, 3), _Norm(scope / "norm", c_out, activation)

    def __call__(self, g: Graph, x: Any, own: Any) -> Any:
        """x (b q, h, w, c), own (b, 2 h, 2 w, c')."""
        own = self.adapter(g, own)
        _, height, width, _ = g.shape(own)
        x = g.resize(x, height, width, method="nearest_neighbor")
        return self.norm(g, self.conv(g, _with_each(g, x, own)))


class Masks:
    """From what DETR's decoder says of its queries to a mask of each, a quarter as large as the picture.

    Args:
        maps: channels of the backbone's first three maps.
    """

    def __init__(self, scope: Scope, hidden: int, heads: int, maps: Sequence[int], activation: str) -> None:
        self.hidden, self.heads = hidden, heads
        self.q, self.k = Linear(scope / "q", hidden, hidden), Linear(scope / "k", hidden, hidden)
        wide = hidden + heads
        # The first convolution is of the picture's map beside what a query looks at: the map's part is computed once.
        first = (scope.stored("first.weight", wide, wide, 3, 3),)
        self.of_map = scope.computed(
            "first.map", (wide, 3, 3, hidden), first, lambda w: _channels_last(w[:, :hidden]), role="body"
        )
        self.of_looks = scope.computed(
            "first.looks", (wide, 3, 3, heads), first, lambda w: _channels_last(w[:, hidden:]), role="body"
        )
        self.first_bias = scope.tensor("first.bias", wide)
        self.first_norm = _Norm(scope / "first_norm", wide, activation)
        self.second = Conv(scope / "second", wide, hidden // 2, 3)
        self.second_norm = _Norm(scope / "second_norm", hidden // 2, activation)
        self.sharpen = [
            _Sharpen(scope / "sharpen" / i, channels, hidden >> (i + 1), hidden >> (i + 2), activation)
            for i, channels in enumerate(reversed(maps))
        ]
        self.out = Conv(scope / "out", hidden >> (len(maps) + 1), 1, 3)

    def __call__(self, g: Graph, queries: Any, memory: Any, projected: Any, maps: Sequence[Any]) -> Any:
        """queries (b, q, d), memory (b, h w, d), projected (b, h, w, d), maps (b, ., ., c) each; (b, q, 8 h, 8 w)."""
        same = (1, 1, 1, 1)
        count = g.shape(queries)[1]
        looks = self.looks(g, queries, memory, projected)
        x = g.conv2d(looks, self.of_looks, None, padding=same)
        x = _with_each(g, x, g.conv2d(projected, self.of_map, self.first_bias, padding=same))
        x = self.second_norm(g, self.second(g, self.first_norm(g, x)))
        for sharpen, own in zip(self.sharpen, reversed(maps), strict=True):
            x = sharpen(g, x, own)
        _, height, width, _ = g.shape(x)
        return g.reshape(self.out(g, x), g.batch, count, height, width)

    def looks(self, g: Graph, queries: Any, memory: Any, projected: Any) -> Any:
        """How much each head of each query looks at each place, all of a query together 1: (b q, h, w, heads)."""
        (_, count, _), (_, height, width, _) = g.shape(queries), g.shape(projected)
        size, places = self.hidden // self.heads, height * width
        q = g.permute(g.reshape(self.q(g, queries), g.batch, count, self.heads, size), 0, 2, 1, 3)
        k = g.permute(g.reshape(self.k(g, memory), g.batch, places, self.heads, size), 0, 2, 3, 1)
        scores = g.permute(g.scaled(g.matmul(q, k), size**-0.5), 0, 2, 1, 3)
        shares = g.softmax(g.reshape(scores, g.batch, count, self.heads * places))
        shares = g.reshape(shares, g.batch, count, self.heads, places)
        return g.reshape(g.permute(shares, 0, 1, 3, 2), g.batch * count, height, width, self.heads)


def _channels_last(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(weight.transpose(0, 2, 3, 1))


def _with_each(g: Graph, x: Any, own: Any) -> Any:
    """Maps of all queries (b q, h, w, c), to each of which that of its picture (b, h, w, c) is added."""
    images, height, width, channels = g.shape(x)
    apart = g.reshape(x, g.batch, -1, height, width, channels)
    added = g.add(apart, g.reshape(own, g.batch, 1, height, width, channels))
    return g.reshape(added, images, height, width, channels)
