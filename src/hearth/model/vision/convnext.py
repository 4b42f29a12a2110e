"""ConvNeXt, version 1 and 2: wide depthwise convolutions and an MLP for each place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hearth.model.vision.layers import Conv, LayerNorm, Linear
from hearth.model.vision.parameters import Scope

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph

_EPS = 1e-6
_RESPONSE_EPS = 1e-6


@dataclass(frozen=True)
class ConvNextConfig:
    """Attributes:
    sizes, depths: channels and blocks of each stage.
    layer_scale: what a block adds is multiplied by a vector (version 1).
    response_norm: channels are weighed by how strong they are over the whole map (version 2).
    """

    patch: int
    sizes: tuple[int, ...]
    depths: tuple[int, ...]
    activation: str
    layer_scale: bool
    response_norm: bool


class ConvNext:
    """From a picture (b, h, w, 3) to the map of the last stage; no last norm."""

    def __init__(self, scope: Scope, config: ConvNextConfig) -> None:
        c, whole = config, (0, 0, 0, 0)
        self.patches = Conv(scope / "patches", 3, c.sizes[0], c.patch, stride=c.patch, padding=whole)
        self.norm = LayerNorm(scope / "patch_norm", c.sizes[0], _EPS)
        self.halvings: list[tuple[LayerNorm, Conv] | None] = [None]
        self.stages = []
        for i, (size, depth) in enumerate(zip(c.sizes, c.depths, strict=True)):
            stage = scope / "stages" / i
            if i:
                before = c.sizes[i - 1]
                self.halvings.append(
                    (
                        LayerNorm(stage / "halve_norm", before, _EPS),
                        Conv(stage / "halve", before, size, 2, stride=2, padding=whole),
                    )
                )
            self.stages.append([Block(stage / "blocks" / j, c, size) for j in range(depth)])

    def __call__(self, g: Graph, pixels: Any) -> Any:
        x = self.norm(g, self.patches(g, pixels))
        for halving, blocks in zip(self.halvings, self.stages, strict=True):
            if halving is not None:
                norm, conv = halving
                x = conv(g, norm(g, x))
            for block in blocks:
                x = block(g, x)
        return x


class Block:
    def __init__(self, scope: Scope, config: ConvNextConfig, size: int) -> None:
        self.activation = config.activation
        self.depthwise = Conv(scope / "depthwise", size, size, 7, groups=size)
        self.norm = LayerNorm(scope / "norm", size, _EPS)
        self.up = Linear(scope / "up", size, 4 * size)
        self.response = ResponseNorm(scope / "response", 4 * size) if config.response_norm else None
        scale = scope.stored("scale", size) if config.layer_scale else None
        self.down = Linear(scope / "down", 4 * size, size, scale=scale)

    def __call__(self, g: Graph, x: Any) -> Any:
        h = g.activation(self.up(g, self.norm(g, self.depthwise(g, x))), self.activation)
        if self.response is not None:
            h = self.response(g, h)
        return g.add(x, self.down(g, h))


class ResponseNorm:
    """Global response normalisation: x + w x |channel| / mean |channels| + b, lengths taken over the map."""

    def __init__(self, scope: Scope, size: int) -> None:
        self.weight, self.bias = scope.tensor("weight", size), scope.tensor("bias", size)

    def __call__(self, g: Graph, x: Any) -> Any:
        length = g.activation(g.sum(g.multiply(x, x), [1, 2], keep=True), "sqrt")
        share = g.divide(length, g.add(g.mean(length, [3], keep=True), g.number(_RESPONSE_EPS)))
        weighed = g.multiply(x, g.multiply(share, g.parameter(self.weight)))
        return g.add(g.add(weighed, g.parameter(self.bias)), x)
