"""ONNX operations of neural networks: products, convolutions, pools, norms, attention, resizing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model import ops
from hearth.model.imported.attention import attention
from hearth.model.imported.graph import Array
from hearth.model.imported.moves import (
    NCHW_TO_NHWC,
    NHWC_TO_NCHW,
    binary,
    conv2d_nchw,
    linear,
    multiply,
    part,
    permute,
    reshape,
)
from hearth.model.imported.onnx_context import Context, Converter
from hearth.model.imported.resizing import grid_sample_nchw, resize_nchw


def _matmul(c: Context) -> Any:
    return c.g.emit(op.matmul(c.x(0), c.x(1)))


def _gemm(c: Context) -> Any:
    a, b = c.x(0), c.x(1)
    a = permute(c.g, a, (1, 0)) if c.attr("transA", 0) else a
    b = b if c.attr("transB", 0) else permute(c.g, b, (1, 0)) if b not in c.g.known else _turned(c, b)
    product = linear(c.g, a, b) if b in c.g.known else c.g.emit(op.matmul(a, permute(c.g, b, (1, 0))))
    product = multiply(c.g, product, c.attr("alpha", 1.0))
    return product if not c.has(2) else binary(c.g, "add", product, multiply(c.g, c.x(2), c.attr("beta", 1.0)))


def _turned(c: Context, w: Any) -> Any:
    k, n = c.g.shape(w)
    return c.g.derived(w, (n, k), np.transpose)


def _fused_matmul(c: Context) -> Any:
    c.only(transBatchA=0, transBatchB=0)
    sides = []
    for i, name in enumerate(("transA", "transB")):
        rank = c.g.rank(c.x(i))
        order = [*range(rank - 2), rank - 1, rank - 2]
        sides.append(permute(c.g, c.x(i), order) if c.attr(name, 0) else c.x(i))
    return multiply(c.g, c.g.emit(op.matmul(*sides)), c.attr("alpha", 1.0))


def _matmul_nbits(c: Context) -> Any:
    """A matrix of blocks of 2, 4 or 8 bits along K: it is unpacked here, and packed anew as the network is."""
    n, k, bits, block = c.attr("N"), c.attr("K"), c.attr("bits", 4), c.attr("block_size")
    if bits not in (2, 4, 8) or c.has(4):
        raise Unsupported(f"its weights have {bits} bits or are reordered")
    blocks = -(-k // block)
    integers = _unpacked(c.known(1, "weights").reshape(n, blocks, -1), bits)
    scales = c.known(2, "scales").reshape(n, blocks, 1)
    zeros: Array = np.full((n, blocks, 1), 1 << (bits - 1), np.float32)
    if c.has(3):
        given = c.known(3, "zero points")
        packed = given.dtype == np.uint8
        zeros = (_unpacked(given.reshape(n, -1), bits)[:, :blocks] if packed else given).reshape(n, blocks, 1)
    weights = ((integers[..., :block].astype(np.float32) - zeros) * scales).reshape(n, -1)[:, :k]
    return linear(c.g, c.x(0), c.g.constant(weights, c.node.inputs[1]), c.optional(5))


def _unpacked(packed: Array, bits: int) -> Array:
    """Bytes (..., s) to numbers (..., 8 / bits * s), lowest bits first."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    parts = (packed.astype(np.uint8)[..., None] >> shifts) & ((1 << bits) - 1)
    return parts.reshape(*packed.shape[:-1], -1)


def _along(vector: Array, rank: int, axis: int) -> Array:
    return vector.reshape([-1 if i == axis % rank else 1 for i in range(rank)]) if vector.ndim == 1 else vector


def _dequantize(c: Context) -> Any:
    scale = c.known(1, "scale")
    zero = c.known(2, "zero point") if c.has(2) else np.zeros((), np.int8)
    values = c.g.value(c.x(0))
    rank, axis, block = c.g.rank(c.x(0)), c.attr("axis", 1), c.attr("block_size", 0)
    if block:
        dim = c.g.shape(c.x(0))[axis]
        scale, zero = (np.repeat(p, block, axis).take(range(dim), axis) if p.ndim else p for p in (scale, zero))
    scale, zero = (_along(p, rank, axis).astype(np.float32) for p in (scale, zero))
    if values is not None:
        return c.g.constant((values.astype(np.float32) - zero) * scale, c.node.inputs[0])
    shifted = binary(c.g, "subtract", c.g.emit(op.astype(c.x(0), "float32")), c.f32(zero))
    return binary(c.g, "multiply", shifted, c.f32(scale))


