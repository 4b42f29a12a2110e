"""The operations of `model/ops.py`, and those of text models."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from hearth.model.evaluate import pillow
from hearth.model.evaluate.neural import convolve, convolve_transposed
from hearth.model.evaluate.picks import non_max_suppression, non_zero
from hearth.model.evaluate.recurrent import recurrent
from hearth.model.evaluate.reductions import softmax
from hearth.model.evaluate.values import Array, Attributes, Operation, wide


def _with_bias(attrs: Attributes, y: Array, bias: tuple[Array, ...]) -> Array:
    if bool(attrs.bias) != bool(bias):
        raise ValueError("an operand more or less than the attribute `bias` says")
    return y + wide(bias[0]) if bias else y


def _linear(attrs: Attributes, x: Array, w: Array, *bias: Array) -> Array:
    return _with_bias(attrs, wide(x) @ wide(w).T, bias)


def _conv2d(attrs: Attributes, x: Array, w: Array, *bias: Array) -> Array:
    return _with_bias(attrs, convolve(x, w, attrs.strides, attrs.padding, attrs.dilation, attrs.groups), bias)


def _conv2d_transpose(attrs: Attributes, x: Array, w: Array, *bias: Array) -> Array:
    y = convolve_transposed(x, w, attrs.strides, attrs.padding, attrs.output_padding, (1, 1), 1)
    return _with_bias(attrs, y, bias)


def _heads(x: Array, heads: int) -> Array:
    """(..., n, heads * d) to (..., heads, n, d)."""
    return np.moveaxis(wide(x).reshape(*x.shape[:-1], heads, -1), -2, -3)


def _joined(x: Array) -> Array:
    """(..., heads, n, d) to (..., n, heads * d)."""
    x = np.moveaxis(x, -3, -2)
    return x.reshape(*x.shape[:-2], -1)


def _attend(attrs: Attributes, q: Array, k: Array, v: Array, kv_heads: int, bias: Any) -> Array:
    """softmax(scale q k^T + bias) v over (..., n, heads * d); rows that see nothing are 0."""
    heads = attrs.num_heads
    q, k, v = _heads(q, heads), _heads(k, kv_heads), _heads(v, kv_heads)
    k, v = (np.repeat(x, heads // kv_heads, axis=-3) for x in (k, v))
    scores = q @ k.swapaxes(-1, -2) * attrs.scale + bias
    weights = softmax(np.maximum(scores, np.finfo(np.float64).min), -1)
    blind = np.all(np.isneginf(scores), -1, keepdims=True)
    return _joined(np.where(blind, 0.0, weights) @ v)


def _attention(attrs: Attributes, q: Array, k: Array, v: Array, *bias: Array) -> Array:
    return _attend(attrs, q, k, v, attrs.num_kv_heads, _with_bias(attrs, np.zeros(()), bias))


def _ragged_attention(
    attrs: Attributes, q: Array, k: Array, v: Array, starts: Array, tiles: Array, *distance_bias: Array
) -> Array:
    table = _with_bias(attrs, np.zeros((attrs.num_heads, 1)), distance_bias)
    reach = table.shape[1] // 2
    out = np.zeros(q.shape)
    window, causal, kv_heads = attrs.window, attrs.causal, attrs.num_kv_heads
    for begin, end in itertools.pairwise(starts):
        place = np.arange(end - begin)
        distance = place[None, :] - place[:, None]
        bias = table[:, np.clip(distance, -reach, reach) + reach]
        seen = (np.abs(distance) <= window) | (window == 0)
        if causal:
            seen &= distance <= 0
        part = slice(begin, end)
        if end > begin:
            out[part] = _attend(attrs, q[part], k[part], v[part], kv_heads, np.where(seen, bias, -np.inf))
    return out


def _ragged_pool(attrs: Attributes, x: Array, starts: Array, *skips: Array) -> Array:
    if bool(attrs.skips) != bool(skips):
        raise ValueError("an operand more or less than the attribute `skips` says")
    skip = skips[0] if skips else np.zeros(len(starts) - 1, np.int64)
    rows = []
    for (begin, end), skipped in zip(itertools.pairwise(starts.tolist()), skip.tolist(), strict=True):
        first = min(begin + skipped, end - 1)
        rows.append(_POOLED[attrs.mode](wide(x[first:end]), np.arange(first - begin + 1, end - begin + 1)[:, None]))
    return np.stack(rows)


# Of the tokens that count, and their positions in the sequence, from 1.
_POOLED: dict[str, Callable[[Array, Array], Array]] = {
    "cls": lambda x, position: x[0],
    "lasttoken": lambda x, position: x[-1],
    "max": lambda x, position: x.max(0),
    "mean": lambda x, position: x.mean(0),
    "mean_sqrt_len_tokens": lambda x, position: x.sum(0) / np.sqrt(len(x)),
    "weightedmean": lambda x, position: (x * position).sum(0) / position.sum(),
}


def _window_attention(attrs: Attributes, q: Array, k: Array, v: Array, *bias: Array) -> Array:
    (wh, ww), (down, right) = attrs.window, attrs.shift
    b, h, w, _ = q.shape

    def windows(x: Array) -> Array:
        x = np.roll(x, (-down, -right), (1, 2))
        x = x.reshape(b, h // wh, wh, w // ww, ww, -1).transpose(0, 1, 3, 2, 4, 5)
        return x.reshape(b, h // wh, w // ww, wh * ww, -1)

    # Rows and columns that the circle has brought to the end of the map are another region than those before them.
    beyond = (np.arange(h)[:, None] >= h - down) * 2 + (np.arange(w) >= w - right)
    regions = beyond.reshape(h // wh, wh, w // ww, ww).transpose(0, 2, 1, 3).reshape(h // wh, w // ww, 1, -1)
    apart = np.where(regions[..., :, None] == regions[..., None, :], 0.0, -np.inf)
    scores = apart + _with_bias(attrs, np.zeros(()), bias)
    out = _attend(attrs, windows(q), windows(k), windows(v), attrs.num_heads, scores)
    out = out.reshape(b, h // wh, w // ww, wh, ww, -1).transpose(0, 1, 3, 2, 4, 5).reshape(q.shape)
    return np.roll(out, (down, right), (1, 2))


def _rope_table(attrs: Attributes, positions: Array, inv_freq: Array) -> list[Array]:
    # The angle is rounded to f32, as everyone has it who turns by it.
    turned_by = positions[:, list(attrs.streams)] if attrs.streams else positions[:, None]
    angles = wide(turned_by.astype(np.float32) * inv_freq.astype(np.float32))
    return [np.cos(angles) * attrs.attention_factor, np.sin(angles) * attrs.attention_factor]


def _rotary(attrs: Attributes, x: Array, cos: Array, sin: Array) -> Array:
    heads, r = attrs.num_heads, cos.shape[-1]
    out = wide(x).reshape(*x.shape[:-1], heads, -1).copy()
    first, second = (slice(0, 2 * r, 2), slice(1, 2 * r, 2)) if attrs.interleaved else (slice(0, r), slice(r, 2 * r))
    a, b = out[..., first].copy(), out[..., second].copy()
    cos, sin = wide(cos)[:, None], wide(sin)[:, None]
    out[..., first], out[..., second] = a * cos - b * sin, b * cos + a * sin
    return out.reshape(x.shape)


def _replace_rows(attrs: Attributes, x: Array, rows: Array, places: Array) -> Array:
    out = x.copy()
    out[places] = rows
    return out


def _pixels(attrs: Any, picture: Array, size: Array, resized: Array, offset: Array) -> Array:
    (height, width), (rows_out, columns_out) = size.tolist(), attrs.shape
    if attrs.most_side < max(height, width):
        raise ValueError("a picture larger than the attribute `most_side` says")
    image = np.zeros((0, 0, 3), np.uint8)
    if height * width <= len(picture):
        image = pillow.resize(picture[: height * width].reshape(height, width, 3), tuple(resized), attrs.resample)
    values = (image.astype(np.float64) / 255 - np.array(attrs.mean)) / np.array(attrs.std)
    out = np.empty((1, rows_out, columns_out, 3))
    out[:] = attrs.fill
    top, left = offset.tolist()
    part = values[max(top, 0) : max(top + rows_out, 0), max(left, 0) : max(left + columns_out, 0)]
    down, right = max(-top, 0), max(-left, 0)
    out[0, down : down + part.shape[0], right : right + part.shape[1]] = part
    return out[..., ::-1] if attrs.bgr else out


LOGICAL: dict[str, Operation] = {
    "linear": _linear,
    "conv2d": _conv2d,
    "conv2d_transpose": _conv2d_transpose,
    "attention": _attention,
    "ragged_attention": _ragged_attention,
    "ragged_pool": _ragged_pool,
    "window_attention": _window_attention,
    "replace_rows": _replace_rows,
    "rope_table": _rope_table,
    "rotary": _rotary,
    "recurrent": recurrent,
    "non_max_suppression": non_max_suppression,
    "non_zero": non_zero,
    "pixels": _pixels,
}
