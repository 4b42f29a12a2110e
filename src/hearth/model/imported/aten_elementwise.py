"""PyTorch's operators on each element by itself."""

from __future__ import annotations

import math
from typing import Any

from tvm.relax import op

from hearth.model.imported.aten_context import Context, Converter
from hearth.model.imported.moves import multiply, number, where

# Names of Relax's operations.
_UNARY = {
    "abs": "abs", "acos": "acos", "asin": "asin", "atan": "atan", "bitwise_not": "logical_not", "ceil": "ceil",
    "cos": "cos", "cosh": "cosh", "erf": "erf", "exp": "exp", "floor": "floor", "isinf": "isinf", "isnan": "isnan",
    "log": "log", "logical_not": "logical_not", "neg": "negative", "relu": "nn.relu", "round": "round",
    "rsqrt": "rsqrt", "sigmoid": "sigmoid", "sign": "sign", "silu": "nn.silu", "sin": "sin", "sinh": "sinh",
    "sqrt": "sqrt", "square": "square",
    "acosh": "acosh", "asinh": "asinh", "atanh": "atanh", "isfinite": "isfinite",
    "tan": "tan", "tanh": "tanh", "trunc": "trunc",
}  # fmt: skip
_BINARY = {
    "mul": "multiply", "maximum": "maximum", "minimum": "minimum", "atan2": "atan2", "eq": "equal", "ne": "not_equal",
    "gt": "greater", "ge": "greater_equal", "lt": "less", "le": "less_equal", "logical_and": "logical_and",
    "logical_or": "logical_or", "logical_xor": "logical_xor", "__and__": "logical_and", "__or__": "logical_or",
    "bitwise_and": "logical_and", "bitwise_or": "logical_or", "bitwise_xor": "logical_xor", "__xor__": "logical_xor",
    "__lshift__": "left_shift", "__rshift__": "right_shift", "bitwise_left_shift": "left_shift",
    "bitwise_right_shift": "right_shift", "fmod": "mod",
}  # fmt: skip
_OF_TRUTH = ("logical_not", "logical_and", "logical_or", "logical_xor")
_OF_FLOATS = ("cos", "cosh", "erf", "exp", "log", "rsqrt", "sigmoid", "sin", "sinh", "sqrt", "tan", "tanh")


def _unary(name: str) -> Converter:
    def convert(c: Context) -> Any:
        x = c.x()
        if name in _OF_TRUTH and str(x.ty.dtype) != "bool":
            if c.node.target.startswith("aten.bitwise"):
                return c.unary("bitwise_not", x)
            x = c.cast(x, "bool")
        return c.unary(name, c.cast(x, "float32") if name in _OF_FLOATS else x)

    return convert


def _binary(name: str) -> Converter:
    def convert(c: Context) -> Any:
        a, b = c.x("self"), c.x("other")
        if name in _OF_TRUTH:
            bits = "bitwise" in c.node.target or "__" in c.node.target
            if bits and not str(a.ty.dtype) == str(b.ty.dtype) == "bool":
                return c.binary(name.replace("logical", "bitwise"), c.cast(a, "int32"), c.cast(b, "int32"))
            a, b = c.cast(a, "bool"), c.cast(b, "bool")
        return c.binary(name, a, b)

    return convert


def _sum(name: str, *, turned: bool = False) -> Converter:
    """a + alpha * b, a - alpha * b."""

    def convert(c: Context) -> Any:
        a, b, alpha = c.get("self"), c.get("other"), c.get("alpha", 1)
        if _is_size(a, b):
            return c.g.simplified(a + alpha * b if name == "add" else a - alpha * b)
        b = c.tensor(b)
        b = b if alpha == 1 else c.binary("multiply", b, alpha)
        return c.binary(name, b, a) if turned else c.binary(name, a, b)

    return convert


def _is_size(*values: Any) -> bool:
    return all(not hasattr(getattr(value, "ty", None), "shape") for value in values)


def _divide(c: Context) -> Any:
    mode = c.get("rounding_mode")
    a, b = c.x("self"), c.x("other")
    floats = "float32" in (str(a.ty.dtype), str(b.ty.dtype))
    if mode == "floor":
        return c.unary("floor", c.binary("divide", a, b)) if floats else c.binary("floor_divide", a, b)
    if mode == "trunc" and not floats:
        return c.binary("divide", a, b)
    quotient = c.binary("divide", c.cast(a, "float32"), c.cast(b, "float32"))
    return c.unary("trunc", quotient) if mode == "trunc" else quotient


def _floor_divide(c: Context) -> Any:
    a, b = c.x("self"), c.x("other")
    if "float32" in (str(a.ty.dtype), str(b.ty.dtype)):
        return c.unary("floor", c.binary("divide", a, b))
    return c.binary("floor_divide", a, b)


def _power(c: Context) -> Any:
    base, exponent = c.get("self"), c.get("exponent")
    if isinstance(exponent, int | float):
        x = c.x()
        if exponent == 0.5:
            return c.unary("sqrt", c.cast(x, "float32"))
        if exponent == -0.5:
            return c.unary("rsqrt", c.cast(x, "float32"))
        if exponent == 2:
            return c.binary("multiply", x, x)
        return c.binary("power", x, exponent)
    if isinstance(base, int | float) and base > 0:  # a^x as e^(x log a), which is what it is computed by
        x = c.cast(c.x("exponent"), "float32")
        return c.unary("exp", c.binary("multiply", x, math.log(base)))
    return c.binary("power", c.x(), c.x("exponent"))


