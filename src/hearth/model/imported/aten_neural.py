"""PyTorch's operators of neural networks: products, convolutions, pools, norms, attention, reductions, resizing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model.imported.aten_context import Context, Converter
from hearth.model.imported.attention import attention, causal_mask
from hearth.model.imported.convolving import conv_transpose, pool_nchw
from hearth.model.imported.einsum import einsum
from hearth.model.imported.indices import size_as_number
from hearth.model.imported.moves import (
    NCHW_TO_NHWC,
    NHWC_TO_NCHW,
    binary,
    broadcast,
    broadcast_shape,
    conv2d_nchw,
    largest,
    linear,
    multiply,
    permute,
    reshape,
)
from hearth.model.imported.resizing import Resizing, grid_sample_nchw, resize_nchw

_LOW = -3.0e38


def _linear(c: Context) -> Any:
    x, w = c.x("input"), c.x("weight")
    if w not in c.g.known:
        product = c.g.emit(op.matmul(x, permute(c.g, w, (1, 0))))
        return product if c.get("bias") is None else binary(c.g, "add", product, c.x("bias"))
    return linear(c.g, x, w, c.optional("bias"))


def _matmul(c: Context) -> Any:
    return c.g.emit(op.matmul(c.x("self"), c.x("other" if "other" in c.node.arguments else "mat2")))


def _addmm(c: Context) -> Any:
    product = c.g.emit(op.matmul(c.x("mat1"), c.x("mat2")))
    product = multiply(c.g, product, float(c.get("alpha", 1)))
    return binary(c.g, "add", product, multiply(c.g, c.x("self"), float(c.get("beta", 1))))


def _baddbmm(c: Context) -> Any:
    product = multiply(c.g, c.g.emit(op.matmul(c.x("batch1"), c.x("batch2"))), float(c.get("alpha", 1)))
    beta = c.get("beta", 1)
    return product if beta == 0 else binary(c.g, "add", product, multiply(c.g, c.x("self"), float(beta)))


def _einsum(c: Context) -> Any:
    return einsum(c.g, c.get("equation"), [c.tensor(x) for x in c.get("tensors")])


def _outer(c: Context) -> Any:
    a, b = c.x(), c.x("vec2")
    return binary(c.g, "multiply", reshape(c.g, a, [c.g.shape(a)[0], 1]), reshape(c.g, b, [1, c.g.shape(b)[0]]))


def _conv(c: Context) -> Any:
    x, w = c.x("input"), c.x("weight")
    if w not in c.g.known:
        raise Unsupported("its weights depend on the inputs")
    kernel = c.g.shape(w)[2:]
    rank = len(kernel)
    if rank > 2:
        raise Unsupported(f"it is a convolution over {rank} axes")
    strides, dilation = c.ints("stride", [1], rank), c.ints("dilation", [1], rank)
    padding = c.get("padding", 0)
    if padding == "same":
        reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        pads = (*(r // 2 for r in reach), *(r - r // 2 for r in reach))
    else:
        pads = c.ints("padding", [0], rank) * 2 if padding != "valid" else (0,) * (2 * rank)
    groups = int(c.get("groups", 1))
    if c.get("transposed"):
        return _conv_transpose(c)
    if rank == 2:
        return conv2d_nchw(
            c.g, x, w, c.optional("bias"), strides=strides, padding=pads, dilation=dilation, groups=groups
        )  # fmt: skip
    b, channels, length = c.g.shape(x)
    o, inner, taps = c.g.shape(w)
    y = conv2d_nchw(
        c.g, reshape(c.g, x, [b, channels, 1, length]), c.g.derived(w, (o, inner, 1, taps), lambda a: a[:, :, None]),
        c.optional("bias"), strides=(1, *strides), padding=(0, pads[0], 0, pads[1]), dilation=(1, *dilation),
        groups=groups,
    )  # fmt: skip
    return reshape(c.g, y, [b, o, c.g.shape(y)[3]])


def _conv_transpose(c: Context) -> Any:
    w = c.x("weight")
    if w not in c.g.known:
        raise Unsupported("its weights depend on the inputs")
    rank = c.g.rank(w) - 2
    return conv_transpose(
        c.g, c.x("input"), w, c.optional("bias"), strides=c.ints("stride", [1], rank),
        padding=c.ints("padding", [0], rank) * 2, dilation=c.ints("dilation", [1], rank),
        output_padding=c.ints("output_padding", [0], rank), groups=int(c.get("groups", 1)),
    )  # fmt: skip


def _pool(name: str, rank: int) -> Converter:
    def convert(c: Context) -> Any:
        kernel = c.ints("kernel_size", [1], rank)
        strides = c.ints("stride", [], rank) or kernel
        if c.get("divisor_override") is not None:
            raise Unsupported("it divides by a number of its own")
        x = c.x("self")
        four = reshape(c.g, x, [1, *c.g.shape(x)]) if c.g.rank(x) == len(kernel) + 1 else x
        y = pool_nchw(
            c.g, four, name, kernel, strides=strides, padding=c.ints("padding", [0], rank) * 2,
            dilation=c.ints("dilation", [1], rank), ceil=bool(c.get("ceil_mode", False)),
            padded=bool(c.get("count_include_pad", True)),
        )  # fmt: skip
        y = reshape(c.g, y, c.g.shape(y)[1:]) if four is not x else y
        return [y] if "with_indices" in c.node.target else y

    return convert


def _adaptive_pool(rank: int) -> Converter:
    def convert(c: Context) -> Any:
        x, wanted = c.x(), c.ints("output_size", [1], rank)
        have = c.shape()
        if all(size == 1 for size in wanted):
            return c.g.emit(op.mean(x, list(range(len(have) - rank, len(have))), keepdims=True))
        if rank == 2 and len(have) == 4:
            y = op.nn.adaptive_avg_pool2d(permute(c.g, x, NCHW_TO_NHWC), list(wanted), "NHWC", "NHWC")
            return permute(c.g, c.g.emit(y), NHWC_TO_NCHW)
        raise Unsupported(f"it pools to {list(wanted)}")

    return convert


def _batch_norm(c: Context) -> Any:
    if c.get("training", False) or c.get("use_input_stats", False):
        raise Unsupported("it is exported for training", hint="Call model.eval() before the export.")
    x = c.x("input")
    mean, variance = (c.g.value(c.x(name)) for name in ("running_mean", "running_var"))
    gamma, beta = (None if c.get(name) is None else c.g.value(c.x(name)) for name in ("weight", "bias"))
    if mean is None or variance is None:
        raise Unsupported("its statistics depend on the inputs")
    scale = (1.0 if gamma is None else gamma.astype(np.float64)) / np.sqrt(variance + float(c.get("eps", 1e-5)))
    shift = (0.0 if beta is None else beta) - mean * scale
    shape = [-1, *[1] * (c.g.rank(x) - 2)]
    y = binary(c.g, "multiply", x, c.g.constant(np.float32(scale).reshape(shape)))
    return [binary(c.g, "add", y, c.g.constant(np.float32(shift).reshape(shape))), None, None]


def _affine(c: Context, sizes: list[int]) -> tuple[Any, Any]:
    """Weight and bias of a norm, ones and zeros where it has none."""
    gamma, beta = c.optional("weight"), c.optional("bias")
    ones = c.g.constant(np.ones(sizes, np.float32), "ones") if gamma is None else gamma
    return ones, c.g.constant(np.zeros(sizes, np.float32), "zeros") if beta is None else beta


def _layer_norm(c: Context) -> Any:
    x, sizes = c.x("input"), [int(n) for n in c.get("normalized_shape")]
    gamma, beta = _affine(c, sizes)
    axes = list(range(c.g.rank(x) - len(sizes), c.g.rank(x)))
    return [c.g.emit(op.nn.layer_norm(x, gamma, beta, axes, c.get("eps", 1e-5))), None, None]


def _rms_norm(c: Context) -> Any:
    x, sizes = c.x("input"), [int(n) for n in c.get("normalized_shape")]
    gamma, _ = _affine(c, sizes)
    axes = list(range(c.g.rank(x) - len(sizes), c.g.rank(x)))
    return c.g.emit(op.nn.rms_norm(x, gamma, axes, c.get("eps", 1.1920929e-07)))


def _group_norm(c: Context) -> Any:
    x = c.x("input")
    b, channels, *rest = c.g.shape(x)
    groups = int(c.get("num_groups", c.get("group", channels)))
    gamma, beta = _affine(c, [channels])
    total: Any = 1
    for dim in rest:
        total = total * dim
    four = x if len(rest) == 2 else reshape(c.g, x, [b, channels, 1, total])
    y = c.g.emit(
        op.nn.group_norm(permute(c.g, four, NCHW_TO_NHWC), gamma, beta, groups, 3, [1, 2], c.get("eps", 1e-5))
    )  # fmt: skip
    return [reshape(c.g, permute(c.g, y, NHWC_TO_NCHW), [b, channels, *rest]), None, None]


def _softmax(name: str) -> Converter:
    return lambda c: c.g.emit(getattr(op.nn, name)(c.cast(c.x(), "float32"), c.axis()))


def _reduce(name: str) -> Converter:
    def convert(c: Context) -> Any:
        x = c.cast(c.x(), c.dtype())
        if name in ("mean", "std", "variance"):
            x = c.cast(x, "float32")
        if str(x.ty.dtype) == "bool":
            x = c.cast(x, "int32")
        return c.g.emit(getattr(op, name)(x, c.axes(), keepdims=bool(c.get("keepdim", False))))

    return convert


def _spread(name: str) -> Converter:
    """Variance and its root, of a sample (torch's default) or of all."""

    def convert(c: Context) -> Any:
        correction = c.get("correction", int(c.get("unbiased", True)))
        axes, have = c.axes(), c.shape()
        count = c.g.simplified(math.prod(have[axis] for axis in axes))
        keep = bool(c.get("keepdim", False))
        variance = c.g.emit(op.variance(c.x(), axes, keepdims=keep))
        if isinstance(count, int):
            variance = multiply(c.g, variance, count / max(count - correction, 0.5))
        elif correction:
            number = c.cast(size_as_number(c.g, count), "float32")
            fewer = c.g.emit(op.maximum(c.binary("subtract", number, float(correction)), c.tensor(0.5)))
            variance = c.binary("multiply", variance, c.binary("divide", number, fewer))
        return variance if name == "var" else c.g.emit(op.sqrt(variance))

    return convert


def _any_all(name: str) -> Converter:
    def convert(c: Context) -> Any:
        x = c.cast(c.cast(c.x(), "bool"), "int32")
        found = getattr(op, "max" if name == "any" else "min")(x, c.axes(), keepdims=bool(c.get("keepdim", False)))
        return c.cast(c.g.emit(found), "bool")

    return convert


def _extreme(name: str) -> Converter:
    """max and min: of all, of an axis with the places, or of two tensors."""

    def convert(c: Context) -> Any:
        if c.get("other") is not None:
            return c.binary(f"{name}imum", c.x(), c.x("other"))
        if c.get("dim") is None:
            return c.g.emit(getattr(op, name)(c.x()))
        keep, axis = bool(c.get("keepdim", False)), c.axis()
        values = c.g.emit(getattr(op, name)(c.x(), [axis], keepdims=keep))
        return [values, c.cast(c.g.emit(getattr(op, f"arg{name}")(c.x(), axis, keep)), "int32")]

    return convert


def _place(name: str) -> Converter:
    def convert(c: Context) -> Any:
        x = c.x()
        if c.get("dim") is None:
            total = math.prod(int(dim) for dim in c.shape())
            return c.cast(c.g.emit(getattr(op, name)(reshape(c.g, x, [total]), 0)), "int32")
        x = c.cast(x, "int32") if str(x.ty.dtype) == "bool" else x
        return c.cast(c.g.emit(getattr(op, name)(x, c.axis(), bool(c.get("keepdim", False)))), "int32")

    return convert


def _weight_norm(c: Context) -> Any:
    """A direction v with the length g, for each place of one axis."""
    v, axis = c.x("v"), c.axis("dim", of="v")
    others = [i for i in range(c.rank("v")) if i != axis]
    length = c.unary("sqrt", c.g.emit(op.sum(binary(c.g, "multiply", v, v), others, keepdims=True)))
    return binary(c.g, "multiply", v, binary(c.g, "divide", c.x("g"), length))


def _norm(c: Context) -> Any:
    order = c.get("ord", c.get("p", 2))
    axes, keep = c.axes(), bool(c.get("keepdim", False))
    if order == 1:
        return c.g.emit(op.sum(c.unary("abs", c.x()), axes, keepdims=keep))
    if order != 2:
        raise Unsupported(f"it is the norm of order {order}")
    return c.unary("sqrt", c.g.emit(op.sum(binary(c.g, "multiply", c.x(), c.x()), axes, keepdims=keep)))


def _running(name: str) -> Converter:
    def convert(c: Context) -> Any:
        x = c.cast(c.x(), c.dtype())
        x = c.cast(x, "int32") if str(x.ty.dtype) == "bool" else x
        return c.g.emit(getattr(op, name)(x, c.axis()))

    return convert


def _log_sum_exp(c: Context) -> Any:
    """The largest goes out first, so that no power grows beyond bounds."""
    x, axes, keep = c.x(), c.axes(), bool(c.get("keepdim", False))
    most = c.g.emit(op.max(x, axes, keepdims=True))
    total = c.g.emit(op.sum(c.unary("exp", binary(c.g, "subtract", x, most)), axes, keepdims=True))
    found = binary(c.g, "add", c.unary("log", total), most)
    if keep:
        return found
    return reshape(c.g, found, [dim for axis, dim in enumerate(c.shape()) if axis not in axes])


def _topk(c: Context) -> Any:
    return largest(c.g, c.x(), int(c.get("k")), c.axis(default=-1), bool(c.get("largest", True)))


def _sort(c: Context) -> Any:
    axis, down = c.axis(default=-1), bool(c.get("descending", False))
    values = c.g.emit(op.sort(c.x(), axis, down))
    return [values, c.g.emit(op.argsort(c.x(), axis, down, "int32"))]


def _scaled_dot_product_attention(c: Context) -> Any:
    """softmax(scale q k^T + mask) v over (b, h, n, d), or (h, n, d)."""
    if c.get("dropout_p", 0.0):
        raise Unsupported("it has dropout", hint="Call model.eval() before the export.")
    q, k, v = c.x("query"), c.x("key"), c.x("value")
    rank = c.g.rank(q)
    if c.get("enable_gqa", False) and rank == 4:  # each head of keys serves several of queries
        times = int(c.g.shape(q)[1]) // int(c.g.shape(k)[1])
        k, v = (c.g.emit(op.repeat(x, times, 1)) if times > 1 else x for x in (k, v))
    n, m = c.g.shape(q)[-2], c.g.shape(k)[-2]
    scale = float(c.get("scale", 1 / math.sqrt(int(c.g.shape(q)[-1]))))
    bias = c.optional("attn_mask")
    if c.get("is_causal", False):
        bias = causal_mask(c.g, n, m, 0)
    if bias is not None and str(bias.ty.dtype) == "bool":
        known = c.g.value(bias)
        if known is not None and known.all():  # transformers makes such a mask for every image
            bias = None
        else:
            bias = c.g.emit(op.where(bias, c.g.constant(np.float32(0)), c.g.constant(np.float32(_LOW))))
    order = [*range(rank - 2), rank - 1, rank - 2]
    out = (
        attention(c.g, q, permute(c.g, k, order), v, scale, () if bias is None else (bias,)) if rank in (3, 4) else None
    )
    if out is not None:
        return out
    scores = multiply(c.g, c.g.emit(op.matmul(q, permute(c.g, k, order))), scale)
    scores = scores if bias is None else binary(c.g, "add", scores, bias)
    return c.g.emit(op.matmul(c.g.emit(op.nn.softmax(scores, -1)), v))


def _attention_kernel(c: Context) -> Any:
    """A variant of attention that a backend brought, with its first result only."""
    return [_scaled_dot_product_attention(c), *[None] * 8]


def _upsample(
    method: str, coordinates: str, rank: int = 2, *, rounding: str = "floor", antialias: bool = False
) -> Converter:  # fmt: skip
    def convert(c: Context) -> Any:
        x = c.x("input" if "input" in c.node.arguments else "self")
        have = c.g.shape(x)
        size, factors = c.get("output_size"), c.get("scale_factors")
        if size is None and factors is not None:
            size = [_scaled(dim, factor) for dim, factor in zip(have[2:], factors, strict=True)]
        elif factors is None:
            given = [c.get(name) for name in (("scales_h", "scales_w") if rank == 2 else ("scales",))]
            factors = None if None in given else given
        # torch maps places by a factor that it is given, where it does not say otherwise, and not by the sizes.
        exact = factors is None or all(
            not isinstance(dim, int) or not isinstance(out, int) or abs(dim * factor - out) < 1e-6 * out
            for dim, factor, out in zip(have[2:], factors, size, strict=True)
        )
        how = Resizing(
            method,
            "align_corners" if c.get("align_corners", False) else coordinates,
            rounding=rounding,
            alpha=-0.5 if antialias else -0.75,
            scales=None if exact or factors is None else [1.0] * (2 - rank) + [float(factor) for factor in factors],
            inside=antialias,
            antialias=antialias,
        )
        four = x if rank == 2 else reshape(c.g, x, [*have[:2], 1, have[2]])
        y = resize_nchw(c.g, four, [1] * (2 - rank) + list(size), how)
        return y if rank == 2 else reshape(c.g, y, [*have[:2], size[0]])

    return convert


def _scaled(dim: Any, factor: float) -> Any:
    if isinstance(dim, int):
        return int(dim * factor)
    if factor != int(factor):
        raise Unsupported(f"it scales a size that is not fixed by {factor}")
    return dim * int(factor)


_SAMPLING = ("bilinear", "nearest", "bicubic")
_PADDING = ("zeros", "border", "reflection")


def _grid_sample(c: Context) -> Any:
    method = _SAMPLING[c.get("interpolation_mode", 0)]
    padding = _PADDING[c.get("padding_mode", 0)]
    return grid_sample_nchw(c.g, c.x("input"), c.x("grid"), method, padding, bool(c.get("align_corners", False)))


def _broadcast_tensors(c: Context) -> Any:
    parts = [c.tensor(x) for x in c.get("tensors")]
    return [[broadcast(c.g, x, broadcast_shape(c.g, parts)) for x in parts]]


NEURAL: dict[str, Converter] = {
    "linear": _linear, "matmul": _matmul, "mm": _matmul, "bmm": _matmul, "addmm": _addmm, "baddbmm": _baddbmm,
    "einsum": _einsum, "outer": _outer, "conv1d": _conv, "conv2d": _conv, "convolution": _conv,
    "conv_transpose1d": _conv_transpose, "conv_transpose2d": _conv_transpose,
    "max_pool1d": _pool("max_pool2d", 1), "max_pool2d": _pool("max_pool2d", 2),
    "max_pool2d_with_indices": _pool("max_pool2d", 2), "avg_pool1d": _pool("avg_pool2d", 1),
    "avg_pool2d": _pool("avg_pool2d", 2),
    "adaptive_avg_pool1d": _adaptive_pool(1), "adaptive_avg_pool2d": _adaptive_pool(2), "batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm, "layer_norm": _layer_norm, "native_layer_norm": _layer_norm,
    "rms_norm": _rms_norm, "group_norm": lambda c: _group_norm(c)[0], "native_group_norm": _group_norm,
    "instance_norm": lambda c: _group_norm(c)[0], "softmax": _softmax("softmax"), "_softmax": _softmax("softmax"),
    "log_softmax": _softmax("log_softmax"), "_log_softmax": _softmax("log_softmax"), "mean": _reduce("mean"),
    "sum": _reduce("sum"), "amax": _reduce("max"), "amin": _reduce("min"), "prod": _reduce("prod"),
    "var": _spread("var"), "std": _spread("std"), "any": _any_all("any"), "all": _any_all("all"),
    "max": _extreme("max"), "min": _extreme("min"), "argmax": _place("argmax"), "argmin": _place("argmin"),
    "_weight_norm": _weight_norm,
    "linalg_vector_norm": _norm, "norm": _norm, "cumsum": _running("cumsum"),
    "cumprod": _running("cumprod"), "logsumexp": _log_sum_exp, "topk": _topk, "sort": _sort,
    "scaled_dot_product_attention": _scaled_dot_product_attention,
    "_scaled_dot_product_flash_attention_for_cpu": _attention_kernel,
    "_scaled_dot_product_flash_attention": _attention_kernel,
    "upsample_nearest2d": _upsample("nearest_neighbor", "asymmetric"),
    "upsample_nearest1d": _upsample("nearest_neighbor", "asymmetric", 1),
    "_upsample_nearest_exact2d": _upsample("nearest_neighbor", "half_pixel", rounding="round_prefer_ceil"),
    "_upsample_nearest_exact1d": _upsample("nearest_neighbor", "half_pixel", 1, rounding="round_prefer_ceil"),
    "upsample_bilinear2d": _upsample("linear", "half_pixel"), "upsample_linear1d": _upsample("linear", "half_pixel", 1),
    "upsample_bicubic2d": _upsample("cubic", "half_pixel"),
    "_upsample_bilinear2d_aa": _upsample("linear", "half_pixel", antialias=True),
    "_upsample_bicubic2d_aa": _upsample("cubic", "half_pixel", antialias=True), "grid_sampler": _grid_sample,
    "grid_sampler_2d": _grid_sample, "broadcast_tensors": _broadcast_tensors,
}  # fmt: skip
