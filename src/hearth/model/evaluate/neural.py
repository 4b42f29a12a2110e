"""Convolution, pooling and norms, for any number of spatial axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hearth.model.evaluate.reductions import softmax
from hearth.model.evaluate.values import Array, Attributes, Operation, axes_of, wide

_SPATIAL = "DHW"


def reordered(x: Array, layout: str, wanted: str) -> Array:
    """Axes of `layout` (a letter each) in the order of another."""
    return x.transpose([layout.index(axis) for axis in wanted])


def convolve(
    x: Array, w: Array, strides: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int
) -> Array:
    """x (b, spatial..., c), w (o, taps..., c / groups); padding before each spatial axis, then after each."""
    rank = len(strides)
    pairs = list(zip(padding[:rank], padding[rank:], strict=True))
    padded = np.pad(wide(x), [(0, 0), *pairs, (0, 0)])
    sizes = [
        (padded.shape[1 + i] - dilation[i] * (w.shape[1 + i] - 1) - 1) // strides[i] + 1 for i in range(rank)
    ]  # fmt: skip
    o, per_group = w.shape[0], w.shape[-1]
    taps = wide(w).reshape(groups, o // groups, *w.shape[1:])
    out = np.zeros((groups, x.shape[0] * int(np.prod(sizes)), o // groups))
    for tap in np.ndindex(*w.shape[1:-1]):
        window = tuple(
            slice(at * step, at * step + (size - 1) * stride + 1, stride)
            for at, step, size, stride in zip(tap, dilation, sizes, strides, strict=True)
        )
        rows = padded[:, *window].reshape(-1, groups, per_group).transpose(1, 0, 2)
        out += rows @ taps[:, :, *tap].transpose(0, 2, 1)
    return out.transpose(1, 0, 2).reshape(x.shape[0], *sizes, o)


def convolve_transposed(
    x: Array,
    w: Array,
    strides: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Array:
    """As torch defines it: x (b, spatial..., c), w (o / groups, taps..., c)."""
    rank = len(strides)
    per_group = w.shape[0]
    spatial, kernel = x.shape[1:-1], w.shape[1:-1]
    whole = [
        (spatial[i] - 1) * strides[i] + dilation[i] * (kernel[i] - 1) + 1 + output_padding[i] for i in range(rank)
    ]  # fmt: skip
    out = np.zeros((x.shape[0], *whole, groups * per_group))
    rows = wide(x).reshape(-1, groups, x.shape[-1] // groups).transpose(1, 0, 2)
    taps = wide(w).reshape(*w.shape[:-1], groups, -1)
    for tap in np.ndindex(*kernel):
        window = tuple(
            slice(at * step, at * step + (size - 1) * stride + 1, stride)
            for at, step, size, stride in zip(tap, dilation, spatial, strides, strict=True)
        )
        part = rows @ taps[:, *tap].transpose(1, 2, 0)
        out[:, *window] += part.transpose(1, 0, 2).reshape(x.shape[0], *spatial, -1)
    kept = tuple(slice(padding[i], whole[i] - padding[rank + i]) for i in range(rank))
    return out[:, *kept]


def _layouts(attrs: Attributes, kernel_layout: str) -> tuple[str, str, str]:
    """Of data and kernel as they are, and the order of the data's axes with channels last."""
    data = attrs.data_layout
    spatial = "".join(axis for axis in data if axis in _SPATIAL)
    return data, attrs.kernel_layout or kernel_layout, f"N{spatial}C"


def _conv(attrs: Attributes, x: Array, w: Array) -> Array:
    data, kernel, last = _layouts(attrs, "OIHW")
    x, w = reordered(x, data, last), reordered(w, kernel, last.replace("N", "O").replace("C", "I"))
    out = convolve(x, w, attrs.strides, attrs.padding, attrs.dilation, attrs.groups)
    return reordered(out, last, attrs.out_layout or data)


