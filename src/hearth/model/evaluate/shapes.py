"""Operations that make, move and pick elements without computing with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hearth.model.evaluate.values import Array, Attributes, Operation, axes_of, wide


def _filled(value: int) -> Operation:
    return lambda attrs, shape: np.full(shape, value, attrs.result_dtype)


def _filled_like(value: int) -> Operation:
    return lambda attrs, x: np.full(x.shape, value, attrs.result_dtype)


def _triangle(function: Callable[[Array, int], Array]) -> Operation:
    return lambda attrs, x, k: function(x, k)


def _reshape(attrs: Attributes, x: Array, shape: tuple[int, ...]) -> Array:
    return x.reshape([x.shape[i] if dim == 0 and x.size else dim for i, dim in enumerate(shape)])


def _squeeze(attrs: Attributes, x: Array) -> Array:
    return np.squeeze(x, None if attrs.axis is None else axes_of(attrs.axis, x.ndim))


def _split(attrs: Attributes, x: Array) -> list[Array]:
    parts = attrs.indices_or_sections
    if isinstance(parts, int):  # the last part may be shorter
        size = -(-x.shape[attrs.axis] // parts)
        parts = tuple(size * i for i in range(1, parts))
    return list(np.split(x, parts, attrs.axis))


def _slices(x: Array, axes: Any, begin: Any, end: Any, strides: Any) -> tuple[slice, ...]:
    """Slices with numpy's meaning of negative and overlong bounds."""
    slices = [slice(None)] * x.ndim
    for axis, first, last, step in zip(axes, begin, end, strides, strict=True):
        size = x.shape[axis]
        stop = int(last)
        # Below the beginning, of a slice that goes backwards, is `None`: -1 would be the last element.
        slices[int(axis)] = slice(int(first), None if step < 0 and stop < -size else stop, int(step))
    return tuple(slices)


def _strided_slice(attrs: Attributes, x: Array, axes: Any, begin: Any, end: Any, strides: Any = None) -> Array:
    return x[_slices(x, axes, begin, end, strides if strides is not None else [1] * len(axes))]


def _dynamic_strided_slice(attrs: Attributes, x: Array, begin: Array, end: Array, strides: Array) -> Array:
    return x[_slices(x, range(len(begin)), begin, end, strides)]


def _slice_scatter(attrs: Attributes, x: Array, src: Array, start: int, end: int, step: int) -> Array:
    result = x.copy()
    result[_slices(x, [attrs.axis], [start], [end], [step])] = src
    return result


def _take(attrs: Attributes, x: Array, indices: Any) -> Array:
    index = np.asarray(indices)
    size = x.size if attrs.axis is None else x.shape[attrs.axis]
    if attrs.mode == "wrap":
        index = index % size
    elif attrs.mode == "clip":
        index = np.clip(index, 0, size - 1)
    return np.take(x, index, attrs.axis)


def _gather_nd(attrs: Attributes, x: Array, indices: Array) -> Array:
    batch = attrs.batch_dims or 0
    index = list(np.moveaxis(indices, -1, 0))
    rank = indices.ndim - 1
    lead = [np.arange(size).reshape([-1 if i == axis else 1 for i in range(rank)])
            for axis, size in enumerate(indices.shape[:batch])]  # fmt: skip
    found: Array = x[(*lead, *index)]
    return found


_REDUCTIONS: dict[str, Any] = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}


def _put(target: Array, index: tuple[Any, ...], values: Array, how: str) -> Array:
    result = target.copy()
    if how in _REDUCTIONS:
        _REDUCTIONS[how].at(result, index, values)
    else:
        result[index] = values
    return result


def _scatter_elements(attrs: Attributes, x: Array, indices: Array, updates: Array) -> Array:
    index: list[Any] = list(np.indices(indices.shape, sparse=True))
    index[attrs.axis] = indices
    return _put(x, tuple(index), updates, attrs.reduction)


def _scatter_nd(attrs: Attributes, x: Array, indices: Array, updates: Array) -> Array:
    return _put(x, tuple(np.moveaxis(indices, -1, 0)), updates, attrs.reduction)


def _index_put(attrs: Attributes, x: Array, indices: list[Array], values: Array) -> Array:
    return _put(x, tuple(indices), values, "add" if attrs.accumulate else "update")


def _one_hot(attrs: Attributes, indices: Array, on: Any, off: Any) -> Array:
    hot = np.equal(indices[..., None], np.arange(attrs.depth))
    return np.moveaxis(np.where(hot, on, off), -1, attrs.axis)


_PAD_MODES = {"reflect": "reflect", "replicate": "edge", "edge": "edge", "circular": "wrap", "symmetric": "symmetric"}


def _pad(attrs: Attributes, x: Array) -> Array:
    width = attrs.pad_width
    pairs = list(zip(width[::2], width[1::2], strict=True))
    x = x[tuple(slice(max(-low, 0), size - max(-high, 0)) for size, (low, high) in zip(x.shape, pairs, strict=True))]
    pairs = [(max(low, 0), max(high, 0)) for low, high in pairs]
    if attrs.pad_mode in _PAD_MODES:
        mode: Any = _PAD_MODES[attrs.pad_mode]
        return np.asarray(np.pad(x, pairs, mode))
    return np.pad(x, pairs, constant_values=attrs.pad_value)


