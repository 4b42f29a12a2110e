"""Operations that fold or order an axis, and products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hearth.model.evaluate.values import Array, Attributes, Operation, axes_of, wide


def _fold(function: Callable[..., Any]) -> Operation:
    def operation(attrs: Attributes, x: Array) -> Any:
        return function(wide(x), axis=axes_of(attrs.axis, x.ndim), keepdims=bool(attrs.keepdims))

    return operation


def _place(function: Callable[..., Any]) -> Operation:
    def operation(attrs: Attributes, x: Array) -> Any:
        if attrs.axis is None:
            result = function(x)
            return np.reshape(result, (1,) * x.ndim) if attrs.keepdims else result
        return function(x, axis=attrs.axis, keepdims=bool(attrs.keepdims))

    return operation


def _running(function: Callable[..., Any], first: int) -> Operation:
    def operation(attrs: Attributes, x: Array) -> Array:
        x, axis = (x.reshape(-1), 0) if attrs.axis is None else (x, attrs.axis)
        result: Array = function(wide(x), axis=axis)
        if attrs.exclusive:
            result = np.roll(result, 1, axis)
            result[(slice(None),) * (axis % x.ndim) + (0,)] = first
        return result

    return operation


def _order(x: Array, axis: int, descending: bool) -> Array:
    """Indices that sort an axis; equal elements stay in their order."""
    if not descending:
        return np.argsort(x, axis, kind="stable")
    backwards = np.argsort(np.flip(x, axis), axis, kind="stable")
    return np.flip(x.shape[axis] - 1 - backwards, axis)


def _argsort(attrs: Attributes, x: Array) -> Array:
    return _order(x, attrs.axis, bool(attrs.descending))


def _topk(attrs: Attributes, x: Array) -> Any:
    k = x.shape[attrs.axis] if attrs.k < 1 else attrs.k
    indices = np.take(_order(x, attrs.axis, bool(attrs.largest)), np.arange(k), attrs.axis)
    values = np.take_along_axis(x, indices, attrs.axis)
    return {"both": [values, indices], "values": values, "indices": indices}[attrs.ret_type]


def _median(attrs: Attributes, x: Array) -> Any:
    # As torch: of an even number of elements the lower of the two in the middle, and where it stands.
    axis = -1 if attrs.axis is None else axes_of(attrs.axis, x.ndim)[0]
    x = x.reshape(-1) if attrs.axis is None else x
    place = np.expand_dims(np.take(_order(x, axis, False), (x.shape[axis] - 1) // 2, axis), axis)
    values = np.take_along_axis(x, place, axis)
    if attrs.axis is None:
        return values.reshape(())
    return [values, place] if attrs.keepdims else [np.squeeze(values, axis), np.squeeze(place, axis)]


def softmax(x: Array, axis: int) -> Array:
    e = np.exp(x - np.max(x, axis, keepdims=True))
    result: Array = e / np.sum(e, axis, keepdims=True)
    return result


def _log_softmax(attrs: Attributes, x: Array) -> Array:
    shifted = wide(x) - np.max(wide(x), attrs.axis, keepdims=True)
    result: Array = shifted - np.log(np.sum(np.exp(shifted), attrs.axis, keepdims=True))
    return result


REDUCTIONS: dict[str, Operation] = {
    **{name: _fold(getattr(np, name)) for name in ("sum", "mean", "max", "min", "prod", "std")},
    "variance": _fold(np.var),
    "argmax": _place(np.argmax),
    "argmin": _place(np.argmin),
    "cumsum": _running(np.cumsum, 0),
    "cumprod": _running(np.cumprod, 1),
    "argsort": _argsort,
    "sort": lambda attrs, x: np.take_along_axis(x, _argsort(attrs, x), attrs.axis),
    "topk": _topk,
    "median": _median,
    "bucketize": lambda attrs, x, borders: np.searchsorted(borders, x, "right" if attrs.right else "left"),
    "matmul": lambda attrs, a, b: np.matmul(wide(a), wide(b)),
    "outer": lambda attrs, a, b: np.outer(wide(a), wide(b)),
    "einsum": lambda attrs, parts: np.einsum(attrs.subscripts, *(wide(part) for part in parts)),
    "nn.softmax": lambda attrs, x: softmax(wide(x), attrs.axis),
    "nn.log_softmax": _log_softmax,
}
