"""Swin: attention within windows that shift from layer to layer, maps that are halved between stages. Versions 1 and 2.

Version 2 compares directions only (cosine attention) and puts its norms behind the branches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hearth.model.vision.layers import F32, Conv, LayerNorm, Linear, Mlp
from hearth.model.vision.parameters import Scope
from hearth.model.vision.positions import relative_index, resized_table

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph

_BIAS_HIDDEN = 512
_MOST_LOGIT_SCALE = math.log(100.0)
_SHORTEST = 1e-12


@dataclass(frozen=True)
class SwinConfig:
    """Attributes:
    size: of the pictures; `trained`: the grid of patches that a table of absolute positions is for, if there is one.
    depths, heads: of each stage.
    mlp_ratio: of the inner size to the outer.
    pretrained_windows: version 2: the window of each stage that distances are scaled by; 0: its own.
    nominal: version 2: the grid that windows are chosen for; halved for each stage, rounding down.
    """

    size: tuple[int, int]
    patch: tuple[int, int]
    hidden: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int
    mlp_ratio: float
    activation: str
    eps: float
    qkv_bias: bool
    version: int
    nominal: tuple[int, int]
    trained: tuple[int, int] | None = None
    pretrained_windows: tuple[int, ...] = ()

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches; a part of a patch at the edge is one."""
        return -(-self.size[0] // self.patch[0]), -(-self.size[1] // self.patch[1])


class Swin:
    """From a picture (b, h, w, 3) to the map (b, h', w', c) of the last stage, after the last norm."""

    def __init__(self, scope: Scope, config: SwinConfig) -> None:
        c, (height, width) = config, config.grid
        # A part of a patch at the lower or right edge goes on with zeros.
        self.padding = (0, 0, height * c.patch[0] - c.size[0], width * c.patch[1] - c.size[1])
        self.patches = Conv(scope / "patches", 3, c.hidden, c.patch, stride=c.patch, padding=(0, 0, 0, 0))
        # The two norms beside the stages have torch's own epsilon.
        self.patch_norm = LayerNorm(scope / "patch_norm", c.hidden, 1e-5)
        self.places = None
        if c.trained is not None:
            grid, trained = c.grid, c.trained
            table = scope.stored("positions", math.prod(trained), c.hidden)
            self.places = scope.computed(
                "places", (1, height, width, c.hidden), (table,),
                lambda t: resized_table(t.reshape(*trained, -1), grid)[None],
            )  # fmt: skip
        self.stages = []
        size, dim = (height, width), c.hidden
        for i in range(len(c.depths)):
            stage = Stage(scope / "stages" / i, c, i, dim, size, last=i == len(c.depths) - 1)
            self.stages.append(stage)
            size, dim = stage.size_out, stage.dim_out
        self.channels = dim
        self.norm = LayerNorm(scope / "norm", dim, c.eps)

    def __call__(self, g: Graph, pixels: Any) -> Any:
        x = self.patch_norm(g, self.patches(g, g.pad(pixels, *self.padding)))
        if self.places:
            x = g.add(x, g.parameter(self.places))
        for stage in self.stages:
            x = stage(g, x)
        return self.norm(g, x)


class Stage:
    def __init__(
        self, scope: Scope, config: SwinConfig, index: int, dim: int, size: tuple[int, int], *, last: bool
    ) -> None:
        self.blocks = [
            Block(scope / "blocks" / i, config, index, dim, size, shifted=i % 2 == 1)
            for i in range(config.depths[index])
        ]
        self.merge = None if last else Merge(scope / "merge", dim, norm_first=config.version == 1)
        self.size_out = size if last else (-(-size[0] // 2), -(-size[1] // 2))
        self.dim_out = dim if last else 2 * dim

    def __call__(self, g: Graph, x: Any) -> Any:
        for block in self.blocks:
            x = block(g, x)
        return x if self.merge is None else self.merge(g, x)


class Merge:
    """Four neighbours become one place of twice the channels."""

    def __init__(self, scope: Scope, dim: int, *, norm_first: bool) -> None:
        self.norm_first = norm_first
        self.norm = LayerNorm(scope / "norm", 4 * dim if norm_first else 2 * dim, 1e-5)
        self.reduction = Linear(scope / "reduction", 4 * dim, 2 * dim, bias=False)

    def __call__(self, g: Graph, x: Any) -> Any:
        _, height, width, _ = g.shape(x)
        x = g.pad(x, 0, 0, height % 2, width % 2)
        height, width = height + height % 2, width + width % 2
        rows = [g.slice(x, 1, i, height, 2) for i in (0, 1)]
        x = g.concat([g.slice(rows[i], 2, j, width, 2) for j in (0, 1) for i in (0, 1)], 3)
        return self.reduction(g, self.norm(g, x)) if self.norm_first else self.norm(g, self.reduction(g, x))


class Block:
    """Attention within windows, then an MLP, each around a residual; the norm before (1) or behind it (2)."""

    def __init__(
        self, scope: Scope, config: SwinConfig, index: int, dim: int, size: tuple[int, int], *, shifted: bool
    ) -> None:
        c = self.config = config
        if c.version == 2:
            size = c.nominal[0] >> index, c.nominal[1] >> index
        # A map no larger than a window is one window, and nothing is left to shift.
        self.window = min(c.window, *size)
        self.shift = c.window // 2 if shifted and min(size) > c.window else 0
        self.attention = WindowAttention(scope, c, index, dim, self.window, self.shift)
        self.norm1 = LayerNorm(scope / "norm1", dim, c.eps)
        self.norm2 = LayerNorm(scope / "norm2", dim, c.eps)
        self.mlp = Mlp(scope, dim, int(c.mlp_ratio * dim), c.activation)

    def __call__(self, g: Graph, x: Any) -> Any:
        if self.config.version == 1:
            x = g.add(x, self.windows(g, self.norm1(g, x)))
            return g.add(x, self.mlp(g, self.norm2(g, x)))
        x = g.add(x, self.norm1(g, self.windows(g, x)))
        return g.add(x, self.norm2(g, self.mlp(g, x)))

    def windows(self, g: Graph, x: Any) -> Any:
        """Attention on a map that is padded to whole windows, cut back afterwards."""
        _, height, width, _ = g.shape(x)
        x = self.attention(g, g.pad(x, 0, 0, -height % self.window, -width % self.window))
        return g.slice(g.slice(x, 1, 0, height), 2, 0, width)


class WindowAttention:
    def __init__(self, scope: Scope, config: SwinConfig, index: int, dim: int, window: int, shift: int) -> None:
        self.heads = heads = config.heads[index]
        self.window, self.shift, self.dim = (window, window), (shift, shift), dim
        self.cosine = config.version == 2
        bias = config.qkv_bias
        self.q = Linear(scope / "q", dim, dim, bias=bias)
        self.k = Linear(scope / "k", dim, dim, bias=bias and not self.cosine)
        self.v = Linear(scope / "v", dim, dim, bias=bias)
        self.o = Linear(scope / "o", dim, dim)
        area = window * window
        distances = (2 * window - 1) ** 2
        rows = relative_index((window, window)).reshape(-1)

        def expanded(table: F32) -> F32:
            return np.ascontiguousarray(table[rows].reshape(area, area, heads).transpose(2, 0, 1))

        if not self.cosine:
            stored = scope.stored("bias_table", distances, heads)
            self.bias = scope.computed("bias", (heads, area, area), (stored,), expanded)
            return
        head = dim // heads
        self.ones = scope.constant("direction", np.full(head, head**-0.5, np.float32))
        self.logit_scale = scope.computed(
            "logit_scale", (dim,), (scope.stored("logit_scale", heads),),
            lambda s: np.repeat(np.exp(np.minimum(s, _MOST_LOGIT_SCALE)), head),
        )  # fmt: skip
        places = _scaled_distances(window, config.pretrained_windows[index])
        mlp = [scope / "bias_mlp" / i for i in (0, 2)]
        tensors = (
            mlp[0].stored("weight", _BIAS_HIDDEN, 2), mlp[0].stored("bias", _BIAS_HIDDEN),
            mlp[1].stored("weight", heads, _BIAS_HIDDEN),
        )  # fmt: skip

        def continuous(w0: F32, b0: F32, w1: F32) -> F32:
            hidden = np.maximum(places.astype(np.float64) @ w0.T.astype(np.float64) + b0, 0)
            table = 16 / (1 + np.exp(-(hidden @ w1.T.astype(np.float64))))
            return expanded(table.astype(np.float32))

        self.bias = scope.computed("bias", (heads, area, area), tensors, continuous)

    def __call__(self, g: Graph, x: Any) -> Any:
        q, k, v = self.q(g, x), self.k(g, x), self.v(g, x)
        scale = (self.dim // self.heads) ** -0.5
        if self.cosine:
            q, k, scale = g.multiply(self.direction(g, q), g.parameter(self.logit_scale)), self.direction(g, k), 1.0
        x = g.window_attention(
            q, k, v, self.bias, num_heads=self.heads, scale=scale, window=self.window, shift=self.shift
        )
        return self.o(g, x)

    def direction(self, g: Graph, x: Any) -> Any:
        """Each head's vector divided by its length."""
        _, height, width, _ = g.shape(x)
        head = self.dim // self.heads
        split = g.reshape(x, g.batch, height, width, self.heads, head)
        return g.reshape(g.rms_norm(split, self.ones, _SHORTEST**2 / head), g.batch, height, width, self.dim)


def _scaled_distances(window: int, pretrained: int) -> F32:
    """All distances within a window as version 2 sees them, on a scale of logarithms: ((2w - 1)^2, 2)."""
    steps = np.arange(-(window - 1), window) / max((pretrained or window) - 1, 1) * 8
    steps = np.sign(steps) * np.log2(np.abs(steps) + 1) / math.log2(8)
    return np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2).astype(np.float32)
