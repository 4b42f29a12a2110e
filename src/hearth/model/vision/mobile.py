"""Networks of inverted residual blocks: EfficientNet, and MobileViT, which mixes transformers in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hearth.model.vision.layers import Conv, LayerNorm
from hearth.model.vision.parameters import Scope
from hearth.model.vision.vit import Block as TransformerBlock

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph


class ConvNorm:
    """A convolution without bias, a batch norm and an activation."""

    def __init__(
        self, scope: Scope, c_in: int, c_out: int, kernel: int, activation: str, *, eps: float = 1e-5, **how: Any
    ) -> None:
        self.conv = Conv(scope / "conv", c_in, c_out, kernel, bias=False, norm=scope / "norm", eps=eps, **how)
        self.activation = activation

    def __call__(self, g: Graph, x: Any) -> Any:
        return g.activation(self.conv(g, x), self.activation)


@dataclass(frozen=True)
class InvertedConfig:
    """One inverted residual block.

    Attributes:
        inner: channels between its two ends; the same as `c_in`: no first convolution, unless `expands`.
        squeeze: channels of squeeze and excitation; None: there is none.
        padding: top, left, bottom, right of the depthwise convolution; None: half the kernel.
        residual: the block's input is added to what comes out.
    """

    c_in: int
    c_out: int
    inner: int
    kernel: int
    stride: int
    expands: bool
    residual: bool
    squeeze: int | None = None
    padding: tuple[int, int, int, int] | None = None


class Inverted:
    """Wider, a depthwise convolution, channels weighed, narrower."""

    def __init__(self, scope: Scope, config: InvertedConfig, activation: str, eps: float) -> None:
        c = self.config = config
        self.expand = ConvNorm(scope / "expand", c.c_in, c.inner, 1, activation, eps=eps) if c.expands else None
        self.depthwise = ConvNorm(
            scope / "depthwise", c.inner, c.inner, c.kernel, activation, stride=c.stride, groups=c.inner,
            padding=c.padding, eps=eps,
        )  # fmt: skip
        self.squeeze = None if c.squeeze is None else Squeeze(scope / "squeeze", c.inner, c.squeeze, activation)
        self.reduce = ConvNorm(scope / "reduce", c.inner, c.c_out, 1, "none", eps=eps)

    def __call__(self, g: Graph, x: Any) -> Any:
        h = x if self.expand is None else self.expand(g, x)
        h = self.depthwise(g, h)
        if self.squeeze is not None:
            h = self.squeeze(g, h)
        h = self.reduce(g, h)
        return g.add(h, x) if self.config.residual else h


class Squeeze:
    """Squeeze and excitation: channels weighed by what their means say."""

    def __init__(self, scope: Scope, size: int, inner: int, activation: str) -> None:
        self.reduce = Conv(scope / "reduce", size, inner, 1)
        self.expand = Conv(scope / "expand", inner, size, 1)
        self.activation = activation

    def __call__(self, g: Graph, x: Any) -> Any:
        h = g.activation(self.reduce(g, g.mean(x, [1, 2], keep=True)), self.activation)
        return g.multiply(x, g.activation(self.expand(g, h), "sigmoid"))


@dataclass(frozen=True)
class EfficientNetConfig:
    """Attributes:
    stem_padding: top, left, bottom, right of the first convolution; None: half the kernel. By default what is left over
        of a picture of even size stands at its lower right.
    """

    stem: int
    blocks: tuple[InvertedConfig, ...]
    top: int
    activation: str
    eps: float
    stem_padding: tuple[int, int, int, int] | None = (0, 0, 1, 1)


class EfficientNet:
    """From a picture (b, h, w, 3) to the last map."""

    def __init__(self, scope: Scope, config: EfficientNetConfig) -> None:
        c = config
        self.stem = ConvNorm(scope / "stem", 3, c.stem, 3, c.activation, eps=c.eps, stride=2, padding=c.stem_padding)
        self.blocks = [Inverted(scope / "blocks" / i, block, c.activation, c.eps) for i, block in enumerate(c.blocks)]
        self.top = ConvNorm(scope / "top", c.blocks[-1].c_out, c.top, 1, c.activation, eps=c.eps)

    def __call__(self, g: Graph, pixels: Any) -> Any:
        x = self.stem(g, pixels)
        for block in self.blocks:
            x = block(g, x)
        return self.top(g, x)


@dataclass(frozen=True)
class MobileVitConfig:
    """Attributes:
    necks: channels of the stem, of the five stages, and of the last convolution.
    hidden: sizes of the transformers in the last three stages.
    """

    necks: tuple[int, ...]
    hidden: tuple[int, ...]
    heads: int
    expand: float
    mlp_ratio: float
    patch: int
    kernel: int
    activation: str
    eps: float
    qkv_bias: bool


_BLOCKS, _LAYERS = (1, 3), (2, 4, 3)
"""Inverted blocks of the first two stages, layers of the transformers in the last three."""


class MobileVit:
    """From a picture (b, h, w, 3) to the last map.

    Args:
        top: with the last convolution, which widens.
    """

    def __init__(self, scope: Scope, config: MobileVitConfig, *, top: bool) -> None:
        c = config
        self.stem = ConvNorm(scope / "stem", 3, c.necks[0], 3, c.activation, stride=2)
        self.stages: list[Inverted | MobileVitBlock] = []
        channels = c.necks[0]
        for i, count in enumerate(_BLOCKS):
            for j in range(count):
                stride = 2 if i and j == 0 else 1
                block = _inverted(c, channels, c.necks[1 + i], stride)
                self.stages.append(Inverted(scope / "stages" / i / j, block, c.activation, 1e-5))
                channels = c.necks[1 + i]
        for i, layers in enumerate(_LAYERS, len(_BLOCKS)):
            self.stages.append(MobileVitBlock(scope / "stages" / i, c, channels, i, layers))
            channels = c.necks[1 + i]
        self.top = ConvNorm(scope / "top", channels, c.necks[-1], 1, c.activation) if top else None

    def __call__(self, g: Graph, pixels: Any) -> Any:
        x = self.stem(g, pixels)
        for stage in self.stages:
            x = stage(g, x)
        return x if self.top is None else self.top(g, x)


def _inverted(config: MobileVitConfig, c_in: int, c_out: int, stride: int) -> InvertedConfig:
    inner = eighths(round(c_in * config.expand))
    return InvertedConfig(c_in, c_out, inner, 3, stride, expands=True, residual=stride == 1 and c_in == c_out)


def eighths(size: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor` that is at least nine tenths of a size."""
    rounded = max(divisor, int(size + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * size else rounded


class MobileVitBlock:
    """A map half as large, in which places at the same spot of all patches attend to each other."""

    def __init__(self, scope: Scope, config: MobileVitConfig, c_in: int, stage: int, layers: int) -> None:
        c, c_out = config, config.necks[1 + stage]
        size = c.hidden[stage - len(_BLOCKS)]
        self.patch = c.patch
        self.halve = Inverted(scope / "halve", _inverted(c, c_in, c_out, 2), c.activation, 1e-5)
        self.local = ConvNorm(scope / "local", c_out, c_out, c.kernel, c.activation)
        self.widen = Conv(scope / "widen", c_out, size, 1, bias=False)
        self.layers = [
            TransformerBlock(
                scope / "layers" / i, size, c.heads, int(size * c.mlp_ratio), c.activation, c.eps,
                biases="qkvo" if c.qkv_bias else "o",
            )
            for i in range(layers)
        ]  # fmt: skip
        self.norm = LayerNorm(scope / "norm", size, c.eps)
        self.narrow = ConvNorm(scope / "narrow", size, c_out, 1, c.activation)
        self.fuse = ConvNorm(scope / "fuse", 2 * c_out, c_out, c.kernel, c.activation)

    def __call__(self, g: Graph, x: Any) -> Any:
        x = self.halve(g, x)
        h = self.widen(g, self.local(g, x))
        _, height, width, size = g.shape(h)
        rows, columns, p = -(-height // self.patch), -(-width // self.patch), self.patch
        h = g.resize(h, rows * p, columns * p)
        h = g.permute(g.reshape(h, g.batch, rows, p, columns, p, size), 0, 2, 4, 1, 3, 5)
        h = g.reshape(h, g.batch * (p * p), rows * columns, size)
        for layer in self.layers:
            h = layer(g, h)
        h = g.reshape(self.norm(g, h), g.batch, p, p, rows, columns, size)
        h = g.reshape(g.permute(h, 0, 3, 1, 4, 2, 5), g.batch, rows * p, columns * p, size)
        h = self.narrow(g, g.resize(h, height, width))
        return self.fuse(g, g.concat([x, h], 3))
