"""ONNX operations of neural networks: products, norms, softmax."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm.relax import op

from hearth.model.imported.einsum import einsum
from hearth.model.imported.indices import take
from hearth.model.imported.moves import NCHW_TO_NHWC, NHWC_TO_NCHW, binary, linear, multiply, part, permute, reshape
from hearth.model.imported.onnx_context import Context, Converter


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


def _einsum(c: Context) -> Any:
    return einsum(c.g, c.attr("equation"), [c.x(i) for i in range(len(c.inputs))])


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


NEURAL: dict[str, Converter] = {
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Einsum": _einsum,
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm,
    "GroupNormalization": _group_norm,
    "LayerNormalization": _layer_norm,
    "LpNormalization": _lp_norm,
    "LRN": _local_response,
    "MeanVarianceNormalization": _mean_variance,
    "RMSNormalization": _rms_norm,
    "SimplifiedLayerNormalization": _rms_norm,
    "Softmax": _softmax("softmax"),
    "LogSoftmax": _softmax("log_softmax"),
    "com.microsoft.SkipLayerNormalization": _skip_layer_norm,
    "com.microsoft.EmbedLayerNormalization": _embed_layer_norm,
    "com.microsoft.FusedMatMul": _fused_matmul,
}
