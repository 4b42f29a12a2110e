"""The towers of Qwen2-VL and Qwen2.5-VL: a vision transformer over the patches of a picture of any size, rotated by row
and column, whose layers look at windows or at everything; squares of its tokens become embeddings.

What it takes is laid out where the model runs (`tile_shapes.PatchGrid`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hearth.model.network import Function, Input
from hearth.model.vision.layers import F32, Attention, LayerNorm, Linear, Mlp, RmsNorm
from hearth.model.vision.parameters import Declarations, Scope
from hearth.model.vision.part import Part
from hearth.model.vlm.model import FUNCTION
from hearth.model.vlm.tile_shapes import EMBEDDINGS, PIXELS, PLACES, SQUARES, WINDOW_TILES, WINDOWS, PatchGrid

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph


@dataclass(frozen=True)
class PatchTowerConfig:
    """One tower.

    Attributes:
        grid: what it takes.
        frames: pictures of a film that a patch spans; a still one counts for all of them.
        split_frames: the weights of each frame are a tensor of their own.
        inner: size of the MLP between.
        out: size of an embedding.
        whole: layers that look at everything; the others look at windows.
        rms: norms are of the root mean square.
    """

    grid: PatchGrid
    frames: int
    hidden: int
    heads: int
    layers: int
    inner: int
    out: int
    whole: frozenset[int]
    activation: str
    gated: bool
    rms: bool
    eps: float = 1e-6
    rope_theta: float = 10000.0
    split_frames: bool = False


def patch_tower(config: PatchTowerConfig) -> Part:
    """The function `image`: from what `PatchGrid.inputs` gives to embeddings f32 (squares, out)."""
    c, grid = config, config.grid
    declarations = Declarations()
    tower = _Tower(Scope(declarations, "image"), c)
    shapes: dict[str, tuple[int | str, ...]] = {SQUARES: ("squares", grid.square**2)}
    inputs = [
        Input(PIXELS, "float32"),
        Input(PLACES, "int32"),
        Input(SQUARES, "int32", 0, ("patches", -1)),
    ]
    sizes = {"squares": (1, grid.most_rows)}
    if len(c.whole) < c.layers:
        # A window has at least one square, and at most one tile that is not full.
        most_tiles = grid.most_patches // grid.tile_tokens + grid.most_rows
        inputs += [
            Input(WINDOWS, "int32", 0, ("patches", 0), ascending=True),
            Input(WINDOW_TILES, "int32", 0, ("patches", -1)),
        ]
        shapes |= {WINDOWS: ("window_borders",), WINDOW_TILES: ("window_tiles", 2)}
        sizes |= {"window_borders": (2, grid.most_rows + 1), "window_tiles": (1, most_tiles)}
    return Part(
        Function(FUNCTION, tuple(inputs), (EMBEDDINGS,)),
        "patches",
        {PIXELS: (grid.patch**2 * 3,), PLACES: (2,)},
        declarations,
        lambda g: [tower(g)],
        most=grid.most_patches,
        fixed_shapes=shapes,
        sizes=sizes,
    )


class _Tower:
    def __init__(self, scope: Scope, config: PatchTowerConfig) -> None:
        c = self.config = config
        norm = RmsNorm if c.rms else LayerNorm
        self.patches = self._patches(scope / "patches")
        quarter = c.hidden // c.heads // 4
        periods = np.float32(c.rope_theta) ** (np.arange(quarter, dtype=np.float32) / np.float32(quarter))
        self.frequencies = scope.constant("frequencies", np.tile(np.float32(1) / periods, 2))
        self.axes = (0,) * quarter + (1,) * quarter  # by row and by column
        self.blocks = [_Block(scope / "layers" / i, c, norm, in_windows=i not in c.whole) for i in range(c.layers)]
        self.norm = norm(scope / "norm", c.hidden, c.eps)
        joined = c.hidden * c.grid.square**2
        self.first = Linear(scope / "projector" / "first", joined, joined)
        self.second = Linear(scope / "projector" / "second", joined, c.out)

    def _patches(self, scope: Scope) -> str:
        c, p = self.config, self.config.grid.patch
        names = [f"frame{i}" for i in range(c.frames)] if c.split_frames else ["weight"]
        depth = () if c.split_frames else (c.frames,)
        stored = tuple(scope.stored(name, c.hidden, 3, *depth, p, p) for name in names)

        def of_a_still_picture(*frames: F32) -> F32:
            kernel: F32 = np.stack(frames, 2) if c.split_frames else frames[0]
            kernel = kernel.sum(axis=2, dtype=np.float32)
            return np.ascontiguousarray(kernel.transpose(0, 2, 3, 1)).reshape(c.hidden, -1)

        return scope.computed("weight", (c.hidden, p * p * 3), stored, of_a_still_picture, role="body")

    def __call__(self, g: Graph) -> Any:
        x = g.linear(g.inputs[PIXELS], self.patches, None)
        rotation = g.rope_table(g.inputs[PLACES], self.frequencies, self.axes)
        for block in self.blocks:
            x = block(g, x, rotation)
        squares = g.take(self.norm(g, x), g.inputs[SQUARES], 0)
        count, patches, size = g.shape(squares)
        x = g.reshape(squares, count, patches * size)
        return self.second(g, g.activation(self.first(g, x), "gelu"))


class _Block:
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, scope: Scope, config: PatchTowerConfig, norm: Any, *, in_windows: bool) -> None:
        c = config
        self.in_windows = in_windows
        self.norm1 = norm(scope / "norm1", c.hidden, c.eps)
        self.attention = Attention(scope, c.hidden, c.heads)
        self.norm2 = norm(scope / "norm2", c.hidden, c.eps)
        self.mlp = Mlp(scope, c.hidden, c.inner, c.activation, gated=c.gated)

    def __call__(self, g: Graph, x: Any, rotation: tuple[Any, Any]) -> Any:
        a, h = self.attention, self.norm1(g, x)
        q, k = (g.rotary(linear(g, h), *rotation, num_heads=a.heads) for linear in (a.q, a.k))
        x = g.add(x, a.o(g, self._mix(g, q, k, a.v(g, h))))
        return g.add(x, self.mlp(g, self.norm2(g, x)))

    def _mix(self, g: Graph, q: Any, k: Any, v: Any) -> Any:
        if self.in_windows:
            how = {"num_heads": self.attention.heads, "scale": self.attention.scale}
            return g.ragged_attention(q, k, v, g.inputs[WINDOWS], g.inputs[WINDOW_TILES], **how)
        count, size = g.shape(q)
        q, k, v = (g.reshape(x, 1, count, size) for x in (q, k, v))
        return g.reshape(self.attention.mix(g, q, k, v), count, size)
