"""ONNX operations on sizes: what is computed of shapes while some of these are symbols."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import tirx
from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model.imported.converting import as_variable, settled
from hearth.model.imported.graph import Array
from hearth.model.imported.onnx_context import Context


def shape(c: Context) -> Any:
    begin, end = c.attr("start", 0), c.attr("end")
    value = c.inputs[0]
    sizes = (list(value.shape) if isinstance(value, np.ndarray) else c.g.shape(value))[slice(begin, end)]
    array = np.empty(len(sizes), object)
    array[:] = sizes
    return settled(c.g, array)


def size(c: Context) -> Any:
    total: Any = 1
    for dim in c.g.shape(c.x()):
        total = total * dim
    return settled(c.g, np.array([total], object).reshape(()))


def _numbers(c: Context, index: int) -> Array:
    """An operand as an array of ints and sizes."""
    value = c.inputs[index]
    if isinstance(value, np.ndarray):
        return value
    array = c.g.value(value)
    if array is None:
        raise Unsupported("it computes with sizes and with values of the inputs")
    if array.dtype.kind == "f":
        raise Unsupported("it computes with a size that is not fixed, in floating point")
    return array.astype(object)


def _each(function: Callable[..., Any]) -> Callable[[Context], Array]:
    def convert(c: Context) -> Array:
        parts = np.broadcast_arrays(*(_numbers(c, i) for i in range(len(c.inputs))))
        out = np.empty(parts[0].size, object)
        out[:] = [function(*items) for items in zip(*(part.reshape(-1) for part in parts), strict=True)]
        return out.reshape(parts[0].shape)

    return convert


def _quotient(a: Any, b: Any) -> Any:
    return a // b  # of sizes, which are never negative


def _equal(c: Context) -> Array:
    def same(a: Any, b: Any) -> int:
        if c.g.same(a, b):
            return 1
        if (isinstance(a, int) and isinstance(b, int)) or c.g.analyzer.can_prove(a != b):
            return 0
        raise Unsupported("it depends on the value of a size that is not fixed")

    return _each(same)(c)


def _chosen(condition: Any, a: Any, b: Any) -> Any:
    if not isinstance(condition, int | bool | np.integer):
        raise Unsupported("it depends on the value of a size that is not fixed")
    return a if condition else b


def _gather(c: Context) -> Array:
    index = c.known(1, "index").astype(np.int64)
    found: Array = np.take(_numbers(c, 0), index, c.attr("axis", 0))
    return np.asarray(found, object)


def _slice(c: Context) -> Array:
    numbers = _numbers(c, 0)
    if c.opset < 10:
        begin, end = c.attr("starts"), c.attr("ends")
    else:
        begin, end = c.sizes(1), c.sizes(2)
    step = c.sizes(4) if c.has(4) else [1] * len(begin)
    if numbers.ndim != 1 or not all(isinstance(i, int) for i in (*begin, *end, *step)):
        raise Unsupported("it takes a part of sizes by sizes")
    return numbers[begin[0] : end[0] : step[0]]


def _squeezed(c: Context) -> Array:
    numbers = _numbers(c, 0)
    axes = c.axes(numbers.ndim, 1, 13)
    return np.squeeze(numbers, None if axes is None else tuple(axes))


def _unsqueezed(c: Context) -> Array:
    numbers = _numbers(c, 0)
    axes = c.axes(numbers.ndim + 1, 1, 13)
    return np.expand_dims(numbers, tuple(axes or ()))


def _reshaped(c: Context) -> Array:
    return _numbers(c, 0).reshape([int(dim) for dim in c.sizes(1)])


def _concat(c: Context) -> Array:
    return np.concatenate([_numbers(c, i) for i in range(len(c.inputs))], c.attr("axis", 0))


def _product(c: Context) -> Array:
    total: Any = 1
    for number in _numbers(c, 0).reshape(-1):
        total = total * number
    rank = 1 if c.attr("keepdims", 1) else 0
    return np.array([total], object).reshape((1,) * rank)


def _same(c: Context) -> Array:
    return _numbers(c, 0)


def _cast(c: Context) -> Any:
    """Sizes as floats are numbers of the graph."""
    if c.attr("to") in (1, 10, 11):
        return c.g.emit(op.astype(as_variable(c.g, _numbers(c, 0)), "float32"))
    return _numbers(c, 0)


_OF_ALL = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Equal", "Where", "Concat")
"""Operations that are of sizes where one operand is and the others are known; others, where their first operand is."""


def is_of_sizes(c: Context) -> bool:
    """Whether a node computes sizes, of which some are symbols."""
    inputs = c.inputs if c.node.op in _OF_ALL else c.inputs[:1]
    symbolic = [isinstance(value, np.ndarray) for value in inputs]
    return any(symbolic) and all(
        given or (value is not None and c.g.value(value) is not None)
        for given, value in zip(symbolic, inputs, strict=True)
    )


SIZES: dict[str, Callable[[Context], Any]] = {
    "Add": _each(lambda a, b: a + b),
    "Sub": _each(lambda a, b: a - b),
    "Mul": _each(lambda a, b: a * b),
    "Div": _each(_quotient),
    "Max": _each(lambda a, b: max(a, b) if isinstance(a, int) and isinstance(b, int) else tirx.max(a, b)),
    "Min": _each(lambda a, b: min(a, b) if isinstance(a, int) and isinstance(b, int) else tirx.min(a, b)),
    "Equal": _equal,
    "Where": _each(_chosen),
    "Gather": _gather,
    "Slice": _slice,
    "Squeeze": _squeezed,
    "Unsqueeze": _unsqueezed,
    "Reshape": _reshaped,
    "Concat": _concat,
    "ReduceProd": _product,
    "Identity": _same,
    "Cast": _cast,
}
