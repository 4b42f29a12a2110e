"""PyTorch's operators of neural networks: products, norms, softmax, attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model.imported.aten_context import Context, Converter
from hearth.model.imported.attention import attention, causal_mask
from hearth.model.imported.einsum import einsum
from hearth.model.imported.moves import NCHW_TO_NHWC, NHWC_TO_NCHW, binary, linear, multiply, permute, reshape

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


def _weight_norm(c: Context) -> Any:
    """A direction v with the length g, for each place of one axis."""
    v, axis = c.x("v"), c.axis("dim", of="v")
    others = [i for i in range(c.rank("v")) if i != axis]
    length = c.unary("sqrt", c.g.emit(op.sum(binary(c.g, "multiply", v, v), others, keepdims=True)))
    return binary(c.g, "multiply", v, binary(c.g, "divide", c.x("g"), length))


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


NEURAL: dict[str, Converter] = {
    "linear": _linear,
    "matmul": _matmul,
    "mm": _matmul,
    "bmm": _matmul,
    "addmm": _addmm,
    "baddbmm": _baddbmm,
    "einsum": _einsum,
    "outer": _outer,
    "batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "layer_norm": _layer_norm,
    "native_layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "group_norm": lambda c: _group_norm(c)[0],
    "native_group_norm": _group_norm,
    "instance_norm": lambda c: _group_norm(c)[0],
    "softmax": _softmax("softmax"),
    "_softmax": _softmax("softmax"),
    "log_softmax": _softmax("log_softmax"),
    "_log_softmax": _softmax("log_softmax"),
    "_weight_norm": _weight_norm,
    "scaled_dot_product_attention": _scaled_dot_product_attention,
    "_scaled_dot_product_flash_attention_for_cpu": _attention_kernel,
    "_scaled_dot_product_flash_attention": _attention_kernel,
}