def _conv_transpose(attrs: Attributes, x: Array, w: Array) -> Array:
    data, kernel, last = _layouts(attrs, "IOHW")
    x, w = reordered(x, data, last), reordered(w, kernel, last.replace("N", "O").replace("C", "I"))
    out = convolve_transposed(
        x, w, attrs.strides, attrs.padding, attrs.output_padding, attrs.dilation, attrs.groups
    )  # fmt: skip
    return reordered(out, last, attrs.out_layout or data)


def _pooled_sizes(attrs: Attributes, spatial: Sequence[int]) -> list[int]:
    sizes = []
    for i, size in enumerate(spatial):
        low, high, step = attrs.padding[i], attrs.padding[len(spatial) + i], attrs.strides[i]
        room = size + low + high - attrs.dilation[i] * (attrs.pool_size[i] - 1) - 1
        count = (-(-room // step) if attrs.ceil_mode else room // step) + 1
        if attrs.ceil_mode and (count - 1) * step >= size + low:  # no window begins in the padding after
            count -= 1
        sizes.append(count)
    return sizes


def _pool(average: bool) -> Operation:
    def operation(attrs: Attributes, x: Array) -> Array:
        layout = attrs.layout
        first = "NC" + "".join(axis for axis in layout if axis in _SPATIAL)
        x = reordered(wide(x), layout, first)
        rank = x.ndim - 2
        sizes = _pooled_sizes(attrs, x.shape[2:])
        low, high = attrs.padding[:rank], attrs.padding[rank:]
        # Windows of ceil_mode may reach beyond the padding: what is there counts for nothing.
        beyond = [
            max((size - 1) * step + dilation * (pool - 1) + 1 - have - a - b, 0)
            for size, step, dilation, pool, have, a, b in zip(
                sizes, attrs.strides, attrs.dilation, attrs.pool_size, x.shape[2:], low, high, strict=True
            )
        ]
        around = [(0, 0), (0, 0), *((a, b + c) for a, b, c in zip(low, high, beyond, strict=True))]
        values = np.pad(x, around, constant_values=0.0 if average else -np.inf)
        counts = np.ones(x.shape[2:])
        if attrs.count_include_pad:
            counts = np.pad(counts, list(zip(low, high, strict=True)), constant_values=1.0)
            counts = np.pad(counts, [(0, c) for c in beyond])
        else:
            counts = np.pad(counts, around[2:])
        out = np.full((*x.shape[:2], *sizes), 0.0 if average else -np.inf)
        count = np.zeros(sizes)
        for tap in np.ndindex(*attrs.pool_size):
            window = tuple(
                slice(at * dilation, at * dilation + (size - 1) * step + 1, step)
                for at, dilation, size, step in zip(tap, attrs.dilation, sizes, attrs.strides, strict=True)
            )
            taken = values[:, :, *window]
            out = out + taken if average else np.maximum(out, taken)
            count += counts[window]
        return reordered(out / np.maximum(count, 1) if average else out, first, attrs.out_layout or layout)

    return operation


def _adaptive_pool(attrs: Attributes, x: Array) -> Array:
    layout = attrs.layout
    first = "NC" + "".join(axis for axis in layout if axis in _SPATIAL)
    x = reordered(wide(x), layout, first)
    rank = x.ndim - 2
    sizes = attrs.output_size or x.shape[2:]
    sizes = tuple(sizes) if len(sizes) == rank else tuple(sizes) * rank
    out = np.empty((*x.shape[:2], *sizes))
    for place in np.ndindex(*sizes):
        spans = tuple(
            slice(at * size // parts, -(-(at + 1) * size // parts))
            for at, size, parts in zip(place, x.shape[2:], sizes, strict=True)
        )
        out[(slice(None), slice(None), *place)] = x[:, :, *spans].mean(tuple(range(2, x.ndim)))
    return reordered(out, first, attrs.out_layout or layout)


def _normalised(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    x = wide(x)
    result: Array = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)
    return result


def _affine(attrs: Attributes, x: Array, gamma: Array, beta: Array, axes: tuple[int, ...]) -> Array:
    """x * gamma + beta, these along `axes`, as far as the call has them."""
    shape = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
    x = x * wide(gamma).reshape(shape) if attrs.scale in (True, None) else x
    return x + wide(beta).reshape(shape) if attrs.center in (True, None) else x


def _layer_norm(attrs: Attributes, x: Array, gamma: Array, beta: Array) -> Array:
    axes = axes_of(attrs.axes, x.ndim)
    return _affine(attrs, _normalised(x, axes, attrs.epsilon), gamma, beta, axes)


def _group_norm(attrs: Attributes, x: Array, gamma: Array, beta: Array) -> Array:
    channel = attrs.channel_axis % x.ndim
    axes = axes_of(attrs.axes, x.ndim)
    split = x.reshape(*x.shape[:channel], attrs.num_groups, -1, *x.shape[channel + 1 :])
    inner = (channel + 1, *(axis + (axis > channel) for axis in axes if axis != channel))
    normalised = _normalised(split, inner, attrs.epsilon).reshape(x.shape)
    return _affine(attrs, normalised, gamma, beta, (channel,))


def _instance_norm(attrs: Attributes, x: Array, gamma: Array, beta: Array) -> Array:
    channel = attrs.channel_axis % x.ndim
    return _affine(attrs, _normalised(x, axes_of(attrs.axes, x.ndim), attrs.epsilon), gamma, beta, (channel,))


def _batch_norm(attrs: Attributes, x: Array, gamma: Array, beta: Array, mean: Array, variance: Array) -> list[Array]:
    axis = attrs.axis % x.ndim
    shape = [size if i == axis else 1 for i, size in enumerate(x.shape)]
    normalised = (wide(x) - wide(mean).reshape(shape)) / np.sqrt(wide(variance).reshape(shape) + attrs.epsilon)
    return [_affine(attrs, normalised, gamma, beta, (axis,)), mean, variance]


def _rms_norm(attrs: Attributes, x: Array, weight: Array) -> Array:
    axes = axes_of(attrs.axes, x.ndim)
    result: Array = wide(x) / np.sqrt(np.mean(wide(x) ** 2, axes, keepdims=True) + attrs.epsilon) * wide(weight)
    return result


def _attention(attrs: Attributes, q: Array, k: Array, v: Array, bias: Any = None) -> Array:
    """q (b, n, heads, d), k and v (b, m, heads, d)."""
    q, k, v = (wide(x).transpose(0, 2, 1, 3) for x in (q, k, v))
    scores = q @ k.transpose(0, 1, 3, 2) * (attrs.scale if attrs.scale is not None else q.shape[-1] ** -0.5)
    if bias is not None:
        scores = scores + wide(bias)
    rows, columns = scores.shape[-2:]
    if attrs.causal_mask in ("TopLeft", "BottomRight"):
        shift = 0 if attrs.causal_mask == "TopLeft" else columns - rows
        scores = np.where(np.tri(rows, columns, shift, dtype=bool), scores, -np.inf)
    return (softmax(scores, -1) @ v).transpose(0, 2, 1, 3)


NEURAL: dict[str, Operation] = {
    **{f"nn.conv{n}d": _conv for n in (1, 2, 3)},
    **{f"nn.conv{n}d_transpose": _conv_transpose for n in (1, 2, 3)},
    **{f"nn.max_pool{n}d": _pool(average=False) for n in (1, 2, 3)},
    **{f"nn.avg_pool{n}d": _pool(average=True) for n in (1, 2, 3)},
    **{f"nn.adaptive_avg_pool{n}d": _adaptive_pool for n in (1, 2, 3)},
    "nn.layer_norm": _layer_norm,
    "nn.group_norm": _group_norm,
    "nn.instance_norm": _instance_norm,
    "nn.batch_norm": _batch_norm,
    "nn.rms_norm": _rms_norm,
    "nn.attention": _attention,
    "nn.attention_bias": _attention,
}
