"""ONNX operations on each element by itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model.imported.moves import binary, multiply, number, where
from hearth.model.imported.onnx_context import Context, Converter

# Names of Relax's operations.
_UNARY = {
    "Abs": "abs", "Acos": "acos", "Acosh": "acosh", "Asin": "asin", "Asinh": "asinh", "Atan": "atan", "Atanh": "atanh",
    "Ceil": "ceil", "Cos": "cos", "Cosh": "cosh", "Erf": "erf", "Exp": "exp", "Floor": "floor", "IsNaN": "isnan",
    "Log": "log", "Neg": "negative", "Not": "logical_not", "Round": "round", "Sigmoid": "sigmoid", "Sign": "sign",
    "Sin": "sin", "Sinh": "sinh", "Sqrt": "sqrt", "Tan": "tan", "Tanh": "tanh",
}  # fmt: skip
_BINARY = {
    "Add": "add", "Sub": "subtract", "Mul": "multiply", "And": "logical_and", "Or": "logical_or", "Xor": "logical_xor",
    "Equal": "equal", "Greater": "greater", "GreaterOrEqual": "greater_equal", "Less": "less",
    "LessOrEqual": "less_equal", "Div": "divide",
}  # fmt: skip
_CASTS = {1: "float32", 10: "float32", 11: "float32", 16: "float32", 9: "bool"}
_INTEGERS = {
    2: (0, 256),
    3: (-128, 256),
    4: (0, 1 << 16),
    5: (-(1 << 15), 1 << 16),
    6: None,
    7: None,
    12: None,
    13: None,
}
"""By the number of a type: its least value and how many it has, where those are fewer than i32 has."""


def _unary(name: str) -> Converter:
    return lambda c: c.g.emit(getattr(op, name)(c.x()))


def _binary(name: str) -> Converter:
    return lambda c: binary(c.g, name, c.x(0), c.x(1))


def _many(name: str) -> Converter:
    def convert(c: Context) -> Any:
        result = c.x(0)
        for index in range(1, len(c.inputs)):
            result = binary(c.g, name, result, c.x(index))
        return result

    return convert


def _power(c: Context) -> Any:
    exponent = c.x(1)
    if c.is_float(0) and not c.is_float(1):
        exponent = c.g.emit(op.astype(exponent, "float32"))
    if not c.is_float(0) and c.is_float(1):  # the result has the type of the base
        powered = binary(c.g, "power", c.g.emit(op.astype(c.x(), "float32")), exponent)
        return c.g.emit(op.astype(powered, str(c.x().ty.dtype)))
    if c.g.scalar(exponent) == 0.5:
        return c.g.emit(op.sqrt(c.x()))
    return binary(c.g, "power", c.x(), exponent)


def _mod(c: Context) -> Any:
    return binary(c.g, "mod" if c.attr("fmod", 0) else "floor_mod", c.x(0), c.x(1))


def cast(c: Context) -> Any:
    to, x = c.attr("to", 1), c.x()
    if to in _CASTS:
        return c.g.emit(op.astype(x, _CASTS[to]))
    if to not in _INTEGERS:
        raise Unsupported(f"it makes the type {to}")
    is_whole, limits = str(x.ty.dtype) == "int32", _INTEGERS[to]
    x = c.g.emit(op.astype(x, "int32"))
    if limits is None or not is_whole:  # of a float that does not fit nothing is said
        return x
    least, count = (c.g.constant(np.array(number)) for number in limits)
    wrapped = binary(c.g, "floor_mod", binary(c.g, "subtract", x, least), count)
    return binary(c.g, "add", wrapped, least)


def _clip(c: Context) -> Any:
    low, high = c.attr("min", -math.inf), c.attr("max", math.inf)
    if c.opset >= 11:
        low = float(c.known(1, "least value").reshape(-1)[0]) if c.has(1) else low
        high = float(c.known(2, "largest value").reshape(-1)[0]) if c.has(2) else high
    return bounded(c, c.x(), low, high)


def bounded(c: Context, x: Any, low: float, high: float) -> Any:
    if low <= 0 <= high and low == 0 and high == math.inf:
        return c.g.emit(op.nn.relu(x))
    if not c.is_float(0):
        limits = np.iinfo(str(x.ty.dtype))
        low, high = int(max(low, limits.min)), int(min(high, limits.max))
    else:
        low, high = max(low, -3.4028234663852886e38), min(high, 3.4028234663852886e38)
    return c.g.emit(op.clip(x, low, high))


def _hard_sigmoid(c: Context) -> Any:
    alpha, beta = c.attr("alpha", 0.2), c.attr("beta", 0.5)
    return bounded(c, binary(c.g, "add", multiply(c.g, c.x(), alpha), number(c.g, beta)), 0.0, 1.0)


def _hard_swish(c: Context) -> Any:
    gate = bounded(c, binary(c.g, "add", multiply(c.g, c.x(), 1 / 6), number(c.g, 0.5)), 0.0, 1.0)
    return binary(c.g, "multiply", c.x(), gate)


def _elu(scale: float = 1.0, alpha: float = 1.0) -> Converter:
    def convert(c: Context) -> Any:
        a, gamma = c.attr("alpha", alpha), c.attr("gamma", scale)
        x = c.x()
        below = binary(c.g, "subtract", c.g.emit(op.exp(c.g.emit(op.minimum(x, number(c.g, 0.0))))), number(c.g, 1.0))
        both = binary(c.g, "add", c.g.emit(op.nn.relu(x)), multiply(c.g, below, a))
        return multiply(c.g, both, gamma)

    return convert


def _mish(c: Context) -> Any:
    return binary(c.g, "multiply", c.x(), c.g.emit(op.tanh(c.g.emit(op.nn.softplus(c.x())))))


def _gelu(c: Context) -> Any:
    return c.g.emit(op.nn.gelu_tanh(c.x()) if c.attr("approximate", "none") == "tanh" else op.nn.gelu(c.x()))


def _biased(kind: str) -> Converter:
    def convert(c: Context) -> Any:
        x = binary(c.g, "add", c.x(0), c.x(1)) if c.has(1) else c.x(0)
        return c.g.emit(getattr(op.nn, kind)(x))

    return convert


def _quick_gelu(c: Context) -> Any:
    gate = c.g.emit(op.sigmoid(multiply(c.g, c.x(), c.attr("alpha", 1.702))))
    return binary(c.g, "multiply", c.x(), gate)


def _prelu(c: Context) -> Any:
    x, slope = c.x(0), c.x(1)
    below = binary(c.g, "multiply", c.g.emit(op.minimum(x, number(c.g, 0.0))), slope)
    return binary(c.g, "add", c.g.emit(op.nn.relu(x)), below)


def _where(c: Context) -> Any:
    return where(c.g, c.x(0), c.x(1), c.x(2))


def _mean(c: Context) -> Any:
    return multiply(c.g, _many("add")(c), 1 / len(c.inputs))


def _celu(c: Context) -> Any:
    """max(0, x) + min(0, a (e^(x / a) - 1))."""
    x, alpha = c.x(), c.attr("alpha", 1.0)
    grown = c.g.emit(op.exp(c.g.emit(op.minimum(multiply(c.g, x, 1 / alpha), number(c.g, 0.0)))))
    below = multiply(c.g, binary(c.g, "subtract", grown, number(c.g, 1.0)), alpha)
    return binary(c.g, "add", c.g.emit(op.nn.relu(x)), below)


def _thresholded(c: Context) -> Any:
    above = binary(c.g, "greater", c.x(), number(c.g, c.attr("alpha", 1.0)))
    return where(c.g, above, c.x(), number(c.g, 0.0))


def _shrink(c: Context) -> Any:
    """x + bias below -lambda, x - bias above lambda, 0 between."""
    x, far, bias = c.g.emit(op.astype(c.x(), "float32")), c.attr("lambd", 0.5), c.attr("bias", 0.0)
    zero = number(c.g, 0.0)
    above = where(c.g, binary(c.g, "greater", x, number(c.g, far)), binary(c.g, "add", x, number(c.g, -bias)), zero)
    below = binary(c.g, "less", x, number(c.g, -far))
    return where(c.g, below, binary(c.g, "add", x, number(c.g, bias)), above)


def _swish(c: Context) -> Any:
    return binary(c.g, "multiply", c.x(), c.g.emit(op.sigmoid(multiply(c.g, c.x(), c.attr("alpha", 1.0)))))


def _is_infinite(c: Context) -> Any:
    x = c.x()
    infinite = c.g.emit(op.isinf(x))
    for name, side in (("detect_positive", "less"), ("detect_negative", "greater")):
        if not c.attr(name, 1):
            infinite = binary(c.g, "logical_and", infinite, binary(c.g, side, x, number(c.g, 0.0)))
    return infinite


def _shift(c: Context) -> Any:
    name = "left_shift" if c.attr("direction", "LEFT") == "LEFT" else "right_shift"
    return binary(c.g, name, c.x(0), c.x(1))


def _dropout(c: Context) -> Any:
    return [c.x()]  # a network that is run drops nothing; its mask is not there


ELEMENTWISE: dict[str, Converter] = {
    **{name: _unary(relax_name) for name, relax_name in _UNARY.items()},
    **{name: _binary(relax_name) for name, relax_name in _BINARY.items()},
    "BitwiseAnd": _binary("bitwise_and"),
    "BitwiseOr": _binary("bitwise_or"),
    "BitwiseXor": _binary("bitwise_xor"),
    "BitwiseNot": _unary("bitwise_not"),
    "BitShift": _shift,
    "IsInf": _is_infinite,
    "Celu": _celu,
    "ThresholdedRelu": _thresholded,
    "Shrink": _shrink,
    "Swish": _swish,
    "Identity": lambda c: c.inputs[0],
    "Dropout": _dropout,
    "Cast": cast,
    "CastLike": lambda c: c.g.emit(op.astype(c.x(), str(c.x(1).ty.dtype))),
    "Clip": _clip,
    "Pow": _power,
    "Mod": _mod,
    "Max": _many("maximum"),
    "Min": _many("minimum"),
    "Sum": _many("add"),
    "Mean": _mean,
    "Where": _where,
    "Reciprocal": lambda c: binary(c.g, "divide", number(c.g, 1.0), c.x()),
    "Relu": lambda c: c.g.emit(op.nn.relu(c.x())),
    "LeakyRelu": lambda c: c.g.emit(op.nn.leakyrelu(c.x(), c.attr("alpha", 0.01))),
    "PRelu": _prelu,
    "Elu": _elu(),
    "Selu": _elu(1.0507009873554805, 1.6732632423543772),
    "Softplus": lambda c: c.g.emit(op.nn.softplus(c.x())),
    "Softsign": lambda c: binary(
        c.g, "divide", c.x(), binary(c.g, "add", c.g.emit(op.abs(c.x())), number(c.g, 1.0))
    ),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Mish": _mish,
    "Gelu": _gelu,
    "com.microsoft.Gelu": _gelu,
    "com.microsoft.BiasGelu": _biased("gelu"),
    "com.microsoft.FastGelu": _biased("gelu_tanh"),
    "com.microsoft.QuickGelu": _quick_gelu,
}  # fmt: skip
