"""Operations on each element by itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hearth.model.evaluate.values import Array, Attributes, Operation, wide

_NODES_PER_UNIT = 32
_ERF_IS_ONE = 6.0
_TERMS = 8


def _erf_derivatives() -> Array:
    """Taylor coefficients of erf about the nodes 0, 1/32, ... 6: (nodes, terms)."""
    x = np.arange(int(_ERF_IS_ONE * _NODES_PER_UNIT) + 1) / _NODES_PER_UNIT
    terms = [np.array([math.erf(value) for value in x])]
    # The derivatives are 2/sqrt(pi) exp(-x^2) times Hermite polynomials: h[k + 1] = -2 x h[k] - 2 k h[k - 1].
    before, here = np.zeros_like(x), 2 / math.sqrt(math.pi) * np.exp(-x * x)
    for k in range(1, _TERMS):
        terms.append(here / math.factorial(k))
        before, here = here, -2 * x * here - 2 * (k - 1) * before
    return np.stack(terms, axis=1)


_ERF = _erf_derivatives()


def erf(x: Array) -> Array:
    """The error function in f64, within a few units in the last place (numpy has none)."""
    magnitude = np.minimum(np.abs(x), _ERF_IS_ONE)
    nearest = np.rint(np.nan_to_num(magnitude) * _NODES_PER_UNIT).astype(np.int64)
    offset = magnitude - nearest / _NODES_PER_UNIT
    result = np.zeros_like(magnitude)
    for k in reversed(range(_TERMS)):
        result = result * offset + _ERF[nearest, k]
    return np.copysign(result, x)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def gelu(x: Array) -> Any:
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def gelu_tanh(x: Array) -> Any:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _unary(function: Callable[[Array], Any]) -> Operation:
    return lambda attrs, x: function(wide(x))


def _binary(function: Callable[[Any, Any], Any]) -> Operation:
    return lambda attrs, a, b: function(wide(np.asarray(a)), wide(np.asarray(b)))


def _divide(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return a / b
    quotient: Array = np.abs(a) // np.abs(b) * np.sign(a) * np.sign(b)  # towards zero, as TVM divides integers
    return quotient


def _softplus(attrs: Attributes, x: Array) -> Array:
    scaled = wide(x) * attrs.beta
    return np.where(scaled > attrs.threshold, wide(x), np.logaddexp(0, scaled) / attrs.beta)


def _prelu(attrs: Attributes, x: Array, alpha: Array) -> Array:
    if alpha.ndim == 1:
        alpha = alpha.reshape([-1 if i == attrs.axis % x.ndim else 1 for i in range(x.ndim)])
    return np.where(x > 0, x, wide(x) * alpha)


_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017

ELEMENTWISE: dict[str, Operation] = {
    **{
        name: _unary(getattr(np, name))
        for name in (
            "abs", "ceil", "cos", "cosh", "exp", "floor", "isfinite", "isinf", "isnan", "log", "logical_not",
            "negative", "sign", "sin", "sinh", "sqrt", "square", "tan", "tanh", "trunc",
        )
    },
    **{f"a{name}": _unary(getattr(np, f"arc{name}")) for name in ("cos", "cosh", "sin", "sinh", "tan", "tanh")},
    **{
        name: _binary(getattr(np, name))
        for name in (
            "add", "subtract", "multiply", "maximum", "minimum", "power", "equal", "not_equal", "greater",
            "greater_equal", "less", "less_equal", "logical_and", "logical_or", "logical_xor", "bitwise_and",
            "bitwise_or", "bitwise_xor", "left_shift", "right_shift", "floor_divide",
        )
    },
    "atan2": _binary(np.arctan2),
    "mod": _binary(np.fmod),
    "floor_mod": _binary(np.mod),
    "log_add_exp": _binary(np.logaddexp),
    "divide": _binary(_divide),
    "bitwise_not": _unary(np.invert),
    "round": _unary(np.rint),
    "rsqrt": _unary(lambda x: 1 / np.sqrt(x)),
    "erf": _unary(erf),
    "sigmoid": _unary(sigmoid),
    "ewise_fma": lambda attrs, a, b, c: wide(a) * wide(b) + wide(c),
    "clip": lambda attrs, x, low, high: np.clip(wide(x), low, high),
    "where": lambda attrs, condition, a, b: np.where(condition, a, b),
    "astype": lambda attrs, x: x.astype(attrs.dtype),
    "nn.relu": _unary(lambda x: np.maximum(x, 0)),
    "nn.leakyrelu": lambda attrs, x: np.where(x > 0, x, wide(x) * attrs.alpha),
    "nn.prelu": _prelu,
    "nn.selu": _unary(lambda x: _SELU_SCALE * np.where(x > 0, x, _SELU_ALPHA * np.expm1(np.minimum(x, 0)))),
    "nn.silu": _unary(lambda x: x * sigmoid(x)),
    "nn.gelu": _unary(gelu),
    "nn.gelu_tanh": _unary(gelu_tanh),
    "nn.softplus": _softplus,
    "nn.dropout": lambda attrs, x: [x, np.ones_like(x)],  # a network that is run drops nothing
}  # fmt: skip
