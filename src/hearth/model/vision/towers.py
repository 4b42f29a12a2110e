"""Models of two towers, one for pictures and one for texts, whose vectors are near where both mean the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hearth.model.network import Function, Input
from hearth.model.vision.layers import F32, LayerNorm, Linear, Mlp
from hearth.model.vision.parameters import Declarations, Scope
from hearth.model.vision.part import Part
from hearth.model.vision.vit import Block, Vit, VitConfig

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph

_MASKED = -1e9


@dataclass(frozen=True)
class TextConfig:
    """A text tower: a transformer of pre-norm layers over texts of one length.

    Attributes:
        causal: a token sees only those before it.
        last: a text is read at its last token; otherwise where the input `pooling` says.
    """

    vocab: int
    length: int
    hidden: int
    heads: int
    layers: int
    inner: int
    activation: str
    eps: float
    causal: bool
    last: bool


class Projected:
    """CLIP's image tower: the class token, normalised and projected."""

    def __init__(self, scope: Scope, config: VitConfig, size: int | None) -> None:
        self.trunk = Vit(scope, config, last_norm=False)
        self.norm = LayerNorm(scope / "norm", config.hidden, config.eps)
        self.projection = None if size is None else Linear(scope / "projection", config.hidden, size, bias=False)

    def __call__(self, g: Graph, pixels: Any) -> list[Any]:
        x = self.norm(g, g.row(self.trunk(g, pixels), 0))
        return [g.normalized(x if self.projection is None else self.projection(g, x))]


class Probed:
    """SigLIP's image tower: a learned query attends to all patches."""

    def __init__(self, scope: Scope, config: VitConfig) -> None:
        c = config
        self.size, self.heads = c.hidden, c.heads
        self.trunk = Vit(scope, c)
        head = scope / "head"
        # The query is always the same, so what its projection makes of it is too.
        q = head / "q"
        tensors = (
            head.stored("probe", 1, c.hidden),
            q.stored("weight", c.hidden, c.hidden),
            q.stored("bias", c.hidden),
        )
        self.query = head.computed("query", (1, 1, c.hidden), tensors, _projected)
        self.k, self.v, self.o = (Linear(head / name, c.hidden, c.hidden) for name in "kvo")
        self.norm = LayerNorm(head / "norm", c.hidden, c.eps)
        self.mlp = Mlp(head, c.hidden, c.inner, c.activation)

    def __call__(self, g: Graph, pixels: Any) -> list[Any]:
        x = self.trunk(g, pixels)
        k, v, scale = self.k(g, x), self.v(g, x), (self.size // self.heads) ** -0.5
        x = self.o(g, g.attention(g.repeated(self.query), k, v, num_heads=self.heads, scale=scale))
        x = g.add(x, self.mlp(g, self.norm(g, x)))
        return [g.normalized(g.row(x, 0))]


def _projected(probe: F32, weight: F32, bias: F32) -> F32:
    return (probe @ weight.T + bias)[None]


def text_tower(config: TextConfig, *, size: int, bias: bool) -> Part:
    """The function `text`: embedding (texts, d), of length 1.

    Inputs: token_ids i32 (texts, length); unless the last token is read, pooling f32 (texts, length): what a text's
    vector takes of each token, 1 for one of them.

    Args:
        size: of the vectors; bias: whether their projection has one.
    """
    c = config
    declarations = Declarations()
    scope = Scope(declarations, "text")
    embed = scope.tensor("embed", c.vocab, c.hidden, role="head")
    positions = scope.computed(
        "positions",
        (1, c.length, c.hidden),
        (scope.stored("positions", c.length, c.hidden),),
        lambda table: table[None],
    )
    future = None
    if c.causal:
        future = scope.constant("future", np.triu(np.full((1, 1, c.length, c.length), _MASKED, np.float32), 1))
    blocks = [Block(scope / "layers" / i, c.hidden, c.heads, c.inner, c.activation, c.eps) for i in range(c.layers)]
    norm = LayerNorm(scope / "norm", c.hidden, c.eps)
    projection = Linear(scope / "projection", c.hidden, size, bias=bias)

    def write(g: Graph) -> list[Any]:
        x = g.add(g.take(g.parameter(embed), g.inputs["token_ids"], 0), g.parameter(positions))
        for block in blocks:
            x = block(g, x, bias=future)
        if c.last:
            x = norm(g, g.row(x, c.length - 1))
        else:
            weights = g.reshape(g.inputs["pooling"], g.batch, c.length, 1)
            x = norm(g, g.sum(g.multiply(x, weights), [1]))
        return [g.normalized(projection(g, x))]

    inputs = [Input("token_ids", "int32", low=0, high=c.vocab - 1)]
    shapes = {"token_ids": (c.length,)}
    if not c.last:
        inputs.append(Input("pooling", "float32"))
        shapes["pooling"] = (c.length,)
    return Part(Function("text", tuple(inputs), ("embedding",)), "texts", shapes, declarations, write)
