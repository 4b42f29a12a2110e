"""DPT: maps of a transformer's layers brought to four scales and fused from the coarsest to the finest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hearth.model.vision.layers import Conv, ConvTranspose, Linear
from hearth.model.vision.parameters import Scope

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph


@dataclass(frozen=True)
class NeckConfig:
    """Attributes:
    hidden: size of a token; `sizes`: channels of each scale.
    factors: how many times finer each scale is than the patches; below 1 coarser.
    fusion: channels of the fused map.
    readout: what becomes of the class token: nothing, added to each patch, or beside it through a layer.
    """

    hidden: int
    sizes: tuple[int, ...]
    factors: tuple[float, ...]
    fusion: int
    readout: str
    activation: str


class Neck:
    """From tokens of four layers, class token first, to one map, twice as fine as the finest scale."""

    def __init__(self, scope: Scope, config: NeckConfig) -> None:
        c, scales = config, range(len(config.sizes))
        self.config = c
        self.readouts = [
            Linear(scope / "readouts" / i, 2 * c.hidden, c.hidden) if c.readout == "project" else None for i in scales
        ]
        self.projections = [Conv(scope / "reassemble" / i / "projection", c.hidden, c.sizes[i], 1) for i in scales]
        self.resizes = [self._resize(scope / "reassemble" / i / "resize", c.sizes[i], c.factors[i]) for i in scales]
        self.convs = [Conv(scope / "convs" / i, c.sizes[i], c.fusion, 3, bias=False) for i in scales]
        self.fusions = [Fusion(scope / "fusion" / i, c.fusion, joins=i > 0) for i in scales]

    @staticmethod
    def _resize(scope: Scope, channels: int, factor: float) -> Conv | ConvTranspose | None:
        if factor > 1:
            return ConvTranspose(scope, channels, channels, int(factor))
        return None if factor == 1 else Conv(scope, channels, channels, 3, stride=int(1 / factor))

    def __call__(self, g: Graph, layers: list[Any], grid: tuple[int, int]) -> Any:
        maps = []
        for i, tokens in enumerate(layers):
            x = self.projections[i](g, g.map(self._patches(g, tokens, i), *grid))
            resize = self.resizes[i]
            maps.append(self.convs[i](g, x if resize is None else resize(g, x)))
        maps.reverse()
        x = None
        for i, (fusion, finer) in enumerate(zip(self.fusions, maps, strict=True)):
            _, height, width, _ = g.shape(finer if i == len(maps) - 1 else maps[i + 1])
            size = (2 * height, 2 * width) if i == len(maps) - 1 else (height, width)
            x = fusion(g, finer, None, size) if x is None else fusion(g, x, finer, size)
        return x

    def _patches(self, g: Graph, tokens: Any, scale: int) -> Any:
        count, size = g.shape(tokens)[1:]
        patches = g.slice(tokens, 1, 1, count)
        if self.config.readout == "ignore":
            return patches
        first = g.slice(tokens, 1, 0, 1)
        if self.config.readout == "add":
            return g.add(patches, first)
        layer = self.readouts[scale]
        assert layer is not None
        both = g.concat([patches, g.broadcast(first, g.batch, count - 1, size)], 2)
        return g.activation(layer(g, both), self.config.activation)


class Fusion:
    """A coarser fused map, with a finer one added, made as fine as the next."""

    def __init__(self, scope: Scope, size: int, *, joins: bool) -> None:
        # The first has nothing to join; its layer for that is in the files all the same.
        self.residual1 = Residual(scope / "residual1", size) if joins else None
        self.residual2 = Residual(scope / "residual2", size)
        self.projection = Conv(scope / "projection", size, size, 1)

    def __call__(self, g: Graph, x: Any, finer: Any | None, size: tuple[int, int]) -> Any:
        if finer is not None and self.residual1 is not None:
            x = g.add(x, self.residual1(g, g.resize(finer, *g.shape(x)[1:3])))
        return self.projection(g, g.resize(self.residual2(g, x), *size, align_corners=True))


class Residual:
    """x + conv(relu(conv(relu(x))))."""

    def __init__(self, scope: Scope, size: int) -> None:
        self.convs = [Conv(scope / i, size, size, 3) for i in range(2)]

    def __call__(self, g: Graph, x: Any) -> Any:
        h = x
        for conv in self.convs:
            h = conv(g, g.activation(h, "relu"))
        return g.add(h, x)


class DepthHead:
    """Depth (b, h, w): the fused map at the size of the picture, down to one number.

    Args:
        most: metres that the largest number stands for; None: numbers have no unit.
    """

    def __init__(self, scope: Scope, fusion: int, inner: int, most: float | None) -> None:
        half = fusion // 2
        self.convs = [
            Conv(scope / 0, fusion, half, 3), Conv(scope / 1, half, inner, 3), Conv(scope / 2, inner, 1, 1)
        ]  # fmt: skip
        self.most = most

    def __call__(self, g: Graph, x: Any, size: tuple[int, int]) -> Any:
        x = g.resize(self.convs[0](g, x), *size, align_corners=True)
        x = self.convs[2](g, g.activation(self.convs[1](g, x), "relu"))
        x = g.activation(x, "relu") if self.most is None else g.scaled(g.activation(x, "sigmoid"), self.most)
        return g.reshape(x, g.batch, *size)
