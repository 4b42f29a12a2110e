"""Attention of every query to every key, and within the windows of a map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import tirx

from hearth.compiler.cpu.kernels.attention_layout import SPLIT_KEYS
from hearth.compiler.cpu.kernels.attention_pack import AttentionPackSpec, attention_pack
from hearth.compiler.cpu.kernels.dense_attention import (
    TILE_QUERIES,
    BiasKind,
    DenseAttentionSpec,
    dense_attention,
)
from hearth.compiler.cpu.kernels.window_attention import WindowAttentionSpec, window_attention
from hearth.compiler.cpu.selection import Rule, Selection
from hearth.compiler.passes.rewrite import Graph, arguments, attribute, is_op
from hearth.compiler.physical import call, columns_of, like, sizes, stride, strides, tensor, width
from hearth.compiler.views import is_dense
from hearth.compiler.work import Work

# Added to scores of places that a shift brought together from opposite edges: nothing is left of their weights.
_APART = -1e4


def _attention(graph: Graph, value: Any, s: Selection) -> Any:
    q, k, v, *biases = arguments(value)
    heads, kv_heads = int(attribute(value, "num_heads")), int(attribute(value, "num_kv_heads"))
    head_dim = width(q) // heads
    batch, n, m = q.ty.shape[0], q.ty.shape[1], k.ty.shape[1]
    shared = bool(biases) and sizes(biases[0].ty.shape)[2] == 1  # by all queries
    bias_kind: BiasKind | None = None if not biases else "keys" if shared else "full"
    spec = DenseAttentionSpec(head_dim, float(attribute(value, "scale")), bias_kind, _in_bytes(graph, s, q, k, v))
    kernel = s.use(spec.name, lambda isa: dense_attention(isa, spec), spec.scratch_bytes())
    sources, offsets, lds = zip(*(columns_of(graph, x) for x in (q, k, v)), strict=True)
    ldo = stride(heads * head_dim)
    if spec.int8:
        packed = _packed(graph, s, sources[1:], [m, kv_heads, *lds[1:], *offsets[1:]], batch, head_dim)
        sources, columns = (sources[0], packed), [lds[0], ldo, offsets[0]]
    else:
        columns = [*lds, ldo, *offsets]
    scalars = [n, m, heads, heads // kv_heads, *columns]
    for bias in biases:
        along = strides(bias.ty.shape, dense=is_dense(bias))
        scalars += [0 if size == 1 else step for size, step in zip(sizes(bias.ty.shape)[:3], along, strict=False)]
    tiles = tirx.floordiv(n + (TILE_QUERIES - 1), tirx.IntImm("int64", TILE_QUERIES))
    (keys,) = sizes([m])
    # A product with each key, a product with each value.
    operations = 4 * heads * head_dim * (keys if isinstance(keys, int) else 1)
    work = Work.of("attention", batch * n, operations, arithmetic="int8" if spec.int8 else "float32")
    return call(kernel, [*sources, *biases], like(q), batch * heads * tiles, scalars, work=work)


def _in_bytes(graph: Graph, s: Selection, *operands: Any) -> bool:
    """Whether all are made by products with a scale a row: where those are good enough, so is attention with a scale a
    row, which keeps a cosine of 0.9999 to f32 in every layer of DINOv2-S."""
    products = []
    for x in operands:
        made = graph.value(columns_of(graph, x)[0])
        # A rotation keeps the lengths of pairs, so what a row's scale loses stays small.
        while is_op(made, "reshape") or is_op(made, "hearth.rotary"):
            moved = made.args[0] if is_op(made, "reshape") else arguments(made)[0]
            made = graph.value(columns_of(graph, moved)[0])
        products.append(made)
    if not all(is_op(product, "hearth.product") for product in products):
        return False
    weights = [arguments(product)[int(attribute(product, "inputs"))] for product in products]
    return all(s.parameters.packed[w.name].fmt.is_row for w in weights)


def _packed(
    graph: Graph, s: Selection, sources: Sequence[Any], scalars: Sequence[Any], batch: Any, head_dim: int
) -> Any:  # fmt: skip
    """Keys and values as bytes. `scalars`: of the kernel, keys and KV heads being the first."""
    spec, (m, kv_heads) = AttentionPackSpec(head_dim), scalars[:2]
    kernel = s.use(spec.name, lambda isa: attention_pack(isa, spec), spec.scratch_bytes())
    splits = tirx.floordiv(m + (SPLIT_KEYS - 1), tirx.IntImm("int64", SPLIT_KEYS))
    out = tensor(batch, kv_heads, splits, spec.layout.block_bytes, dtype="uint8")
    work = Work.of("quantise", batch * m, 8 * kv_heads * head_dim)
    return graph.emit(call(kernel, list(sources), out, batch * kv_heads * splits, scalars, work=work))


def _window_attention(graph: Graph, value: Any, s: Selection) -> Any:
    """Maps are whole windows here: what the network pads, it pads before."""
    q, k, v, *biases = arguments(value)
    heads, window = int(attribute(value, "num_heads")), [int(side) for side in attribute(value, "window")]
    shift, head_dim = [int(step) for step in attribute(value, "shift")], width(q) // heads
    batch, height, columns = q.ty.shape[0], int(q.ty.shape[1]), int(q.ty.shape[2])
    spec = WindowAttentionSpec(
        head_dim,
        float(attribute(value, "scale")),
        (window[0], window[1]),
        shifted=any(shift),
        bias=bool(biases),
        penalty=_APART,
        int8=_in_bytes(graph, s, q, k, v),
    )
    kernel = s.use(spec.name, lambda isa: window_attention(isa, spec), spec.scratch_bytes())
    sources, offsets, lds = zip(*(columns_of(graph, x) for x in (q, k, v)), strict=True)
    scalars = [height, columns, heads, *lds, stride(heads * head_dim), *offsets, *(shift if spec.shifted else [])]
    windows = (height // window[0]) * (columns // window[1])
    work = Work.of(
        "attention", batch * (height * columns), 4 * heads * head_dim * spec.area,
        arithmetic="int8" if spec.int8 else "float32",
    )  # fmt: skip
    return call(kernel, [*sources, *biases], like(q), batch * (windows * heads), scalars, work=work)


RULES: dict[str, Rule] = {"hearth.attention": _attention, "hearth.window_attention": _window_attention}