def _pixel_shuffle(attrs: Attributes, x: Array) -> Array:
    r = attrs.upscale_factor
    *lead, c, h, w = x.shape
    parts = x.reshape(*lead, c // (r * r), r, r, h, w)
    n = len(lead)
    order = [*range(n), n, n + 3, n + 1, n + 4, n + 2]
    return parts.transpose(order).reshape(*lead, c // (r * r), h * r, w * r)


def _reverse_sequence(attrs: Attributes, x: Array, lengths: Array) -> Array:
    moved = np.moveaxis(x, (attrs.batch_axis, attrs.seq_axis), (0, 1)).copy()
    for row, length in zip(moved, lengths, strict=True):
        row[:length] = row[:length][::-1].copy()
    return np.moveaxis(moved, (0, 1), (attrs.batch_axis, attrs.seq_axis))


def _eye(attrs: Attributes, n: int, m: int, k: int) -> Array:
    return np.eye(n, m, k, dtype=attrs.result_dtype)


def _quantize(attrs: Attributes, x: Array, scale: Array, zero_point: Array) -> Array:
    scale, zero_point = (_along(p, attrs.axis, x.ndim) for p in (scale, zero_point))
    limits = np.iinfo(attrs.out_dtype)
    result: Array = np.clip(np.rint(wide(x) / scale) + zero_point, limits.min, limits.max)
    return result


def _dequantize(attrs: Attributes, x: Array, scale: Array, zero_point: Array) -> Array:
    scale, zero_point = (_along(p, attrs.axis, x.ndim) for p in (scale, zero_point))
    result: Array = (x.astype(np.float64) - zero_point) * wide(scale)
    return result


def _along(vector: Array, axis: int, rank: int) -> Array:
    return vector.reshape([-1 if i == axis % rank else 1 for i in range(rank)]) if vector.ndim == 1 else vector


SHAPES: dict[str, Operation] = {
    "full": lambda attrs, shape, value: np.full(shape, value, attrs.result_dtype),
    "full_like": lambda attrs, x, value: np.full(x.shape, value, attrs.result_dtype),
    "zeros": _filled(0),
    "ones": _filled(1),
    "zeros_like": _filled_like(0),
    "ones_like": _filled_like(1),
    "eye": _eye,
    "arange": lambda attrs, start, end, step: np.arange(start, end, step),
    "tril": _triangle(np.tril),
    "triu": _triangle(np.triu),
    "broadcast_to": lambda attrs, x, shape: np.broadcast_to(x, shape),
    "concat": lambda attrs, parts: np.concatenate(parts, attrs.axis),
    "stack": lambda attrs, parts: np.stack(parts, attrs.axis or 0),
    "expand_dims": lambda attrs, x: np.expand_dims(x, attrs.axis),
    "flatten": lambda attrs, x: x.reshape(-1),
    "nn.batch_flatten": lambda attrs, x: x.reshape(len(x), -1),
    "reshape": _reshape,
    "squeeze": _squeeze,
    "permute_dims": lambda attrs, x: np.transpose(x, attrs.axes),
    "split": _split,
    "strided_slice": _strided_slice,
    "dynamic_strided_slice": _dynamic_strided_slice,
    "slice_scatter": _slice_scatter,
    "take": _take,
    "gather_elements": lambda attrs, x, indices: np.take_along_axis(x, indices, attrs.axis),
    "gather_nd": _gather_nd,
    "index_tensor": lambda attrs, x, indices: x[tuple(indices)],
    "index_put": _index_put,
    "scatter_elements": _scatter_elements,
    "scatter_nd": _scatter_nd,
    "one_hot": _one_hot,
    "repeat": lambda attrs, x: np.repeat(x, attrs.repeats, attrs.axis),
    "tile": lambda attrs, x: np.tile(x, attrs.repeats),
    "flip": lambda attrs, x: np.flip(x, attrs.axis),
    "reverse_sequence": _reverse_sequence,
    "meshgrid": lambda attrs, parts: list(np.meshgrid(*parts, indexing=attrs.indexing or "ij")),
    "nn.pad": _pad,
    "nn.pixel_shuffle": _pixel_shuffle,
    "shape_of": lambda attrs, x: x.shape,
    "shape_to_tensor": lambda attrs, shape: np.array(shape, np.int64),
    "tensor_to_shape": lambda attrs, x: tuple(int(dim) for dim in x),
    "size": lambda attrs, x: np.array(x.size, np.int64),
    "nonzero": lambda attrs, x: np.array(np.nonzero(x), np.int64),
    "quantize": _quantize,
    "dequantize": _dequantize,
    "hint_on_device": lambda attrs, x: x,
    "to_vdevice": lambda attrs, x: x,
}
