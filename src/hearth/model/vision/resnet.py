"""ResNet: residual blocks of convolutions with batch norm, a map half as large in each stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hearth.model.vision.layers import Conv
from hearth.model.vision.parameters import Scope

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph


@dataclass(frozen=True)
class ResNetConfig:
    """Attributes:
    stem, sizes, depths: channels after the first convolutions; channels and blocks of each stage.
    bottleneck: blocks of three convolutions, the inner ones on a quarter of the channels; otherwise of two.
    stride_first: a bottleneck is halved by its first convolution, not by its second.
    halve_first: the first stage halves the map too.
    deep_stem: three convolutions of 3 x 3 instead of one of 7 x 7, and what goes around a block that halves is
        averaged (ResNet-D).
    """

    stem: int
    sizes: tuple[int, ...]
    depths: tuple[int, ...]
    activation: str = "relu"
    bottleneck: bool = True
    stride_first: bool = False
    halve_first: bool = False
    deep_stem: bool = False


class ResNet:
    """From a picture (b, h, w, 3) to the maps of all stages."""

    def __init__(self, scope: Scope, config: ResNetConfig) -> None:
        c = self.config = config
        if c.deep_stem:
            half = c.stem // 2
            widths = [(3, half, 2), (half, half, 1), (half, c.stem, 1)]
            self.stem = [
                ConvNorm(scope / "stem" / i, a, b, 3, stride=stride) for i, (a, b, stride) in enumerate(widths)
            ]
        else:
            self.stem = [ConvNorm(scope / "stem", 3, c.stem, 7, stride=2)]
        self.stages = []
        channels = c.stem
        for i, (size, depth) in enumerate(zip(c.sizes, c.depths, strict=True)):
            strides = [2 if i or c.halve_first else 1] + [1] * (depth - 1)
            self.stages.append(
                [
                    Block(scope / "stages" / i / j, c, size if j else channels, size, stride)
                    for j, stride in enumerate(strides)
                ]
            )
            channels = size

    def __call__(self, g: Graph, pixels: Any) -> list[Any]:
        x = pixels
        for conv in self.stem:
            x = g.activation(conv(g, x), self.config.activation)
        x = g.max_pool(x, 3, 2, 1)
        maps = []
        for blocks in self.stages:
            for block in blocks:
                x = block(g, x)
            maps.append(x)
        return maps


class ConvNorm(Conv):
    """A convolution without bias, followed by a batch norm."""

    def __init__(self, scope: Scope, c_in: int, c_out: int, kernel: int, **how: Any) -> None:
        super().__init__(scope / "conv", c_in, c_out, kernel, bias=False, norm=scope / "norm", **how)


class Block:
    def __init__(self, scope: Scope, config: ResNetConfig, c_in: int, c_out: int, stride: int) -> None:
        self.activation = config.activation
        if config.bottleneck:
            inner, first = c_out // 4, config.stride_first
            self.convs = [
                ConvNorm(scope / 0, c_in, inner, 1, stride=stride if first else 1),
                ConvNorm(scope / 1, inner, inner, 3, stride=1 if first else stride),
                ConvNorm(scope / 2, inner, c_out, 1),
            ]
        else:
            self.convs = [ConvNorm(scope / 0, c_in, c_out, 3, stride=stride), ConvNorm(scope / 1, c_out, c_out, 3)]
        # A basic block of ResNet-D averages where its channels change, a bottleneck where it halves the map.
        halves = stride == 2 if config.bottleneck else c_in != c_out
        self.averages = config.deep_stem and halves
        needed = c_in != c_out or stride != 1 or (config.deep_stem and not config.bottleneck and _is_first(scope))
        self.around = (
            ConvNorm(scope / "around", c_in, c_out, 1, stride=1 if self.averages else stride) if needed else None
        )

    def __call__(self, g: Graph, x: Any) -> Any:
        around = g.avg_pool(x, 2, 2, ceil=True) if self.averages else x
        if self.around is not None:
            around = self.around(g, around)
        for conv in self.convs[:-1]:
            x = g.activation(conv(g, x), self.activation)
        return g.activation(g.add(self.convs[-1](g, x), around), self.activation)


def _is_first(scope: Scope) -> bool:
    """Whether a block is the first of its stage."""
    return scope.path.endswith(".0")
