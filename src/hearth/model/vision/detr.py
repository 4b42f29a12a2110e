"""DETR: a transformer over the last map of a ResNet, whose decoder asks a set of learned queries for objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hearth.model.vision.detr_masks import Masks
from hearth.model.vision.heads import BoxHead
from hearth.model.vision.layers import Attention, Conv, LayerNorm, Linear, Mlp
from hearth.model.vision.parameters import Scope
from hearth.model.vision.positions import sine_positions
from hearth.model.vision.resnet import ResNet, ResNetConfig

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph


@dataclass(frozen=True)
class LayersConfig:
    """Layers of an encoder or decoder that are all alike; `inner`: size within the MLP."""

    count: int
    heads: int
    inner: int


@dataclass(frozen=True)
class DetrConfig:
    """Attributes:
    size: of the pictures; `backbone`: the ResNet under it; `masks`: whether it has those of objects.
    """

    size: tuple[int, int]
    backbone: ResNetConfig
    hidden: int
    encoder: LayersConfig
    decoder: LayersConfig
    queries: int
    labels: int
    activation: str
    eps: float = 1e-5
    masks: bool = False


class EncoderLayer:
    """Post-norm; positions are added to queries and keys, not to values."""

    def __init__(self, scope: Scope, size: int, layers: LayersConfig, activation: str, eps: float) -> None:
        self.attention = Attention(scope, size, layers.heads)
        self.norm1 = LayerNorm(scope / "norm1", size, eps)
        self.mlp = Mlp(scope, size, layers.inner, activation)
        self.norm2 = LayerNorm(scope / "norm2", size, eps)

    def __call__(self, g: Graph, x: Any, positions: Any) -> Any:
        placed = g.add(x, positions)
        x = self.norm1(g, g.add(x, self.attention(g, placed, values=x)))
        return self.norm2(g, g.add(x, self.mlp(g, x)))


class DecoderLayer:
    """Queries attend to each other, then to the picture."""

    def __init__(self, scope: Scope, size: int, layers: LayersConfig, activation: str, eps: float) -> None:
        self.own = Attention(scope / "own", size, layers.heads)
        self.norm1 = LayerNorm(scope / "norm1", size, eps)
        self.cross = Attention(scope / "cross", size, layers.heads)
        self.norm2 = LayerNorm(scope / "norm2", size, eps)
        self.mlp = Mlp(scope, size, layers.inner, activation)
        self.norm3 = LayerNorm(scope / "norm3", size, eps)

    def __call__(self, g: Graph, x: Any, queries: Any, memory: Any, placed_memory: Any) -> Any:
        x = self.norm1(g, g.add(x, self.own(g, g.add(x, queries), values=x)))
        x = self.norm2(g, g.add(x, self.cross(g, g.add(x, queries), keys=placed_memory, values=memory)))
        return self.norm3(g, g.add(x, self.mlp(g, x)))


class Detr:
    """From a picture (b, h, w, 3) to logits (b, queries, labels + 1) and boxes (b, queries, 4).

    With masks of the objects also to masks (b, queries, h / 4, w / 4).
    """

    def __init__(self, scope: Scope, config: DetrConfig) -> None:
        c = config
        self.backbone = ResNet(scope / "backbone", c.backbone)
        self.projection = Conv(scope / "projection", c.backbone.sizes[-1], c.hidden, 1)
        self.encoder = [
            EncoderLayer(scope / "encoder" / i, c.hidden, c.encoder, c.activation, c.eps)
            for i in range(c.encoder.count)
        ]
        self.decoder = [
            DecoderLayer(scope / "decoder" / i, c.hidden, c.decoder, c.activation, c.eps)
            for i in range(c.decoder.count)
        ]
        self.norm = LayerNorm(scope / "norm", c.hidden, c.eps)
        table = scope.stored("queries", c.queries, c.hidden)
        self.queries = scope.computed("queries", (1, c.queries, c.hidden), (table,), lambda values: values[None])
        self.start = scope.constant("start", np.zeros((1, c.queries, c.hidden), np.float32))
        self.grid = map_size(c.size)
        self.places = scope.constant("places", sine_positions(*self.grid, c.hidden)[None])
        self.classes = Linear(scope / "classes", c.hidden, c.labels + 1, role="head")
        self.boxes = BoxHead(scope / "boxes", c.hidden, 4)
        heads, maps = c.encoder.heads, c.backbone.sizes[:3]
        self.masks = Masks(scope / "masks", c.hidden, heads, maps, c.activation) if c.masks else None

    def __call__(self, g: Graph, pixels: Any) -> list[Any]:
        maps = self.backbone(g, pixels)
        projected = self.projection(g, maps[-1])
        x = g.tokens(projected)
        places = g.parameter(self.places)
        for layer in self.encoder:
            x = layer(g, x, places)
        placed, queries, h = g.add(x, places), g.repeated(self.queries), g.repeated(self.start)
        for decoder_layer in self.decoder:
            h = decoder_layer(g, h, queries, x, placed)
        h = self.norm(g, h)
        found = [self.classes(g, h), g.activation(self.boxes(g, h), "sigmoid")]
        return found if self.masks is None else [*found, self.masks(g, h, x, projected, maps[:3])]


def map_size(size: tuple[int, int]) -> tuple[int, int]:
    """The last map of a ResNet, which halves five times, rounding up."""
    return -(-size[0] // 32), -(-size[1] // 32)
