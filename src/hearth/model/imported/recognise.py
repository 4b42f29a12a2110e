"""Rules that put back together what exporters take apart: linear layers, norms, activations, convolutions with what
follows them. Attention has a file of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from tvm import relax
from tvm.relax import op

from hearth.model import ops
from hearth.model.calls import arguments, operands, operation
from hearth.model.evaluate.elementwise import ELEMENTWISE, gelu, gelu_tanh, sigmoid
from hearth.model.evaluate.values import Attributes
from hearth.model.imported.graph import Array, Graph, Rule
from hearth.model.imported.moves import broadcast, linear
from hearth.model.imported.simplify import BINARY, UNARY


def matmul_is_linear(g: Graph, call: Any) -> Any:
    """x W with a known matrix."""
    x, w = call.args
    if w not in g.known or g.rank(w) != 2 or g.rank(x) < 2 or x in g.known:
        return None
    k, n = g.shape(w)
    return linear(g, x, g.derived(w, (n, k), np.transpose))


def _per_channel(g: Graph, x: Any, channels: Any) -> bool:
    """Whether a value is known and one number for each of the last axis."""
    return x in g.known and str(x.ty.dtype) == "float32" and g.same_shape(g.shape(x), [channels])


def add_is_bias(g: Graph, call: Any) -> Any:
    """What is added to a product or convolution is its bias."""
    x, b = call.args
    for name in ("hearth.linear", "hearth.conv2d", "hearth.conv2d_transpose"):
        made = g.behind(x, name)
        if made is None or not g.once(x) or not _per_channel(g, b, g.shape(x)[-1]):
            continue
        args = arguments(made)
        if len(args) == 3:
            # Two known vectors: their sum is folded.
            return g.emit(_with(made, [*args[:2], g.emit(op.add(args[2], b))])) if args[2] in g.known else None
        return g.emit(_with(made, [*args, b]))
    return None


def scale_is_weight(g: Graph, call: Any) -> Any:
    """A factor for each channel of a product or convolution goes into its weights: batch norm, layer scale."""
    x, s = call.args
    for name in ("hearth.linear", "hearth.conv2d", "hearth.conv2d_transpose"):
        made = g.behind(x, name)
        if made is None or not g.once(x) or not _per_channel(g, s, g.shape(x)[-1]):
            continue
        w, *bias = arguments(made)[1:]
        factor = g.known[s].read()
        if w not in g.known or any(b not in g.known for b in bias):
            return None
        scaled = g.derived(w, g.shape(w), partial(_scaled_rows, factor))
        return g.emit(_with(made, [arguments(made)[0], scaled, *(g.emit(op.multiply(b, s)) for b in bias)]))
    return None


def _scaled_rows(factor: Array, weights: Array) -> Array:
    result: Array = weights * factor.reshape([-1] + [1] * (weights.ndim - 1))
    return result


def _with(call: Any, args: list[Any]) -> Any:
    """One of our operations with other operands, among them perhaps a bias."""
    attrs = dict(call.attrs.items())
    attrs["bias"] = len(args) == 3
    return ops.hearth_op(operation(call).removeprefix("hearth."), args, call.ty, **attrs)


def divide_is_norm(g: Graph, call: Any) -> Any:
    """(x - mean) / sqrt(variance + epsilon), or x / sqrt(mean of squares + epsilon), over the last axis."""
    x, root = call.args
    sqrt = g.behind(root, "sqrt")
    shifted = g.behind(sqrt.args[0], "add") if sqrt is not None else None
    epsilon = g.scalar(shifted.args[1]) if shifted is not None else None
    if shifted is None or epsilon is None:
        return None
    mean = _last_mean(g, shifted.args[0])
    squared = None if mean is None else _square_of(g, mean)
    if squared is None or not _is(squared, x):
        return None
    channels = g.shape(x)[-1]
    if not isinstance(channels, int):
        return None
    ones = g.constant(np.ones(channels, np.float32), "ones")
    centred = g.behind(x, "subtract")
    if centred is not None:
        of = _last_mean(g, centred.args[1])
        if of is not None and _is(of, centred.args[0]):
            zeros = g.constant(np.zeros(channels, np.float32), "zeros")
            return g.emit(op.nn.layer_norm(centred.args[0], ones, zeros, axes=[-1], epsilon=epsilon))
    return g.emit(op.nn.rms_norm(x, ones, axes=[-1], epsilon=epsilon))


def _is(a: Any, b: Any) -> bool:
    return bool(a.same_as(b))


def _last_mean(g: Graph, var: Any) -> Any:
    """What a variable is the mean of along the last axis, which it keeps."""
    mean = g.behind(var, "mean")
    if mean is None or mean.attrs.axis is None or not mean.attrs.keepdims:
        return None
    x = mean.args[0]
    return x if [int(axis) % g.rank(x) for axis in mean.attrs.axis] == [g.rank(x) - 1] else None


def _square_of(g: Graph, var: Any) -> Any:
    if (power := g.behind(var, "power")) is not None and g.scalar(power.args[1]) == 2.0:
        return power.args[0]
    if (square := g.behind(var, "square")) is not None:
        return square.args[0]
    product = g.behind(var, "multiply")
    return product.args[0] if product is not None and _is(product.args[0], product.args[1]) else None


def multiply_by_reciprocal(g: Graph, call: Any) -> Any:
    """x * (1 / y) and x * rsqrt(y) are quotients: one form for the rules of norms."""
    for x, y in (call.args, list(call.args)[::-1]):
        if (quotient := g.behind(y, "divide")) is not None and g.scalar(quotient.args[0]) == 1.0:
            if g.same_shape(g.shape(call), g.shape(x)):
                return g.emit(op.divide(x, quotient.args[1]))
        elif (root := g.behind(y, "rsqrt")) is not None and g.same_shape(g.shape(call), g.shape(x)):
            found = divide_is_norm(g, op.divide(x, g.emit(op.sqrt(root.args[0]))))
            if found is not None:
                return found
    return None


def scale_of_norm(g: Graph, call: Any) -> Any:
    """A factor for each channel after a norm that has none yet is its weight."""
    x, s = call.args
    for name in ("nn.layer_norm", "nn.rms_norm", "nn.group_norm"):
        norm = g.behind(x, name)
        if norm is None or not g.once(x) or not _per_channel(g, s, g.shape(x)[-1]):
            continue
        if not _all(g, norm.args[1], 1.0) or any(not _all(g, bias, 0.0) for bias in norm.args[2:]):
            continue
        return g.emit(relax.Call(norm.op, [norm.args[0], s, *norm.args[2:]], norm.attrs, norm.ty_args))
    return None


def add_of_norm(g: Graph, call: Any) -> Any:
    """What is added for each channel after a norm that has no bias yet is its bias."""
    x, b = call.args
    for name in ("nn.layer_norm", "nn.group_norm"):
        norm = g.behind(x, name)
        if norm is None or not g.once(x) or not _per_channel(g, b, g.shape(x)[-1]) or not _all(g, norm.args[2], 0.0):
            continue
        return g.emit(relax.Call(norm.op, [*norm.args[:2], b], norm.attrs, norm.ty_args))
    return None


def _all(g: Graph, var: Any, value: float) -> bool:
    return var in g.known and bool(np.all(g.known[var].read() == value))


_SAMPLES = np.concatenate([np.linspace(-9, 9, 73), [0.001, -0.001, 30.0, -30.0]])
_CURVES: dict[str, Callable[[Array], Any]] = {
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "silu": lambda x: x * sigmoid(x),
}
_MARKS = ("erf", "tanh", "sigmoid", "exp")
_STEPS = (*UNARY, *BINARY)
_MOST_STEPS = 12


def product_is_activation(g: Graph, call: Any) -> Any:
    """GELU and SiLU, however they are written: what is computed of one variable and numbers alone is tried at a row of
    points, and is the function that it agrees with there."""
    steps: list[tuple[Any, Any]] = [(None, call)]
    frontier = set(_variables(g, call))
    while frontier and len(steps) <= _MOST_STEPS:
        if len(frontier) == 1 and any(operation(step) in _MARKS for _, step in steps):
            (x,) = frontier
            name = _curve(g, x, steps)
            if name is not None and str(x.ty.dtype) == "float32" and g.same_shape(g.shape(x), g.shape(call)):
                return g.emit(getattr(op.nn, name)(x))
        # The youngest of what is left is made of older ones: it is looked into first.
        youngest = max(frontier, key=lambda var: g.order.get(var, -1))
        made = g.definitions.get(youngest)
        if operation(made) not in _STEPS:
            return None
        frontier.remove(youngest)
        frontier.update(_variables(g, made))
        steps.append((youngest, made))
    return None


def _variables(g: Graph, call: Any) -> list[Any]:
    return [var for var in operands(call) if g.scalar(var) is None]


def _curve(g: Graph, x: Any, steps: list[tuple[Any, Any]]) -> str | None:
    at: dict[Any, Array] = {x: _SAMPLES}
    values = _SAMPLES
    for var, call in reversed(steps):
        parts = [at[arg] if arg in at else g.scalar(arg) for arg in call.args]
        if any(part is None for part in parts):
            return None
        with np.errstate(all="ignore"):
            values = ELEMENTWISE[operation(call)](Attributes(call.attrs, None, ()), *map(np.asarray, parts))
        at[var] = values
    for name, curve in _CURVES.items():
        wanted = curve(_SAMPLES)
        if np.all(np.abs(values - wanted) <= 2e-6 * np.maximum(np.abs(wanted), 1)):
            return name
    return None


def pick_of_uniform(g: Graph, call: Any) -> Any:
    """Elements picked of equal ones, wherever from: token types that are all 0."""
    array = g.value(call.args[0])
    if array is None or array.size == 0 or np.any(array != array.flat[0]):
        return None
    filler = relax.const(array.flat[0], str(array.dtype))
    return g.emit(op.full(relax.ShapeExpr(g.shape(call)), filler, str(array.dtype)))


def and_true(g: Graph, call: Any) -> Any:
    """x and True is x."""
    for x, other in (call.args, list(call.args)[::-1]):
        known = g.value(other)
        if known is not None and known.all():
            return broadcast(g, x, g.shape(call))
    return None


RULES: dict[str, list[Rule]] = {
    "gather_elements": [pick_of_uniform],
    "logical_and": [and_true],
    "matmul": [matmul_is_linear],
    "add": [add_is_bias, add_of_norm],
    "multiply": [scale_is_weight, scale_of_norm, multiply_by_reciprocal, product_is_activation],
    "divide": [divide_is_norm, product_is_activation],
}
