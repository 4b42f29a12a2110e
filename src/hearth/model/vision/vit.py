"""Vision transformers whose tokens are patches: ViT, DeiT, DINOv2 and v3, YOLOS, image towers of CLIP and SigLIP."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hearth.model.vision.layers import Attention, Conv, LayerNorm, Mlp
from hearth.model.vision.parameters import Scope, Stored
from hearth.model.vision.positions import resized_table

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class VitConfig:
    """One trunk. The defaults describe ViT.

    Attributes:
        size: of the pictures that it is made for here: height and width in pixels.
        trained: grid of patches that its position table is for.
        prefix: tokens before the patches, by name; those named in `placed` have rows in the position table, which are
            its first.
        suffix: tokens after the patches, as a name and their number, whose rows are the table's last (YOLOS).
        registers: how many tokens `register_tokens` has, which stand after the other prefix tokens.
        table: the model has a table of positions; a class token's row is its first.
        antialias: the table is made smaller with a wider kernel.
        mid_positions: positions are added again after each layer but the last, from tables of their own (YOLOS).
        rope_theta: patches are rotated by where they are (DINOv3); None: they are not.
        biases: which of q, k, v and o have one; `mlp_bias`: whether the MLP's layers have.
        layer_scale: what each branch gives is multiplied by a vector.
        pre_norm: a norm before the first layer (CLIP).
    """

    size: tuple[int, int]
    patch: tuple[int, int]
    hidden: int
    heads: int
    layers: int
    inner: int
    trained: tuple[int, int]
    activation: str = "gelu"
    eps: float = 1e-12
    prefix: tuple[str, ...] = ("cls_token",)
    placed: tuple[str, ...] = ("cls_token",)
    suffix: int = 0
    registers: int = 0
    table: bool = True
    antialias: bool = False
    mid_positions: bool = False
    rope_theta: float | None = None
    biases: str = "qkvo"
    mlp_bias: bool = True
    gated: bool = False
    layer_scale: bool = False
    pre_norm: bool = False
    patch_bias: bool = True

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.size[0] // self.patch[0], self.size[1] // self.patch[1]

    @property
    def num_prefix(self) -> int:
        return len(self.prefix) + self.registers

    @property
    def num_patches(self) -> int:
        return self.grid[0] * self.grid[1]

    @property
    def tokens(self) -> int:
        return self.num_prefix + self.num_patches + self.suffix


class Block:
    """Pre-norm: x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(
        self, scope: Scope, hidden: int, heads: int, inner: int, activation: str, eps: float, *, biases: str = "qkvo",
        mlp_bias: bool = True, gated: bool = False, layer_scale: bool = False,
    ) -> None:  # fmt: skip
        scales = [scope.stored(f"scale{i}", hidden) if layer_scale else None for i in (1, 2)]
        self.norm1 = LayerNorm(scope / "norm1", hidden, eps)
        self.attention = Attention(scope, hidden, heads, biases=biases, scale=scales[0])
        self.norm2 = LayerNorm(scope / "norm2", hidden, eps)
        self.mlp = Mlp(scope, hidden, inner, activation, gated=gated, bias=mlp_bias, scale=scales[1])

    def __call__(self, g: Graph, x: Any, *, bias: str | None = None, rotation: Rotation | None = None) -> Any:
        h = self.norm1(g, x)
        if rotation is None:
            h = self.attention(g, h, bias=bias)
        else:
            a = self.attention
            q, k = (rotation(g, linear(g, h), a.heads) for linear in (a.q, a.k))
            h = a.o(g, a.mix(g, q, k, a.v(g, h), bias))
        x = g.add(x, h)
        return g.add(x, self.mlp(g, self.norm2(g, x)))


class Rotation:
    """DINOv3's rotary positions: an angle for the row and one for the column of each patch; other tokens stay."""

    def __init__(self, scope: Scope, config: VitConfig, theta: float) -> None:
        quarter = config.hidden // config.heads // 4
        frequency = 1 / theta ** np.linspace(0, 1, quarter, endpoint=False)
        centres = [2 * (np.arange(n) + 0.5) / n - 1 for n in config.grid]
        places = np.stack(np.meshgrid(*centres, indexing="ij"), -1).reshape(-1, 2, 1)
        patches = (2 * math.pi * places * frequency).reshape(-1, 2 * quarter)
        angles = np.zeros((config.tokens, 2 * quarter))
        angles[config.num_prefix : config.num_prefix + config.num_patches] = patches
        self.cos = scope.constant("rotary_cos", np.cos(angles).astype(np.float32))
        self.sin = scope.constant("rotary_sin", np.sin(angles).astype(np.float32))

    def __call__(self, g: Graph, x: Any, heads: int) -> Any:
        return g.rotary(x, g.parameter(self.cos), g.parameter(self.sin), num_heads=heads)


