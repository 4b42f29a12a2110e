"""ONNX operations of quantised models. Whole numbers stay in f32 between them; products are of what they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model.imported.graph import Array
from hearth.model.imported.moves import binary, conv2d_nchw, linear, number
from hearth.model.imported.onnx_context import Context, Converter
from hearth.model.imported.onnx_elementwise import ELEMENTWISE
from hearth.model.imported.onnx_maps import MAPS, windows
from hearth.model.imported.onnx_neural import NEURAL
from hearth.model.imported.onnx_reductions import REDUCTIONS

FLOATS: dict[str, Converter] = {**ELEMENTWISE, **NEURAL, **MAPS, **REDUCTIONS}
_TYPES = {2: np.dtype(np.uint8), 3: np.dtype(np.int8), 4: np.dtype(np.uint16), 5: np.dtype(np.int16)}


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
        packed = c.kind(3) == np.uint8
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


def _scaling(c: Context, scale_at: int, zero_at: int, like: Any) -> tuple[Array, Array]:
    """Scale and zero point in a shape that goes with an array: of all, of an axis, or of blocks along it."""
    scale = c.known(scale_at, "scale")
    zero = c.known(zero_at, "zero point") if c.has(zero_at) else np.zeros((), np.int8)
    rank, axis, block = c.g.rank(like), c.attr("axis", 1), c.attr("block_size", 0)
    if block:
        dim = c.g.shape(like)[axis]
        scale, zero = (np.repeat(p, block, axis).take(range(dim), axis) if p.ndim else p for p in (scale, zero))
    return _along(scale, rank, axis).astype(np.float32), _along(zero, rank, axis).astype(np.float32)


def _dequantize(c: Context) -> Any:
    scale, zero = _scaling(c, 1, 2, c.x(0))
    values = c.g.value(c.x(0))
    if values is not None:
        return c.g.constant((values.astype(np.float32) - zero) * scale, c.node.inputs[0])
    shifted = binary(c.g, "subtract", c.g.emit(op.astype(c.x(0), "float32")), c.f32(zero))
    return binary(c.g, "multiply", shifted, c.f32(scale))


def _quantize(c: Context) -> Any:
    scale, zero = _scaling(c, 1, 2, c.x(0))
    kind = c.kind(2) if c.has(2) else _TYPES.get(c.attr("output_dtype", 2), np.dtype(np.float32))
    return _rounded(c, c.x(0), scale, zero, kind)


def _rounded(c: Context, x: Any, scale: Array, zero: Array, kind: Any) -> Any:
    if kind.kind not in "iu":
        raise Unsupported(f"it makes the type {kind}")
    limits = np.iinfo(kind)
    scaled = binary(c.g, "divide", x, c.f32(scale))
    shifted = binary(c.g, "add", c.g.emit(op.round(scaled)), c.f32(zero))
    return c.g.emit(op.clip(shifted, float(limits.min), float(limits.max)))


def _dynamic(c: Context) -> Any:
    """The bytes of an array whose largest and smallest number are looked for, their scale and zero point."""
    y, scale, zero = _measured(c, c.x(0))
    return [binary(c.g, "add", y, zero), scale, zero]


def _measured(c: Context, x: Any) -> tuple[Any, Any, Any]:
    """Bytes less their zero point, scale, zero point."""
    g, axes = c.g, list(range(c.g.rank(x)))
    high = g.emit(op.maximum(g.emit(op.max(x, axes)), number(g, 0.0)))
    low = g.emit(op.minimum(g.emit(op.min(x, axes)), number(g, 0.0)))
    scale = binary(g, "divide", binary(g, "subtract", high, low), number(g, 255.0))
    zero = g.emit(op.round(g.emit(op.clip(binary(g, "divide", g.emit(op.negative(low)), scale), 0.0, 255.0))))
    rounded = binary(g, "add", g.emit(op.round(binary(g, "divide", x, scale))), zero)
    return binary(g, "subtract", g.emit(op.clip(rounded, 0.0, 255.0)), zero), scale, zero


def _less_zero(c: Context, at: int, zero_at: int) -> Any:
    """An operand of whole numbers without its zero point, as f32; a known one as a constant."""
    x = c.x(at)
    zero = c.x(zero_at) if c.has(zero_at) else None
    if zero is not None and c.g.rank(zero) == 1 and c.g.shape(zero) != [1]:
        raise Unsupported("its zero points differ by rows")
    as_f32 = c.g.emit(op.astype(x, "float32"))
    if zero is None:
        return as_f32
    zero = c.g.emit(op.astype(zero, "float32"))
    return binary(c.g, "subtract", as_f32, c.g.emit(op.reshape(zero, [])) if c.g.rank(zero) else zero)


def _weights(c: Context, at: int, zero_at: int) -> Any:
    """A known operand of whole numbers without its zero points, of all or of its last axis."""
    values = c.known(at, "weights").astype(np.float32)
    zero = c.known(zero_at, "zero point").astype(np.float32) if c.has(zero_at) else np.float32(0)
    return c.g.constant(values - zero, c.node.inputs[at])


def _matmul_integer(c: Context) -> Any:
    a = _less_zero(c, 0, 2)
    b = _weights(c, 1, 3) if c.g.value(c.x(1)) is not None else _less_zero(c, 1, 3)
    return c.g.emit(op.matmul(a, b))


def _conv_integer(c: Context) -> Any:
    x, w = _less_zero(c, 0, 2), _weights_of_channels(c, 1, 3)
    return _convolved(c, x, w, None)


def _weights_of_channels(c: Context, at: int, zero_at: int) -> Any:
    values = c.known(at, "weights").astype(np.float32)
    zero = c.known(zero_at, "zero point").astype(np.float32) if c.has(zero_at) else np.zeros((), np.float32)
    return c.g.constant(values - _along(zero, values.ndim, 0), c.node.inputs[at])


def _convolved(c: Context, x: Any, w: Any, bias: Any | None) -> Any:
    kernel = c.g.shape(w)[2:]
    if len(kernel) != 2:
        raise Unsupported(f"it is a convolution over {len(kernel)} axes")
    about = windows(c, c.g.shape(x)[2:], kernel)
    return conv2d_nchw(c.g, x, w, bias, groups=c.attr("group", 1), **about)


def _value(c: Context, at: int) -> Any:
    """What whole numbers stand for: operand, scale and zero point, one after the other."""
    scale, zero = (c.known(at + i, "scale").astype(np.float32) for i in (1, 2))
    values = c.g.value(c.x(at))
    if values is not None:
        axis = 0 if scale.ndim == 0 or scale.size == 1 else (values.ndim - 1 if values.ndim == 2 else 0)
        scale, zero = (_along(p, values.ndim, axis) if p.size > 1 else p.reshape(()) for p in (scale, zero))
        return c.g.constant((values.astype(np.float32) - zero) * scale, c.node.inputs[at])
    if scale.size > 1:
        raise Unsupported("what it computes with has a scale for each row")
    shifted = binary(c.g, "subtract", c.g.emit(op.astype(c.x(at), "float32")), c.f32(zero.reshape(())))
    return binary(c.g, "multiply", shifted, c.f32(scale.reshape(())))


def _written(c: Context, y: Any, at: int) -> Any:
    """A result as whole numbers, with the scale and zero point that stand at an operand and behind it."""
    scale, zero = (c.known(at + i, "scale").astype(np.float32).reshape(()) for i in (0, 1))
    return _rounded(c, y, scale, zero, c.kind(at + 1))


def _qlinear_matmul(c: Context) -> Any:
    return _written(c, c.g.emit(op.matmul(_value(c, 0), _value(c, 3))), 6)


def _qlinear_conv(c: Context) -> Any:
    bias = None
    if c.has(8):
        scale = c.known(1, "scale").astype(np.float64) * c.known(4, "scale").astype(np.float64)
        bias = c.f32(c.known(8, "bias") * scale)
    return _written(c, _convolved(c, _value(c, 0), _value(c, 3), bias), 6)


def _qlinear_binary(name: str) -> Converter:
    return lambda c: _written(c, binary(c.g, name, _value(c, 0), _value(c, 3)), 6)


def _qlinear_of(name: str) -> Converter:
    """Of one operand, by the operator that does the same with floats: x, its scale and zero point, then those of y."""

    def convert(c: Context) -> Any:
        x = _value(c, 0)
        plain = Context(c.g, c.node, [x], 13, c.inline)
        found = FLOATS[name](plain)
        return _written(c, found[0] if isinstance(found, list) else found, 3)

    return convert


def _qlinear_concat(c: Context) -> Any:
    parts = [_value(c, at) for at in range(2, len(c.inputs), 3)]
    return _written(c, c.g.emit(op.concat(parts, c.attr("axis", 0))), 0)


def _qgemm(c: Context) -> Any:
    """a and b, each with scale and zero point; bias of whole numbers; scale and zero point of y, or none for floats."""
    c.only(transA=0)
    a, b = _value(c, 0), _value(c, 3)
    if c.attr("transB", 0):
        b = c.g.derived(b, c.g.shape(b)[::-1], np.transpose)
    y = c.g.emit(op.matmul(a, b))
    if c.has(6):
        scale = c.known(1, "scale").astype(np.float64) * c.known(4, "scale").astype(np.float64)
        y = binary(c.g, "add", y, c.f32(c.known(6, "bias") * scale))
    return _written(c, y, 7) if c.has(7) else y


def _matmul_to_float(c: Context) -> Any:
    """a, b, their scales, their zero points, bias."""
    a = binary(c.g, "multiply", _less_zero(c, 0, 4), c.x(2))
    weights = c.g.value(_weights(c, 1, 5)) if c.g.value(c.x(1)) is not None else None
    if weights is None:
        raise Unsupported("its weights depend on the inputs")
    scaled = c.g.constant(weights * c.known(3, "scale").astype(np.float32), c.node.inputs[1])
    y = c.g.emit(op.matmul(a, scaled))
    return binary(c.g, "add", y, c.x(6)) if c.has(6) else y


def _dynamic_matmul(c: Context) -> Any:
    """a as it is, b, its scale and zero point, bias."""
    rounded, scale, _ = _measured(c, c.x(0))
    weights = c.known(1, "weights").astype(np.float32)
    zero = c.known(3, "zero point").astype(np.float32) if c.has(3) else np.float32(0)
    b = c.g.constant((weights - zero) * c.known(2, "scale").astype(np.float32), c.node.inputs[1])
    y = c.g.emit(op.matmul(binary(c.g, "multiply", rounded, scale), b))
    return binary(c.g, "add", y, c.x(4)) if c.has(4) else y


QUANTISED: dict[str, Converter] = {
    "DequantizeLinear": _dequantize,
    "QuantizeLinear": _quantize,
    "DynamicQuantizeLinear": _dynamic,
    "MatMulInteger": _matmul_integer,
    "ConvInteger": _conv_integer,
    "QLinearMatMul": _qlinear_matmul,
    "QLinearConv": _qlinear_conv,
    "com.microsoft.DequantizeLinear": _dequantize,
    "com.microsoft.QuantizeLinear": _quantize,
    "com.microsoft.MatMulNBits": _matmul_nbits,
    "com.microsoft.MatMulIntegerToFloat": _matmul_to_float,
    "com.microsoft.DynamicQuantizeMatMul": _dynamic_matmul,
    "com.microsoft.QGemm": _qgemm,
    "com.microsoft.QLinearConcat": _qlinear_concat,
    **{
        f"com.microsoft.QLinear{name}": _qlinear_of(name)
        for name in ("Sigmoid", "LeakyRelu", "GlobalAveragePool", "AveragePool", "Softmax")
    },
    "com.microsoft.QLinearAdd": _qlinear_binary("add"),
    "com.microsoft.QLinearMul": _qlinear_binary("multiply"),
}
