"""Arithmetic over elements becomes `hearth.map`: an expression over operands, as much in one piece as is used once.

Operands are broadcast as numpy does it. What is not arithmetic (norms, products, reductions, moves) ends an expression.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from tvm import relax

from hearth.compiler.passes.rewrite import Graph, attribute, dtype_of, operation, rewrite, scalar
from hearth.compiler.symbolic import same_shape
from hearth.compiler.views import Term
from hearth.errors import Unsupported
from hearth.model.ops import hearth_op

_BINARY = {
    "add", "subtract", "multiply", "divide", "maximum", "minimum", "less", "less_equal", "greater", "greater_equal",
    "equal", "not_equal", "atan2", "bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift", "floor_mod",
    "mod",
}  # fmt: skip
_LOGICAL = {"logical_and": "multiply", "logical_or": "maximum", "logical_xor": "not_equal"}
"""Of truth, as 1 and 0."""
_UNARY = {
    **{
        name: name
        for name in (
            "negative",
            "abs",
            "sqrt",
            "rsqrt",
            "floor",
            "ceil",
            "round",
            "trunc",
            "exp",
            "log",
            "sin",
            "cos",
            "erf",
            "sigmoid",
            "tanh",
            "acos",
            "acosh",
            "asin",
            "asinh",
            "atan",
            "atanh",
            "cosh",
            "isinf",
            "isnan",
            "sinh",
        )
    },
    **{f"nn.{name}": name for name in ("relu", "silu", "gelu", "gelu_tanh")},
}
MOST_OPERANDS = 7
"""With the result, as many buffers as a kernel on GPUs may have."""
MOST_WHOLE = 1 << 24
"""Up to it f32 holds every integer."""


def _clip(value: Any, x: Term) -> Term:
    low, high = (float(bound.value) for bound in value.args[1:])
    return ["minimum", ["maximum", x, low], high]


def _leaky_relu(value: Any, x: Term) -> Term:
    return ["maximum", x, ["multiply", x, float(value.attrs.alpha)]]


def _square(value: Any, x: Term) -> Term:
    return ["multiply", x, x]


def _softplus(value: Any, x: Term) -> Term:
    """log(1 + e**z) / beta with z = beta x, which beyond the threshold is z itself, as it is in f32 anyway."""
    beta = float(value.attrs.beta)
    return ["softplus", x] if beta == 1.0 else ["multiply", ["softplus", ["multiply", x, beta]], 1 / beta]


_SPECIAL: Mapping[str, Callable[[Any, Term], Term]] = {
    "clip": _clip,
    "nn.leakyrelu": _leaky_relu,
    "square": _square,
    "nn.softplus": _softplus,
    "logical_not": lambda value, x: ["equal", x, 0.0],
    "bitwise_not": lambda value, x: ["subtract", -1.0, x],
    "isfinite": lambda value, x: ["less", ["abs", x], math.inf],
    "sign": lambda value, x: ["subtract", ["greater", x, 0.0], ["less", x, 0.0]],
    "tan": lambda value, x: ["divide", ["sin", x], ["cos", x]],
}


def fuse_elementwise(module: Any) -> Any:
    """Every operation on elements as `hearth.map(operands..., term=)`."""

    def rule(graph: Graph, value: Any) -> Any:
        if operation(value) == "astype" and dtype_of(value.ty) == dtype_of(value.args[0].ty):
            return value.args[0]
        operands: list[Any] = []
        term = _term(graph, value, value.ty, operands)
        if term is None or not isinstance(value.ty, relax.TensorType):
            return None
        dtype = "int32" if dtype_of(value.ty).startswith("int") else "float32"  # truth is 1.0 and 0.0
        return hearth_op("map", operands, relax.TensorType(value.ty.shape, dtype), term=json.dumps(term))

    return rewrite(module, rule)


def map_term(value: Any) -> Term:
    """The expression of a `hearth.map`, lists as tuples."""

    def tuples(term: Any) -> Any:
        return tuple(tuples(part) for part in term) if isinstance(term, list) else term

    return tuples(json.loads(str(attribute(value, "term"))))


def _term(graph: Graph, value: Any, ty: Any, operands: list[Any], after: int = 0) -> Term | None:
    """The expression of an operation, its operands added to `operands`; None: it is none on elements.

    Args:
        after: so many operands of what reads it may follow.
    """
    name = operation(value)

    def of(*args: Any) -> list[Term]:
        return [_operand(graph, x, ty, operands, after + len(args) - 1 - i) for i, x in enumerate(args)]

    if name == "divide" and _is_integer(value.ty):
        return ["trunc", [name, *of(*value.args)]]
    if name in _BINARY:
        return [name, *of(*value.args)]
    if name in _LOGICAL and all(dtype_of(x.ty) != "int32" for x in value.args):
        return [_LOGICAL[name], *of(*value.args)]
    if name in _UNARY:
        return [_UNARY[name], *of(value.args[0])]
    if name == "where":
        return [name, *of(*value.args)]
    if name in _SPECIAL:
        return _SPECIAL[name](value, *of(value.args[0]))
    if name == "floor_divide":
        return ["floor", ["divide", *of(*value.args)]]
    if name == "power":
        return _power(value, of)
    if name == "astype":
        return _converted(value, *of(value.args[0]))
    return None


def _is_integer(ty: Any) -> bool:
    return dtype_of(ty) in ("int32", "int64", "uint8", "int8")


def _converted(value: Any, x: Term) -> Term | None:
    """A number of another type; integers are whole numbers, truth is 1 and 0."""
    if dtype_of(value.ty) == "bool":
        return ["not_equal", x, 0.0]
    if _is_integer(value.ty) and dtype_of(value.args[0].ty) == "float32":
        return ["trunc", x]
    return ["copy", x] if dtype_of(value.ty) == "float32" or _is_integer(value.ty) else None


def _power(value: Any, of: Callable[..., list[Term]]) -> Term:
    exponent = scalar(value.args[1])
    if exponent is not None and exponent in _POWERS:
        return _POWERS[exponent](*of(value.args[0]))
    term = ["power", *of(*value.args)]
    return ["round", term] if _is_integer(value.ty) else term


_POWERS: Mapping[float, Callable[[Term], Term]] = {
    2.0: lambda x: ["multiply", x, x],
    3.0: lambda x: ["multiply", x, ["multiply", x, x]],
    0.5: lambda x: ["sqrt", x],
    -0.5: lambda x: ["rsqrt", x],
}


def _operand(graph: Graph, x: Any, ty: Any, operands: list[Any], after: int) -> Term:
    number = scalar(x)
    if number is not None:
        if _is_integer(x.ty) and abs(number) > MOST_WHOLE:
            raise Unsupported(
                f"The whole number {number:.0f} cannot be computed with exactly.",
                why="Integers are computed as 32-bit floats, which hold them up to 16,777,216.",
            )
        return number
    value = graph.value(x) if isinstance(x, relax.Var) else None
    # An operation that only this one reads, over the same elements, is computed here. A variable that is read twice by
    # one expression has two uses and stays an operand.
    if value is not None and graph.only_use(x) and same_shape(x.ty, ty):
        before = list(operands)
        term = _term(graph, value, ty, operands, after)
        if term is not None and len(operands) + after <= MOST_OPERANDS:
            return term
        operands[:] = before
    for index, known in enumerate(operands):
        if known.same_as(x):
            return index
    operands.append(x)
    return len(operands) - 1