class Vit:
    """From a picture (b, h, w, 3) to tokens (b, prefix + patches + suffix, hidden), after the last norm."""

    def __init__(self, scope: Scope, config: VitConfig, *, last_norm: bool = True) -> None:
        c = self.config = config
        self.patches = Conv(
            scope / "patches", 3, c.hidden, c.patch, stride=c.patch, padding=(0, 0, 0, 0), bias=c.patch_bias
        )
        named = tuple(scope.stored(name, c.hidden) for name in c.prefix)
        if c.registers:
            named += (scope.stored("register_tokens", c.registers, c.hidden),)
        table = (self._table(scope, "positions"),) if c.table else ()
        self.prefix = self._tokens(scope, "prefix", named, table, self._add_prefix) if named else None
        self.places = (
            scope.computed("places", (1, c.num_patches, c.hidden), table, self._patch_rows) if c.table else None
        )
        self.suffix = None
        if c.suffix:
            tokens = (scope.stored("suffix_tokens", c.suffix, c.hidden),)
            self.suffix = scope.computed(
                "suffix", (1, c.suffix, c.hidden), (*tokens, *table),
                lambda tokens, table: (tokens + table[-c.suffix :])[None],
            )  # fmt: skip
        self.mid: list[str] = []
        if c.mid_positions:
            stored = Stored(scope.name("mid_positions"), (c.layers - 1, self._num_placed, c.hidden))
            self.mid = [
                scope.computed(f"mid.{i}", (1, c.tokens, c.hidden), (stored,), lambda t, i=i: self._whole(t[i]))
                for i in range(c.layers - 1)
            ]
        self.pre_norm = LayerNorm(scope / "pre_norm", c.hidden, c.eps) if c.pre_norm else None
        self.rotation = None if c.rope_theta is None else Rotation(scope, c, c.rope_theta)
        self.blocks = [
            Block(
                scope / "layers" / i, c.hidden, c.heads, c.inner, c.activation, c.eps, biases=c.biases,
                mlp_bias=c.mlp_bias, gated=c.gated, layer_scale=c.layer_scale,
            )
            for i in range(c.layers)
        ]  # fmt: skip
        self.norm = LayerNorm(scope / "norm", c.hidden, c.eps) if last_norm else None

    @property
    def _num_placed(self) -> int:
        """Rows of the position table."""
        return len(self.config.placed) + math.prod(self.config.trained) + self.config.suffix

    def _table(self, scope: Scope, name: str) -> Stored:
        return scope.stored(name, self._num_placed, self.config.hidden)

    def _tokens(self, scope: Scope, name: str, tokens: tuple[Stored, ...], table: tuple[Stored, ...], how: Any) -> str:
        shape = (1, self.config.num_prefix, self.config.hidden)
        return scope.computed(name, shape, (*tokens, *table), how)

    def _add_prefix(self, *tensors: F32) -> F32:
        """The tokens before the patches, with their positions."""
        c = self.config
        tokens = np.concatenate([t.reshape(-1, c.hidden) for t in tensors[: len(tensors) - c.table]])
        if c.table:
            tokens[: len(c.placed)] += tensors[-1][: len(c.placed)]
        return tokens[None]

    def _patch_rows(self, table: F32) -> F32:
        """The positions of the patches, for this size of pictures: (1, patches, hidden)."""
        c = self.config
        first = len(c.placed)
        trained = table[first : first + math.prod(c.trained)].reshape(*c.trained, c.hidden)
        return resized_table(trained, c.grid, antialias=c.antialias).reshape(1, -1, c.hidden)

    def _whole(self, table: F32) -> F32:
        """The positions of all tokens: (1, tokens, hidden)."""
        c = self.config
        ends = table[None, : len(c.placed)], table[None, len(table) - c.suffix :]
        return np.concatenate([ends[0], self._patch_rows(table), ends[1]], 1)

    def embed(self, g: Graph, pixels: Any) -> Any:
        x = g.tokens(self.patches(g, pixels))
        if self.places:
            x = g.add(x, g.parameter(self.places))
        parts = [g.repeated(self.prefix)] if self.prefix else []
        parts.append(x)
        if self.suffix:
            parts.append(g.repeated(self.suffix))
        x = g.concat(parts, 1)
        return x if self.pre_norm is None else self.pre_norm(g, x)

    def layers(self, g: Graph, pixels: Any) -> list[Any]:
        """The tokens that go into the first layer, then those that come out of each; no last norm."""
        x = self.embed(g, pixels)
        states = [x]
        for i, block in enumerate(self.blocks):
            x = block(g, x, rotation=self.rotation)
            if i < len(self.mid):
                x = g.add(x, g.parameter(self.mid[i]))
            states.append(x)
        return states

    def __call__(self, g: Graph, pixels: Any) -> Any:
        x = self.layers(g, pixels)[-1]
        return x if self.norm is None else self.norm(g, x)

    def patch_tokens(self, g: Graph, x: Any) -> Any:
        """Of all tokens those of the patches."""
        return g.slice(x, 1, self.config.num_prefix, self.config.num_prefix + self.config.num_patches)
