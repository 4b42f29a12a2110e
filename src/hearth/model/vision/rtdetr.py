"""RT-DETR: three maps of a ResNet mixed by convolutions, and a decoder that looks where its boxes are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hearth.model.vision.detr import EncoderLayer, LayersConfig, map_size
from hearth.model.vision.heads import BoxHead
from hearth.model.vision.layers import F32, Attention, Conv, LayerNorm, Linear, Mlp, batch_norm
from hearth.model.vision.parameters import Scope
from hearth.model.vision.positions import plain_sine_positions
from hearth.model.vision.resnet import ResNet, ResNetConfig

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph

_REPEATED = 3
_ANCHOR = 0.05
_MARGIN = 1e-2
_LOGIT_EPS = 1e-5


@dataclass(frozen=True)
class RtDetrConfig:
    """Attributes:
    size: of the pictures, a multiple of 32; `stages`: whose maps of the backbone are read, by number.
    hidden: channels of the encoder; `size_decoder`: of the decoder.
    encoded: which of the maps go through the transformer encoder.
    expansion: inner channels of a mixing block as a part of `hidden`.
    points: places that each head looks at in each map.
    learned_queries: queries begin as learned vectors, not as the best places of the picture.
    activations: of convolutions, of the encoder's MLP, of the decoder's.
    """

    size: tuple[int, int]
    backbone: ResNetConfig
    stages: tuple[int, ...]
    hidden: int
    size_decoder: int
    encoder: LayersConfig
    decoder: LayersConfig
    encoded: tuple[int, ...]
    expansion: float
    points: int
    queries: int
    learned_queries: bool
    labels: int
    activations: tuple[str, str, str]
    temperature: float
    eps: float
    bn_eps: float


class RtDetr:
    """From a picture (b, h, w, 3) to logits (b, queries, labels) and boxes (b, queries, 4)."""

    def __init__(self, scope: Scope, config: RtDetrConfig) -> None:
        c = self.config = config
        self.backbone = ResNet(scope / "backbone", c.backbone)
        self.inputs = [
            _conv_norm(scope / "inputs" / i, c.backbone.sizes[stage], c.hidden, 1) for i, stage in enumerate(c.stages)
        ]
        self.mixer = Mixer(scope / "mixer", c)
        self.sources = [
            _conv_norm(scope / "sources" / i, c.hidden, c.size_decoder, 1, eps=c.bn_eps) for i in range(len(c.stages))
        ]
        last = map_size(c.size)
        deepest = len(c.backbone.sizes) - 1
        self.grids = [(last[0] << (deepest - stage), last[1] << (deepest - stage)) for stage in c.stages]
        self.anchors, valid = _anchors(self.grids)
        self.anchor_table = scope.constant("anchors", self.anchors)
        self.valid = scope.constant("valid", valid)
        self.places = Linear(scope / "places", c.size_decoder, c.size_decoder)
        self.places_norm = LayerNorm(scope / "places_norm", c.size_decoder, c.eps)
        self.place_classes = Linear(scope / "place_classes", c.size_decoder, c.labels, role="head")
        self.place_boxes = BoxHead(scope / "place_boxes", c.size_decoder, 4)
        self.start = None
        if c.learned_queries:
            table = scope.stored("queries", c.queries, c.size_decoder)
            self.start = scope.computed("queries", (1, c.queries, c.size_decoder), (table,), lambda t: t[None])
        self.query_places = [Linear(scope / "query_places" / i, k, n) for i, (k, n) in enumerate(
            [(4, 2 * c.size_decoder), (2 * c.size_decoder, c.size_decoder)]
        )]  # fmt: skip
        layers = c.decoder.count
        self.decoder = [DecoderLayer(scope / "decoder" / i, c) for i in range(layers)]
        self.boxes = [BoxHead(scope / "boxes" / i, c.size_decoder, 4) for i in range(layers)]
        self.classes = Linear(scope / "classes" / (layers - 1), c.size_decoder, c.labels, role="head")

    def __call__(self, g: Graph, pixels: Any) -> list[Any]:
        c = self.config
        stages = self.backbone(g, pixels)
        maps = self.mixer(g, [conv(g, stages[stage]) for conv, stage in zip(self.inputs, c.stages, strict=True)])
        memory = g.concat([g.tokens(conv(g, x)) for conv, x in zip(self.sources, maps, strict=True)], 1)
        h, boxes = self.begin(g, memory)
        values = memory
        for layer, box_head in zip(self.decoder, self.boxes, strict=True):
            h = layer(g, h, self.placed(g, boxes), boxes, values, self.grids)
            boxes = g.activation(g.add(box_head(g, h), inverse_sigmoid(g, boxes)), "sigmoid")
        return [self.classes(g, h), boxes]

    def begin(self, g: Graph, memory: Any) -> tuple[Any, Any]:
        """The places that most look like objects: what the queries begin as, and where: (b, queries, c or 4)."""
        c = self.config
        places = self.places_norm(g, self.places(g, g.multiply(memory, g.parameter(self.valid))))
        best = g.top_k(g.max(self.place_classes(g, places), 2), c.queries)
        boxes = g.add(self.place_boxes(g, places), g.parameter(self.anchor_table))
        start = g.rows(places, best) if self.start is None else g.repeated(self.start)
        return start, g.activation(g.rows(boxes, best), "sigmoid")

    def placed(self, g: Graph, boxes: Any) -> Any:
        first, second = self.query_places
        return second(g, g.activation(first(g, boxes), "relu"))


def inverse_sigmoid(g: Graph, x: Any) -> Any:
    above = g.clip(x, _LOGIT_EPS, 1.0)
    below = g.clip(g.subtract(g.number(1.0), x), _LOGIT_EPS, 1.0)
    return g.activation(g.divide(above, below), "log")


def _anchors(grids: list[tuple[int, int]]) -> tuple[F32, F32]:
    """A box for each place of each map, before the sigmoid: (1, places, 4); and which of them count: (1, places, 1)."""
    boxes = []
    for level, (height, width) in enumerate(grids):
        y, x = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
        side = np.full_like(x, _ANCHOR * 2**level)
        boxes.append(np.stack([x, y, side, side], -1).reshape(-1, 4))
    anchors = np.concatenate(boxes)
    valid = np.all((anchors > _MARGIN) & (anchors < 1 - _MARGIN), axis=1)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        logits = np.where(valid, np.log(anchors / (1 - anchors)), np.finfo(np.float32).max)
    return logits[None].astype(np.float32), valid[None].astype(np.float32)


def _conv_norm(scope: Scope, c_in: int, c_out: int, kernel: int, *, stride: int = 1, eps: float = 1e-5) -> Conv:
    return Conv(scope / "conv", c_in, c_out, kernel, stride=stride, bias=False, norm=scope / "norm", eps=eps)


class Mixer:
    """The coarsest map through a transformer, then down to the finest and up again, mixing at each step."""

    def __init__(self, scope: Scope, config: RtDetrConfig) -> None:
        c = self.config = config
        layers = c.encoder.count
        self.encoders = [
            [EncoderLayer(place / j, c.hidden, c.encoder, c.activations[1], c.eps) for j in range(layers)]
            for place in [scope / "encoder" / i for i in range(len(c.encoded))]
        ]
        steps = range(len(c.stages) - 1)
        self.laterals = [_conv_norm(scope / "laterals" / i, c.hidden, c.hidden, 1, eps=c.bn_eps) for i in steps]
        self.down = [MixBlock(scope / "down" / i, c) for i in steps]
        self.halvings = [
            _conv_norm(scope / "halvings" / i, c.hidden, c.hidden, 3, stride=2, eps=c.bn_eps) for i in steps
        ]
        self.up = [MixBlock(scope / "up" / i, c) for i in steps]
        self.places: dict[int, str] = {}
        deepest = len(c.backbone.sizes) - 1
        for i in c.encoded if layers else ():
            last, finer = map_size(c.size), deepest - c.stages[i]
            table = plain_sine_positions(last[0] << finer, last[1] << finer, c.hidden, temperature=c.temperature)
            self.places[i] = scope.constant(f"places.{i}", table[None])

    def __call__(self, g: Graph, maps: list[Any]) -> list[Any]:
        c, maps = self.config, list(maps)
        for layers, i in zip(self.encoders, c.encoded, strict=True):
            if not layers:
                continue
            _, height, width, _ = g.shape(maps[i])
            x, places = g.tokens(maps[i]), g.parameter(self.places[i])
            for layer in layers:
                x = layer(g, x, places)
            maps[i] = g.map(x, height, width)
        down = [maps[-1]]
        for i, (lateral, block) in enumerate(zip(self.laterals, self.down, strict=True)):
            down[-1] = g.activation(lateral(g, down[-1]), c.activations[0])
            _, height, width, _ = g.shape(down[-1])
            finer = g.resize(down[-1], 2 * height, 2 * width, method="nearest_neighbor")
            down.append(block(g, g.concat([finer, maps[len(maps) - 2 - i]], 3)))
        down.reverse()
        up = [down[0]]
        for i, (halve, block) in enumerate(zip(self.halvings, self.up, strict=True)):
            coarser = g.activation(halve(g, up[-1]), c.activations[0])
            up.append(block(g, g.concat([coarser, down[i + 1]], 3)))
        return up


class MixBlock:
    """Half of the channels through convolutions, half around them (CSP)."""

    def __init__(self, scope: Scope, config: RtDetrConfig) -> None:
        c, inner = config, int(config.hidden * config.expansion)
        self.activation = c.activations[0]
        self.through = _conv_norm(scope / "through", 2 * c.hidden, inner, 1, eps=c.bn_eps)
        self.around = _conv_norm(scope / "around", 2 * c.hidden, inner, 1, eps=c.bn_eps)
        self.repeated = [TwoInOne(scope / "repeated" / i, inner, c.bn_eps) for i in range(_REPEATED)]
        self.out = None if inner == c.hidden else _conv_norm(scope / "out", inner, c.hidden, 1, eps=c.bn_eps)

    def __call__(self, g: Graph, x: Any) -> Any:
        h = g.activation(self.through(g, x), self.activation)
        for conv in self.repeated:
            h = g.activation(conv(g, h), self.activation)
        h = g.add(h, g.activation(self.around(g, x), self.activation))
        return h if self.out is None else g.activation(self.out(g, h), self.activation)


class TwoInOne:
    """A convolution of 3 x 3 and one of 1 x 1, each with a batch norm, added: one convolution (RepVGG)."""

    def __init__(self, scope: Scope, size: int, eps: float) -> None:
        wide, narrow = scope / "wide", scope / "narrow"

        def tensors(part: Scope, kernel: int) -> tuple[Any, ...]:
            norm = part / "norm"
            leaves = ("weight", "bias", "running_mean", "running_var")
            weight = (part / "conv").stored("weight", size, size, kernel, kernel)
            return (weight, *(norm.stored(leaf, size) for leaf in leaves))

        stored = (*tensors(wide, 3), *tensors(narrow, 1))

        def weight(*t: F32) -> F32:
            scales = [batch_norm(eps, *t[i + 1 : i + 5])[0].reshape(-1, 1, 1, 1) for i in (0, 5)]
            both = t[0] * scales[0]
            both[:, :, 1:2, 1:2] += t[5] * scales[1]
            return np.ascontiguousarray(both.transpose(0, 2, 3, 1))

        def bias(*t: F32) -> F32:
            return batch_norm(eps, *t[1:5])[1] + batch_norm(eps, *t[6:10])[1]

        self.weight = scope.computed("weight", (size, 3, 3, size), stored, weight, role="body")
        self.bias = scope.computed("bias", (size,), stored, bias)

    def __call__(self, g: Graph, x: Any) -> Any:
        return g.conv2d(x, self.weight, self.bias, padding=(1, 1, 1, 1))


class DecoderLayer:
    """Queries attend to each other, then look at a few places of each map near their boxes."""

    def __init__(self, scope: Scope, config: RtDetrConfig) -> None:
        c, size, heads = config, config.size_decoder, config.decoder.heads
        self.own = Attention(scope / "own", size, heads)
        self.norm1 = LayerNorm(scope / "norm1", size, c.eps)
        self.look = Look(scope / "look", size, heads, len(c.stages), c.points)
        self.norm2 = LayerNorm(scope / "norm2", size, c.eps)
        self.mlp = Mlp(scope, size, c.decoder.inner, c.activations[2])
        self.norm3 = LayerNorm(scope / "norm3", size, c.eps)

    def __call__(self, g: Graph, x: Any, placed: Any, boxes: Any, memory: Any, grids: list[tuple[int, int]]) -> Any:
        x = self.norm1(g, g.add(x, self.own(g, g.add(x, placed), values=x)))
        x = self.norm2(g, g.add(x, self.look(g, g.add(x, placed), boxes, memory, grids)))
        return self.norm3(g, g.add(x, self.mlp(g, x)))


class Look:
    """Deformable attention: each head takes a weighted mean of places that a query chooses around its box."""

    def __init__(self, scope: Scope, size: int, heads: int, levels: int, points: int) -> None:
        self.size, self.heads, self.levels, self.points = size, heads, levels, points
        self.offsets = Linear(scope / "offsets", size, heads * levels * points * 2)
        self.weights = Linear(scope / "weights", size, heads * levels * points)
        self.values = Linear(scope / "values", size, size)
        self.o = Linear(scope / "o", size, size)

    def __call__(self, g: Graph, x: Any, boxes: Any, memory: Any, grids: list[tuple[int, int]]) -> Any:
        b, (queries, size) = g.batch, g.shape(x)[1:]
        heads, levels, points = self.heads, self.levels, self.points
        head = size // heads
        weights = g.softmax(g.reshape(self.weights(g, x), b, queries, heads, levels * points))
        weights = g.permute(weights, 0, 2, 1, 3)  # (b, heads, q, levels * points)
        # Offsets are parts of half a box's size, divided among the points.
        centre, extent = (g.reshape(g.slice(boxes, 2, i, i + 2), b, queries, 1, 2) for i in (0, 2))
        offsets = g.reshape(self.offsets(g, x), b, queries, heads * levels * points, 2)
        places = g.add(centre, g.multiply(g.scaled(offsets, 0.5 / points), extent))
        grid = g.subtract(g.scaled(places, 2.0), g.number(1.0))
        grid = g.permute(g.reshape(grid, b, queries, heads, levels * points, 2), 0, 2, 4, 1, 3)
        grid = g.reshape(grid, b * heads, 2, queries, levels * points)
        values = self.values(g, memory)
        total, begin = None, 0
        for level, (height, width) in enumerate(grids):
            area = height * width
            own = g.reshape(g.slice(values, 1, begin, begin + area), b, area, heads, head)
            own = g.reshape(g.permute(own, 0, 2, 1, 3), b * heads, height, width, head)
            these = level * points, (level + 1) * points
            seen = g.grid_sample(own, g.slice(grid, 3, *these))  # (b heads, q, points, head)
            share = g.reshape(g.slice(weights, 3, *these), b * heads, queries, points, 1)
            part = g.sum(g.multiply(seen, share), [2])
            total = part if total is None else g.add(total, part)
            begin += area
        mixed = g.permute(g.reshape(total, b, heads, queries, head), 0, 2, 1, 3)
        return self.o(g, g.reshape(mixed, b, queries, size))
