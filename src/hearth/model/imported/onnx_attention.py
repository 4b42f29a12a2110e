"""ONNX operations of attention: the standard's, and those of ONNX Runtime."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model.imported.attention import causal_mask, heads_attention
from hearth.model.imported.indices import take
from hearth.model.imported.moves import binary, linear, part, permute, reshape, where
from hearth.model.imported.onnx_context import Context, Converter

_LOW = -3.0e38


def _attention(c: Context) -> Any:
    """ONNX's own, from opset 23 on: results, keys and values so far, scores."""
    c.only(qk_matmul_output_mode=0)
    if len(c.node.outputs) > 3 and c.node.outputs[3]:
        raise Unsupported("its scores are a result")
    if c.has(6):
        raise Unsupported("it counts the keys that are no padding")
    q, k, v = c.x(0), c.x(1), c.x(2)
    rank = c.g.rank(q)
    if rank == 3:
        heads, kv = c.attr("q_num_heads"), c.attr("kv_num_heads")
        q, k, v = (_split(c, x, n) for x, n in ((q, heads), (k, kv), (v, kv)))
    past = 0
    if c.has(4):
        past = c.g.shape(c.x(4))[2]
        k, v = (c.g.emit(op.concat([c.x(i), x], 2)) for i, x in ((4, k), (5, v)))
    biases = [_bias(c, c.x(3))] if c.has(3) else []
    if c.attr("is_causal", 0):
        biases.append(causal_mask(c.g, c.g.shape(q)[2], c.g.shape(k)[2], past))
    scale = c.attr("scale") or 1 / math.sqrt(c.g.shape(q)[3])
    out = heads_attention(c.g, q, k, v, scale, biases, c.attr("softcap", 0.0))
    return [_joined(c, out) if rank == 3 else out, k, v]


def _bias(c: Context, mask: Any) -> Any:
    return where(c.g, mask, c.f32(0.0), c.f32(_LOW)) if str(mask.ty.dtype) == "bool" else mask


