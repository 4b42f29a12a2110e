"""SegFormer: overlapping patches, attention to a smaller map of keys, a depthwise convolution in each MLP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hearth.model.vision.layers import Attention, Conv, LayerNorm, Linear
from hearth.model.vision.parameters import Scope

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph

# Norms of torch's own epsilon, whatever the configuration says.
_EPS = 1e-5


@dataclass(frozen=True)
class SegformerConfig:
    """Attributes: of each stage: kernels and strides of its patches, channels, layers, heads, by how much the map of
    keys is smaller on a side, and the MLP's inner size as a multiple."""

    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    sizes: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    reductions: tuple[int, ...]
    mlp_ratios: tuple[int, ...]
    activation: str


class Segformer:
    """From a picture (b, h, w, 3) to the maps of all stages."""

    def __init__(self, scope: Scope, config: SegformerConfig) -> None:
        c = config
        self.stages: list[tuple[Conv, LayerNorm, list[Block], LayerNorm]] = []
        channels = 3
        for i, size in enumerate(c.sizes):
            self.stages.append(
                (
                    Conv(scope / "patches" / i / "conv", channels, size, c.kernels[i], stride=c.strides[i]),
                    LayerNorm(scope / "patches" / i / "norm", size, _EPS),
                    [Block(scope / "stages" / i / j, c, i) for j in range(c.depths[i])],
                    LayerNorm(scope / "norms" / i, size, _EPS),
                )
            )
            channels = size

    def __call__(self, g: Graph, pixels: Any) -> list[Any]:
        x, maps = pixels, []
        for patches, patch_norm, blocks, norm in self.stages:
            x = patch_norm(g, patches(g, x))
            for block in blocks:
                x = block(g, x)
            x = norm(g, x)
            maps.append(x)
        return maps


class Block:
    def __init__(self, scope: Scope, config: SegformerConfig, stage: int) -> None:
        size, reduction = config.sizes[stage], config.reductions[stage]
        inner = size * config.mlp_ratios[stage]
        self.activation = config.activation
        self.norm1 = LayerNorm(scope / "norm1", size, _EPS)
        self.reduce = None
        if reduction > 1:
            conv = Conv(scope / "reduce", size, size, reduction, stride=reduction, padding=(0, 0, 0, 0))
            self.reduce = conv, LayerNorm(scope / "reduce_norm", size, _EPS)
        self.attention = Attention(scope, size, config.heads[stage])
        self.norm2 = LayerNorm(scope / "norm2", size, _EPS)
        self.up = Linear(scope / "up", size, inner)
        self.depthwise = Conv(scope / "depthwise", inner, inner, 3, groups=inner)
        self.down = Linear(scope / "down", inner, size)

    def __call__(self, g: Graph, x: Any) -> Any:
        _, height, width, _ = g.shape(x)
        h = keys = self.norm1(g, x)
        if self.reduce is not None:
            conv, norm = self.reduce
            keys = norm(g, conv(g, h))
        h = self.attention(g, g.tokens(h), keys=g.tokens(keys))
        x = g.add(x, g.map(h, height, width))
        h = g.activation(self.depthwise(g, self.up(g, self.norm2(g, x))), self.activation)
        return g.add(x, self.down(g, h))


class DecodeHead:
    """All maps at the first one's size and with as many channels, joined: (b, h / 4, w / 4, labels)."""

    def __init__(self, scope: Scope, config: SegformerConfig, size: int, labels: int) -> None:
        self.linears = [Linear(scope / "linears" / i, channels, size) for i, channels in enumerate(config.sizes)]
        self.fuse = Conv(scope / "fuse", len(config.sizes) * size, size, 1, bias=False, norm=scope / "norm")
        self.classes = Conv(scope / "classes", size, labels, 1)

    def __call__(self, g: Graph, maps: list[Any]) -> Any:
        _, height, width, _ = g.shape(maps[0])
        same = [g.resize(linear(g, x), height, width) for linear, x in zip(self.linears, maps, strict=True)]
        return self.classes(g, g.activation(self.fuse(g, g.concat(same[::-1], 3)), "relu"))
