"""ONNX operations of neural networks: products, convolutions, pools, norms, attention, resizing."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model.imported.convolving import conv_transpose, pool_nchw
from hearth.model.imported.einsum import einsum
from hearth.model.imported.indices import take
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
from hearth.model.imported.resizing import Resizing, grid_sample_nchw, resize_nchw


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


def windows(c: Context, spatial: list[Any], kernel: list[int]) -> dict[str, Any]:
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
    about = windows(c, c.g.shape(x)[2:], kernel)
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
    if w not in c.g.known:
        raise Unsupported("its weights depend on the inputs")
    kernel = c.g.shape(w)[2:]
    rank = len(kernel)
    strides, dilation = tuple(c.attr("strides") or [1] * rank), tuple(c.attr("dilations") or [1] * rank)
    extra = list(c.attr("output_padding") or [0] * rank)
    padding = list(c.attr("pads") or [0] * (2 * rank))
    how, wanted = c.attr("auto_pad", "NOTSET"), c.attr("output_shape")
    if wanted or how in ("SAME_UPPER", "SAME_LOWER"):
        spatial = c.g.shape(x)[2:]
        if any(not isinstance(size, int) for size in spatial):
            raise Unsupported("its padding depends on a size that is not fixed")
        for i, (size, k) in enumerate(zip(spatial, kernel, strict=True)):
            out = wanted[-rank:][i] if wanted else size * strides[i]
            total = strides[i] * (size - 1) + extra[i] + dilation[i] * (k - 1) + 1 - out
            extra[i] += max(-total, 0)  # what is missing is added at the end
            total = max(total, 0)
            before = total // 2 if how == "SAME_UPPER" else total - total // 2
            padding[i], padding[rank + i] = before, total - before
    return conv_transpose(
        c.g, x, w, c.optional(2), strides=strides, padding=padding, dilation=dilation, output_padding=extra,
        groups=c.attr("group", 1),
    )  # fmt: skip


def _pool(name: str) -> Converter:
    def convert(c: Context) -> Any:
        x, kernel = c.x(), list(c.attr("kernel_shape"))
        if len(kernel) > 2:
            raise Unsupported(f"it is a pool over {len(kernel)} axes")
        about = windows(c, c.g.shape(x)[2:], kernel)
        padded = bool(c.attr("count_include_pad", 0))
        return [pool_nchw(c.g, x, name, kernel, ceil=bool(c.attr("ceil_mode", 0)), padded=padded, **about)]

    return convert


def _lp_norm(c: Context) -> Any:
    axis, x = c.attr("axis", -1) % c.g.rank(c.x()), c.x()
    if c.attr("p", 2) == 1:
        size = c.g.emit(op.sum(c.g.emit(op.abs(x)), [axis], keepdims=True))
    else:
        size = c.g.emit(op.sqrt(c.g.emit(op.sum(binary(c.g, "multiply", x, x), [axis], keepdims=True))))
    return binary(c.g, "divide", x, size)


def _local_response(c: Context) -> Any:
    """x / (bias + alpha / size * sum of the squares of neighbouring channels)^beta."""
    g, x, size = c.g, c.x(), c.attr("size")
    shape, before = g.shape(x), (size - 1) // 2
    pairs = [0, 0, before, size - 1 - before] + [0] * (2 * (len(shape) - 2))
    padded = g.emit(op.nn.pad(binary(g, "multiply", x, x), pairs, "constant", 0.0))
    total = part(g, padded, 1, 0, shape[1])
    for i in range(1, size):
        total = binary(g, "add", total, part(g, padded, 1, i, i + shape[1]))
    scaled = multiply(g, total, c.attr("alpha", 1e-4) / size)
    grown = binary(g, "add", scaled, g.constant(np.float32(c.attr("bias", 1.0))))
    return binary(g, "divide", x, binary(g, "power", grown, g.constant(np.float32(c.attr("beta", 0.75)))))


def _mean_variance(c: Context) -> Any:
    g, x, axes = c.g, c.x(), list(c.attr("axes") or [0, 2, 3])
    away = binary(g, "subtract", x, g.emit(op.mean(x, axes, keepdims=True)))
    spread = g.emit(op.mean(binary(g, "multiply", away, away), axes, keepdims=True))
    return binary(g, "divide", away, g.emit(op.sqrt(binary(g, "add", spread, g.constant(np.float32(1e-9))))))


def _hard_max(c: Context) -> Any:
    """1 at the first of the largest along an axis, else 0."""
    x = c.x()
    shape = c.g.shape(x)
    axis = c.attr("axis", -1 if c.opset >= 13 else 1) % len(shape)
    if c.opset < 13 and axis != len(shape) - 1:
        raise Unsupported("it looks for the largest along several axes")
    place = c.g.emit(op.astype(c.g.emit(op.argmax(x, axis, True)), "int32"))
    numbers = c.g.emit(op.arange(0, shape[axis], 1, "int32"))
    row = reshape(c.g, numbers, [shape[axis] if i == axis else 1 for i in range(len(shape))])
    return c.g.emit(op.astype(binary(c.g, "equal", row, place), "float32"))


def _affine_grid(c: Context) -> Any:
    """Places (b, h, w, 2) to sample by: theta (b, 2, 3) times (x, y, 1)."""
    sizes = [int(size) for size in c.sizes(1)]
    if len(sizes) != 4:
        raise Unsupported("it is of volumes")
    b, _, h, w = sizes
    c.g.require_small(3, max(h, 0), max(w, 0))
    corners = bool(c.attr("align_corners", 0))
    along = [np.linspace(-1, 1, n) if corners else (2 * np.arange(n) + 1) / n - 1 for n in (h, w)]
    y, x = np.meshgrid(*along, indexing="ij")
    base = np.stack([x, y, np.ones_like(x)], -1).reshape(1, h * w, 3)
    places = c.g.emit(op.matmul(c.f32(base), permute(c.g, c.x(0), (0, 2, 1))))
    return reshape(c.g, places, [b, h, w, 2])


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
    total = take(c.g, c.x(2), ids, 0)
    places = part(c.g, c.x(3), 0, 0, c.g.shape(ids)[1])
    total = binary(c.g, "add", total, places)
    if c.has(1) and c.has(4):
        total = binary(c.g, "add", total, take(c.g, c.x(4), c.x(1), 0))
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
        if before:
            c.inputs[0] = c.g.emit(getattr(op, before)(c.x()))
        total = _reduce("sum")(c)
        return total if not after else c.g.emit(getattr(op, after)(total))

    return convert


def _log_sum_exp(c: Context) -> Any:
    c.inputs[0] = c.g.emit(op.exp(c.x()))
    return c.g.emit(op.log(_reduce("sum")(c)))


def _einsum(c: Context) -> Any:
    return einsum(c.g, c.attr("equation"), [c.x(i) for i in range(len(c.inputs))])


_RESIZE_MODES = {"nearest": "nearest_neighbor", "linear": "linear", "bilinear": "linear", "cubic": "cubic"}


def _resize(c: Context) -> Any:
    """Of height and width: by sizes, or by factors, which then say where places lie."""
    x = c.x()
    shape = c.g.shape(x)
    c.only(keep_aspect_ratio_policy="stretch")
    old = c.opset < 11 or c.node.op == "Upsample"
    scales_at, sizes_at = (1, 9) if old else (2, 3)
    axes = [int(axis) % len(shape) for axis in c.attr("axes") or range(len(shape))]
    wanted, factors = list(shape), [1.0] * len(shape)
    if c.has(sizes_at):
        for axis, size in zip(axes, c.sizes(sizes_at), strict=True):
            wanted[axis] = size
    else:
        given = c.known(scales_at, "scales").reshape(-1).tolist() if c.has(scales_at) else c.attr("scales")
        for axis, factor in zip(axes, given, strict=True):
            wanted[axis], factors[axis] = _scaled(shape[axis], factor), factor
    if len(shape) != 4 or not c.g.same_shape(wanted[:2], shape[:2]):
        raise Unsupported("it resizes other axes than height and width")
    # A factor that does not give the size exactly says by itself where places lie.
    exact = c.has(sizes_at) or all(
        isinstance(dim, int) and abs(dim * factor - int(size)) < 1e-6 * int(size) if isinstance(dim, int) else True
        for dim, factor, size in zip(shape[2:], factors[2:], wanted[2:], strict=True)
    )
    how = Resizing(
        _RESIZE_MODES[c.attr("mode", "nearest")],
        c.attr("coordinate_transformation_mode", "asymmetric" if old else "half_pixel"),
        rounding=c.attr("nearest_mode", "floor" if old else "round_prefer_floor"),
        alpha=c.attr("cubic_coeff_a", -0.75),
        scales=None if exact else factors[2:],
        inside=bool(c.attr("exclude_outside", 0)),
        antialias=bool(c.attr("antialias", 0)),
    )
    return resize_nchw(c.g, x, wanted[2:], how)


def _scaled(dim: Any, factor: float) -> Any:
    if isinstance(dim, int):
        return int(dim * factor + 1e-9)
    if factor != int(factor):
        raise Unsupported(f"it scales an axis of {dim} by {factor}, which is no whole number")
    return dim * int(factor)


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
    "LpNormalization": _lp_norm,
    "LRN": _local_response,
    "MeanVarianceNormalization": _mean_variance,
    "Hardmax": _hard_max,
    "AffineGrid": _affine_grid,
    "ReduceLogSum": _reduce_of("", "log"),
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
    "Resize": _resize,
    "Upsample": _resize,
    "GridSample": _grid_sample,
    "com.microsoft.SkipLayerNormalization": _skip_layer_norm,
    "com.microsoft.EmbedLayerNormalization": _embed_layer_norm,
    "com.microsoft.FusedMatMul": _fused_matmul,
}