def _split(c: Context, x: Any, heads: int) -> Any:
    """(b, n, heads * d) as (b, heads, n, d)."""
    b, n, width = c.g.shape(x)
    return permute(c.g, reshape(c.g, x, [b, n, heads, width // heads]), (0, 2, 1, 3))


def _joined(c: Context, x: Any) -> Any:
    b, heads, n, d = c.g.shape(x)
    return reshape(c.g, permute(c.g, x, (0, 2, 1, 3)), [b, n, heads * d])


def _microsoft_attention(c: Context) -> Any:
    """Of one product of queries, keys and values; a mask of keys (b, m) or of all (b, n, m)."""
    c.only(do_rotary=0)
    if c.has(4):
        raise Unsupported("it has a past")
    weights, heads = c.x(1), c.attr("num_heads")
    k, n = c.g.shape(weights)
    widths = c.attr("qkv_hidden_sizes") or [n // 3] * 3
    qkv = linear(c.g, c.x(0), c.g.derived(weights, (n, k), np.transpose), c.optional(2))
    ends = np.cumsum(widths).tolist()
    q, k, v = (
        _split(c, part(c.g, qkv, 2, begin, end), heads) for begin, end in zip([0, *ends[:-1]], ends, strict=True)
    )
    biases = [_key_mask(c, c.x(3))] if c.has(3) else []
    if c.has(5):
        biases.append(c.x(5))
    if c.attr("unidirectional", 0):
        biases.append(causal_mask(c.g, c.g.shape(q)[2], c.g.shape(k)[2], 0))
    scale = c.attr("scale", 0.0) or 1 / math.sqrt(c.g.shape(q)[3])
    return [_joined(c, heads_attention(c.g, q, k, v, scale, biases))]


def _key_mask(c: Context, mask: Any) -> Any:
    """Keys that are seen as 1, (b, m) or (b, n, m)."""
    shape = c.g.shape(mask)
    if len(shape) not in (2, 3):
        raise Unsupported(f"its mask has {len(shape)} axes")
    wide = reshape(c.g, mask, [shape[0], 1, *([1] if len(shape) == 2 else [shape[1]]), shape[-1]])
    return where(c.g, c.g.emit(op.astype(wide, "bool")), c.f32(0.0), c.f32(c.attr("mask_filter_value", -10000.0)))


def _multi_head_attention(c: Context) -> Any:
    if not c.has(1) or not c.has(2) or c.has(6):
        raise Unsupported("its operands are packed, or have a past")
    q, k, v, heads = c.x(0), c.x(1), c.x(2), c.attr("num_heads")
    if c.has(3):
        sizes = np.cumsum([c.g.shape(x)[2] for x in (q, k, v)]).tolist()
        spans = zip((q, k, v), [0, *sizes[:2]], sizes, strict=True)
        q, k, v = (binary(c.g, "add", x, part(c.g, c.x(3), 0, begin, end)) for x, begin, end in spans)
    q, k, v = (x if c.g.rank(x) == 4 else _split(c, x, heads) for x in (q, k, v))
    biases = [c.x(5)] if c.has(5) else []
    if c.has(4):
        biases.append(_key_mask(c, c.x(4)))
    if c.attr("unidirectional", 0):
        biases.append(causal_mask(c.g, c.g.shape(q)[2], c.g.shape(k)[2], 0))
    scale = c.attr("scale", 0.0) or 1 / math.sqrt(c.g.shape(q)[3])
    return [_joined(c, heads_attention(c.g, q, k, v, scale, biases))]


def _rotary(c: Context) -> Any:
    """ONNX's: x (b, n, h * d) or (b, h, n, d), tables of cosines and sines by position, positions (b, n)."""
    places = c.x(3) if c.has(3) else None
    return _rotated(c, c.x(0), c.x(1), c.x(2), places, c.attr("num_heads", 0))


def _microsoft_rotary(c: Context) -> Any:
    c.only(scale=1.0, is_packed_batching=0)
    places, x = c.x(1), c.x(0)
    if c.g.shape(places) == [1]:  # of the first token
        n = c.g.shape(x)[-2]
        counted = c.g.emit(op.arange(0, n, 1, "int32"))
        places = reshape(c.g, binary(c.g, "add", counted, places), [1, n])
    heads = c.attr("num_heads", 0) or (c.g.shape(x)[2] // (2 * c.g.shape(c.x(2))[1]) if c.g.rank(x) == 3 else 0)
    return _rotated(c, x, c.x(2), c.x(3), places, heads)


def _rotated(c: Context, x: Any, cos: Any, sin: Any, places: Any | None, heads: int) -> Any:
    g, rank = c.g, c.g.rank(x)
    if rank == 3:
        x = _split(c, x, heads)
    b, h, n, d = g.shape(x)
    if places is not None:
        cos, sin = (take(g, table, places, 0) for table in (cos, sin))
    half = g.shape(cos)[-1]
    cos, sin = (reshape(g, table, [g.shape(table)[0], 1, n, half]) for table in (cos, sin))
    turned, rest = part(g, x, 3, 0, 2 * half), part(g, x, 3, 2 * half, d)
    if c.attr("interleaved", 0):
        pairs = reshape(g, turned, [b, h, n, half, 2])
        first, second = (reshape(g, part(g, pairs, 4, i, i + 1), [b, h, n, half]) for i in (0, 1))
    else:
        first, second = part(g, turned, 3, 0, half), part(g, turned, 3, half, 2 * half)
    real = binary(g, "subtract", binary(g, "multiply", first, cos), binary(g, "multiply", second, sin))
    imaginary = binary(g, "add", binary(g, "multiply", first, sin), binary(g, "multiply", second, cos))
    if c.attr("interleaved", 0):
        parts = [reshape(g, y, [b, h, n, half, 1]) for y in (real, imaginary)]
        whole = reshape(g, g.emit(op.concat(parts, 4)), [b, h, n, 2 * half])
    else:
        whole = g.emit(op.concat([real, imaginary], 3))
    if 2 * half != d:
        whole = g.emit(op.concat([whole, rest], 3))
    return _joined(c, whole) if rank == 3 else whole


ATTENTION: dict[str, Converter] = {
    "Attention": _attention,
    "RotaryEmbedding": _rotary,
    "com.microsoft.Attention": _microsoft_attention,
    "com.microsoft.MultiHeadAttention": _multi_head_attention,
    "com.microsoft.RotaryEmbedding": _microsoft_rotary,
}