def _clamp(c: Context) -> Any:
    x = c.x()
    low, high = c.get("min"), c.get("max")
    if any(bound is not None and not isinstance(bound, int | float) for bound in (low, high)):
        x = x if low is None else c.binary("maximum", x, low)
        return x if high is None else c.binary("minimum", x, high)
    if low == 0 and high is None and str(x.ty.dtype) == "float32":
        return c.unary("nn.relu", x)
    if str(x.ty.dtype) == "float32":
        low, high = (low if low is not None else -3.4e38), (high if high is not None else 3.4e38)
    else:
        low, high = (int(low) if low is not None else -(1 << 31)), (int(high) if high is not None else (1 << 31) - 1)
    return c.g.emit(op.clip(x, low, high))


def _hard_tanh(c: Context) -> Any:
    return c.g.emit(op.clip(c.x(), c.get("min_val", -1.0), c.get("max_val", 1.0)))


def _hard_sigmoid(c: Context) -> Any:
    return c.g.emit(op.clip(c.binary("add", multiply(c.g, c.x(), 1 / 6), 0.5), 0.0, 1.0))


def _gelu(c: Context) -> Any:
    return c.unary("nn.gelu_tanh" if c.get("approximate", "none") == "tanh" else "nn.gelu", c.x())


def _elu(c: Context) -> Any:
    x, alpha = c.x(), c.get("alpha", 1.0)
    c.only(scale=1, input_scale=1)
    below = c.binary("subtract", c.unary("exp", c.g.emit(op.minimum(x, number(c.g, 0.0)))), 1.0)
    return c.binary("add", c.unary("nn.relu", x), multiply(c.g, below, alpha))


def _softplus(c: Context) -> Any:
    return c.g.emit(op.nn.softplus(c.x(), c.get("beta", 1.0), c.get("threshold", 20.0)))


def _where(c: Context) -> Any:
    a, b = c.x("self"), c.x("other")
    if str(a.ty.dtype) != str(b.ty.dtype):
        a, b = c.cast(a, "float32"), c.cast(b, "float32")
    return where(c.g, c.x("condition"), a, b)


def _masked_fill(c: Context) -> Any:
    x, value = c.x(), c.cast(c.x("value"), str(c.x().ty.dtype))
    return where(c.g, c.x("mask"), value, x)


def _nan_to_num(c: Context) -> Any:
    x = c.x()
    x = c.g.emit(op.where(c.unary("isnan", x), number(c.g, float(c.get("nan", 0.0))), x))
    return c.g.emit(op.clip(x, c.get("neginf", -3.4028234663852886e38), c.get("posinf", 3.4028234663852886e38)))


def _to(c: Context) -> Any:
    return c.cast(c.x(), c.dtype())


def _expm1(c: Context) -> Any:
    return c.binary("subtract", c.unary("exp", c.x()), 1.0)


def _log1p(c: Context) -> Any:
    return c.unary("log", c.binary("add", c.x(), 1.0))


def _leaky(c: Context) -> Any:
    return c.g.emit(op.nn.leakyrelu(c.x(), c.get("negative_slope", 0.01)))


def _prelu(c: Context) -> Any:
    x, slope = c.x(), c.x("weight")
    if c.g.shape(slope) != [1]:
        slope = c.g.emit(op.reshape(slope, [-1, *[1] * (c.rank() - 2)]))
    below = c.binary("multiply", c.g.emit(op.minimum(x, number(c.g, 0.0))), slope)
    return c.binary("add", c.unary("nn.relu", x), below)


def _mish(c: Context) -> Any:
    return c.binary("multiply", c.x(), c.unary("tanh", c.g.emit(op.nn.softplus(c.x()))))


def _remainder(c: Context) -> Any:
    return c.binary("floor_mod", c.x("self"), c.x("other"))


def _same(c: Context) -> Any:
    return c.get("self", c.get("input"))


ELEMENTWISE: dict[str, Converter] = {
    **{name: _unary(relax_name) for name, relax_name in _UNARY.items()},
    **{name: _binary(relax_name) for name, relax_name in _BINARY.items()},
    **dict.fromkeys(
        (
            "clone", "contiguous", "detach", "alias", "lift_fresh_copy", "lift_fresh", "dropout", "alpha_dropout",
            "feature_dropout", "detach_",
        ),
        _same,
    ),
    "add": _sum("add"),
    "sub": _sum("subtract"),
    "rsub": _sum("subtract", turned=True),
    "div": _divide,
    "true_divide": _divide,
    "floor_divide": _floor_divide,
    "remainder": _remainder,
    "pow": _power,
    "clamp": _clamp,
    "clip": _clamp,
    "clamp_min": _clamp,
    "clamp_max": _clamp,
    "hardtanh": _hard_tanh,
    "relu6": lambda c: c.g.emit(op.clip(c.x(), 0.0, 6.0)),
    "hardsigmoid": _hard_sigmoid,
    "hardswish": lambda c: c.binary("multiply", c.x(), _hard_sigmoid(c)),
    "gelu": _gelu,
    "elu": _elu,
    "leaky_relu": _leaky,
    "prelu": _prelu,
    "mish": _mish,
    "softplus": _softplus,
    "expm1": _expm1,
    "log1p": _log1p,
    "reciprocal": lambda c: c.binary("divide", 1.0, c.cast(c.x(), "float32")),
    "where": _where,
    "masked_fill": _masked_fill,
    "nan_to_num": _nan_to_num,
    "_to_copy": _to,
    "to": _to,
    "type_as": lambda c: c.cast(c.x(), str(c.x("other").ty.dtype)),
}  # fmt: skip