def _quantize(c: Context) -> Any:
    """The integers stay in f32: what follows turns them back."""
    kind = c.known(2, "zero point") if c.has(2) else np.zeros((), np.uint8)
    rank, axis = c.g.rank(c.x(0)), c.attr("axis", 1)
    limits = np.iinfo(kind.dtype)
    scaled = binary(c.g, "divide", c.x(0), c.f32(_along(c.known(1, "scale"), rank, axis)))
    shifted = binary(c.g, "add", c.g.emit(op.round(scaled)), c.f32(_along(kind, rank, axis)))
    return c.g.emit(op.clip(shifted, float(limits.min), float(limits.max)))


def _windows(c: Context, spatial: list[Any], kernel: list[int]) -> dict[str, Any]:
    """Strides, padding (each axis before, then after) and dilation of a convolution or pool."""
    rank = len(kernel)
    strides = tuple(c.attr("strides") or [1] * rank)
    dilation = tuple(c.attr("dilations") or [1] * rank)
    padding = list(c.attr("pads") or [0] * (2 * rank))
    how = c.attr("auto_pad", "NOTSET")
    if how in ("SAME_UPPER", "SAME_LOWER"):
        for i, size in enumerate(spatial):
            if not isinstance(size, int):
                raise Unsupported("its padding depends on a size that is not fixed")
            reach = dilation[i] * (kernel[i] - 1) + 1
            total = max((-(-size // strides[i]) - 1) * strides[i] + reach - size, 0)
            small = total // 2
            padding[i], padding[rank + i] = (small, total - small) if how == "SAME_UPPER" else (total - small, small)
    elif how == "VALID":
        padding = [0] * (2 * rank)
    return {"strides": strides, "padding": tuple(padding), "dilation": dilation}


def _conv(c: Context) -> Any:
    x, w = c.x(0), c.x(1)
    if w not in c.g.known:
        raise Unsupported("its weights depend on the inputs")
    kernel = c.g.shape(w)[2:]
    about = _windows(c, c.g.shape(x)[2:], kernel)
    groups = c.attr("group", 1)
    if len(kernel) == 2:
        return conv2d_nchw(c.g, x, w, c.optional(2), groups=groups, **about)
    if len(kernel) != 1:
        raise Unsupported(f"it is a convolution over {len(kernel)} axes")
    b, channels, length = c.g.shape(x)
    o, inner, taps = c.g.shape(w)
    y = conv2d_nchw(
        c.g, reshape(c.g, x, [b, channels, 1, length]), c.g.derived(w, (o, inner, 1, taps), lambda a: a[:, :, None]),
        c.optional(2), groups=groups, strides=(1, *about["strides"]), dilation=(1, *about["dilation"]),
        padding=(0, about["padding"][0], 0, about["padding"][1]),
    )  # fmt: skip
    return reshape(c.g, y, [b, o, c.g.shape(y)[3]])


def _conv_transpose(c: Context) -> Any:
    x, w = c.x(0), c.x(1)
    if w not in c.g.known or c.g.rank(w) != 4:
        raise Unsupported("its weights depend on the inputs, or it is not over two axes")
    channels, o, kh, kw = c.g.shape(w)
    about = _windows(c, c.g.shape(x)[2:], [kh, kw])
    if c.attr("group", 1) != 1 or about["dilation"] != (1, 1) or c.attr("output_shape"):
        raise Unsupported("it has groups, dilation or an output of a given shape")
    if c.attr("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise Unsupported(f"its auto_pad is {c.attr('auto_pad')}")
    ours = c.g.derived(w, (o, kh, kw, channels), lambda a: a.transpose(1, 2, 3, 0))
    y = ops.conv2d_transpose(
        permute(c.g, x, NCHW_TO_NHWC), ours, c.optional(2), strides=about["strides"], padding=about["padding"],
        output_padding=tuple(c.attr("output_padding") or (0, 0)),
    )  # fmt: skip
    return permute(c.g, c.g.emit(y), NHWC_TO_NCHW)


def _pool(name: str) -> Converter:
    def convert(c: Context) -> Any:
        x, kernel = c.x(), c.attr("kernel_shape")
        if len(kernel) != 2:
            raise Unsupported(f"it is a pool over {len(kernel)} axes")
        about = _windows(c, c.g.shape(x)[2:], kernel)
        function = getattr(op.nn, name)
        y = function(
            permute(c.g, x, NCHW_TO_NHWC), kernel, list(about["strides"]), list(about["padding"]),
            list(about["dilation"]), bool(c.attr("ceil_mode", 0)), bool(c.attr("count_include_pad", 0)), "NHWC", "NHWC",
        )  # fmt: skip
        return [permute(c.g, c.g.emit(y), NHWC_TO_NCHW)]

    return convert


def _global(name: str) -> Converter:
    return lambda c: c.g.emit(getattr(op, name)(c.x(), list(range(2, c.g.rank(c.x()))), keepdims=True))


def _batch_norm(c: Context) -> Any:
    c.only(training_mode=0)
    gamma, beta, mean, variance = (c.known(i, "statistics").astype(np.float64) for i in range(1, 5))
    scale = gamma / np.sqrt(variance + c.attr("epsilon", 1e-5))
    shape = [-1, *[1] * (c.g.rank(c.x()) - 2)]
    y = binary(c.g, "multiply", c.x(), c.f32(scale.reshape(shape)))
    return [binary(c.g, "add", y, c.f32((beta - mean * scale).reshape(shape)))]


def _grouped(c: Context, groups: int, gamma: Any, beta: Any) -> Any:
    """Normalised over places and the channels of a group; gamma and beta for each channel."""
    x = c.x()
    if c.g.rank(x) != 4:
        b, channels, *rest = c.g.shape(x)
        total: Any = 1
        for dim in rest:
            total = total * dim
        four = reshape(c.g, x, [b, channels, 1, total])
    else:
        four = x
    last = permute(c.g, four, NCHW_TO_NHWC)
    y = c.g.emit(op.nn.group_norm(last, gamma, beta, groups, 3, [1, 2], c.attr("epsilon", 1e-5)))
    return reshape(c.g, permute(c.g, y, NHWC_TO_NCHW), c.g.shape(x))


def _instance_norm(c: Context) -> Any:
    """Also how exporters write a group norm: its groups as channels, in a reshape, and its weights afterwards."""
    groups = c.g.shape(c.x())[1]
    split = c.g.behind(c.x(), "reshape")
    plain = all(
        value is not None and bool(np.all(value == wanted))
        for value, wanted in ((c.g.value(c.x(1)), 1.0), (c.g.value(c.x(2)), 0.0))
    )
    whole = None if split is None else split.args[0]
    if whole is None or not plain or c.g.rank(whole) != 4 or not isinstance(c.g.shape(whole)[1], int):
        return _grouped(c, groups, c.x(1), c.x(2))
    shape = c.g.shape(c.x())
    channels = c.g.shape(whole)[1]
    c.inputs[0] = whole
    found = _grouped(c, groups, c.f32(np.ones(channels)), c.f32(np.zeros(channels)))
    return reshape(c.g, found, shape)


def _group_norm(c: Context) -> Any:
    groups, channels = c.attr("num_groups"), c.g.shape(c.x())[1]
    gamma, beta = c.x(1), c.x(2)
    if c.g.shape(gamma) != [channels]:  # before opset 21 one for each group
        gamma, beta = (c.g.emit(op.repeat(p, channels // groups, 0)) for p in (gamma, beta))
    return _grouped(c, groups, gamma, beta)


def _layer_norm(c: Context) -> Any:
    x = c.x()
    return [normalised(c, x, c.x(1), c.optional(2), c.attr("axis", -1))]


def normalised(c: Context, x: Any, gamma: Any, beta: Any | None, axis: int = -1) -> Any:
    axes = list(range(axis % c.g.rank(x), c.g.rank(x)))
    if beta is None:
        beta = c.f32(np.zeros([int(dim) for dim in c.g.shape(gamma)]))
    return c.g.emit(op.nn.layer_norm(x, gamma, beta, axes, c.attr("epsilon", 1e-5)))


def _rms_norm(c: Context) -> Any:
    axis = c.attr("axis", -1) % c.g.rank(c.x())
    axes = list(range(axis, c.g.rank(c.x())))
    return [c.g.emit(op.nn.rms_norm(c.x(), c.x(1), axes, c.attr("epsilon", 1e-5)))]


def _skip_layer_norm(c: Context) -> Any:
    total = binary(c.g, "add", c.x(0), c.x(1))
    if c.has(4):
        total = binary(c.g, "add", total, c.x(4))
    return [normalised(c, total, c.x(2), c.optional(3)), None, None, total]


def _embed_layer_norm(c: Context) -> Any:
    ids = c.x(0)
    total = c.g.emit(op.take(c.x(2), ids, 0, mode="clip"))
    places = part(c.g, c.x(3), 0, 0, c.g.shape(ids)[1])
    total = binary(c.g, "add", total, places)
    if c.has(1) and c.has(4):
        total = binary(c.g, "add", total, c.g.emit(op.take(c.x(4), c.x(1), 0, mode="clip")))
    return [normalised(c, total, c.x(5), c.x(6)), None, total]


def _softmax(name: str) -> Converter:
    def convert(c: Context) -> Any:
        x, function = c.x(), getattr(op.nn, name)
        if c.opset >= 13:
            return c.g.emit(function(x, c.attr("axis", -1)))
        # Before opset 13: over all axes from this one on.
        shape, axis = c.g.shape(x), c.attr("axis", 1) % c.g.rank(x)
        if axis == len(shape) - 1:
            return c.g.emit(function(x, axis))
        rest: Any = 1
        for dim in shape[axis:]:
            rest = rest * dim
        flat = reshape(c.g, x, [*shape[:axis], rest])
        return reshape(c.g, c.g.emit(function(flat, axis)), shape)

    return convert


def _reduce(name: str, since: int = 18) -> Converter:
    def convert(c: Context) -> Any:
        x = c.x()
        rank = c.g.rank(x)
        axes = c.axes(rank, 1, since)
        if not axes and c.attr("noop_with_empty_axes", 0):
            return x
        keep = bool(c.attr("keepdims", 1))
        return c.g.emit(getattr(op, name)(x, axes or list(range(rank)), keepdims=keep))

    return convert


def _reduce_of(before: str, after: str) -> Converter:
    """A sum of something, and something of the sum."""

    def convert(c: Context) -> Any:
        c.inputs[0] = c.g.emit(getattr(op, before)(c.x()))
        total = _reduce("sum")(c)
        return total if not after else c.g.emit(getattr(op, after)(total))

    return convert


def _log_sum_exp(c: Context) -> Any:
    c.inputs[0] = c.g.emit(op.exp(c.x()))
    return c.g.emit(op.log(_reduce("sum")(c)))


def _einsum(c: Context) -> Any:
    return c.g.emit(op.einsum(tuple(c.x(i) for i in range(len(c.inputs))), c.attr("equation").replace(" ", "")))


def _microsoft_attention(c: Context) -> Any:
    c.only(unidirectional=0, do_rotary=0)
    if c.has(3) or c.has(4) or c.has(5) or c.attr("qkv_hidden_sizes"):
        raise Unsupported("it has a mask, a past or a bias of its own")
    weights = c.x(1)
    k, n = c.g.shape(weights)
    qkv = linear(c.g, c.x(0), c.g.derived(weights, (n, k), np.transpose), c.optional(2))
    parts = [part(c.g, qkv, 2, n // 3 * i, n // 3 * (i + 1)) for i in range(3)]
    q, k, v = parts
    return [_tokens_attention(c, q, k, v, None, c.attr("num_heads"))]


def _multi_head_attention(c: Context) -> Any:
    if not c.has(1) or not c.has(2) or c.has(4) or c.has(6):
        raise Unsupported("its operands are packed, masked by keys, or have a past")
    q, k, v = c.x(0), c.x(1), c.x(2)
    if c.has(3):
        sizes = np.cumsum([c.g.shape(x)[2] for x in (q, k, v)]).tolist()
        spans = zip((q, k, v), [0, *sizes[:2]], sizes, strict=True)
        q, k, v = (binary(c.g, "add", x, part(c.g, c.x(3), 0, begin, end)) for x, begin, end in spans)
    return [_tokens_attention(c, q, k, v, c.optional(5), c.attr("num_heads"))]


def _tokens_attention(c: Context, q: Any, k: Any, v: Any, bias: Any | None, heads: int) -> Any:
    """Attention over (b, n, heads * d)."""
    width = c.g.shape(q)[2]
    scale = c.attr("scale", 0.0) or 1 / math.sqrt(width // heads)
    if c.g.shape(v)[2] != width:
        raise Unsupported("its values have another width than its queries")
    return c.g.emit(ops.attention(q, k, v, bias, num_heads=heads, scale=scale))


def _attention(c: Context) -> Any:
    """ONNX's own, from opset 23 on."""
    c.only(is_causal=0, softcap=0.0)
    if c.has(4) or c.has(5):
        raise Unsupported("it has a past")
    q, k, v = c.x(0), c.x(1), c.x(2)
    rank = c.g.rank(q)
    if rank == 3:
        heads, kv = c.attr("q_num_heads"), c.attr("kv_num_heads")
        q, k, v = (
            permute(c.g, reshape(c.g, x, [*c.g.shape(x)[:2], n, c.g.shape(x)[2] // n]), (0, 2, 1, 3))
            for x, n in ((q, heads), (k, kv), (v, kv))
        )
    biases: tuple[Any, ...] = ()
    if c.has(3):
        mask = c.x(3)
        if str(mask.ty.dtype) == "bool":
            mask = c.g.emit(op.where(mask, c.f32(0.0), c.f32(-3e38)))
        biases = (mask,)
    scale = c.attr("scale") or 1 / math.sqrt(c.g.shape(q)[3])
    out = attention(c.g, q, permute(c.g, k, (0, 1, 3, 2)), v, scale, biases)
    if out is None:
        raise Unsupported("its heads differ in number or size")
    if rank == 3:
        b, heads, n, d = c.g.shape(out)
        out = reshape(c.g, permute(c.g, out, (0, 2, 1, 3)), [b, n, heads * d])
    return [out]


_RESIZE_MODES = {"nearest": "nearest_neighbor", "linear": "linear", "bilinear": "linear", "cubic": "cubic"}


def _resize(c: Context) -> Any:
    x = c.x()
    shape = c.g.shape(x)
    c.only(antialias=0, exclude_outside=0, keep_aspect_ratio_policy="stretch")
    old = c.opset < 11 or c.node.op == "Upsample"
    scales_at, sizes_at = (1, 9) if old else (2, 3)
    if c.has(sizes_at):
        wanted = c.sizes(sizes_at)
        factors: list[float] | None = None
    else:
        factors = c.known(scales_at, "scales").reshape(-1).tolist() if c.has(scales_at) else c.attr("scales")
        wanted = [
            dim * round(factor) if factor == round(factor) else _whole(dim * factor, dim)
            for dim, factor in zip(shape, factors, strict=True)
        ]
    axes = c.attr("axes")
    if axes is not None:
        full = list(shape)
        for axis, size in zip(axes, wanted, strict=True):
            full[axis] = size
        wanted = full
    if len(shape) != 4 or not c.g.same_shape(wanted[:2], shape[:2]):
        raise Unsupported("it resizes other axes than height and width")
    coordinates = c.attr("coordinate_transformation_mode", "asymmetric" if old else "half_pixel")
    return resize_nchw(
        c.g, x, wanted[2:], _RESIZE_MODES[c.attr("mode", "nearest")], coordinates,
        rounding=c.attr("nearest_mode", "floor" if old else "round_prefer_floor"),
        cubic_alpha=c.attr("cubic_coeff_a", -0.75),
    )  # fmt: skip


def _whole(size: Any, dim: Any) -> int:
    if not isinstance(dim, int) or size != int(size):
        raise Unsupported(f"it scales an axis of {dim} to {size}, which is no whole number")
    return int(size)


def _grid_sample(c: Context) -> Any:
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(c.attr("mode", "linear"), c.attr("mode", "bilinear"))
    return grid_sample_nchw(
        c.g, c.x(0), c.x(1), mode, c.attr("padding_mode", "zeros"), bool(c.attr("align_corners", 0))
    )  # fmt: skip


NEURAL: dict[str, Converter] = {
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Einsum": _einsum,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MaxPool": _pool("max_pool2d"),
    "AveragePool": _pool("avg_pool2d"),
    "GlobalAveragePool": _global("mean"),
    "GlobalMaxPool": _global("max"),
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm,
    "GroupNormalization": _group_norm,
    "LayerNormalization": _layer_norm,
    "RMSNormalization": _rms_norm,
    "SimplifiedLayerNormalization": _rms_norm,
    "Softmax": _softmax("softmax"),
    "LogSoftmax": _softmax("log_softmax"),
    "ReduceMean": _reduce("mean"),
    "ReduceSum": _reduce("sum", 13),
    "ReduceMax": _reduce("max"),
    "ReduceMin": _reduce("min"),
    "ReduceProd": _reduce("prod"),
    "ReduceL1": _reduce_of("abs", ""),
    "ReduceL2": _reduce_of("square", "sqrt"),
    "ReduceSumSquare": _reduce_of("square", ""),
    "ReduceLogSumExp": _log_sum_exp,
    "Attention": _attention,
    "Resize": _resize,
    "Upsample": _resize,
    "GridSample": _grid_sample,
    "DequantizeLinear": _dequantize,
    "QuantizeLinear": _quantize,
    "com.microsoft.DequantizeLinear": _dequantize,
    "com.microsoft.QuantizeLinear": _quantize,
    "com.microsoft.Attention": _microsoft_attention,
    "com.microsoft.MultiHeadAttention": _multi_head_attention,
    "com.microsoft.SkipLayerNormalization": _skip_layer_norm,
    "com.microsoft.EmbedLayerNormalization": _embed_layer_norm,
    "com.microsoft.FusedMatMul": _fused_matmul,
    "com.microsoft.MatMulNBits": _matmul_nbits,
}
