"""The logical operations that networks are written in: what is computed, not how. Needs TVM.

A network is a Relax module of functions over f32 tensors, whatever formats its weights will be packed in. It uses
Relax's own operations wherever there is one, and those of this file for what compilers do better in one piece. Each of
these is a call with attributes that passes recognise by its name (`compiler/passes/rewrite.py`). Axes: b batch, n and m
tokens, d dimensions of a head, h and w height and width, c channels (last: NHWC).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.relax import op

ACTIVATIONS = {"silu": op.nn.silu, "gelu": op.nn.gelu, "gelu_tanh": op.nn.gelu_tanh, "relu": op.nn.relu}
"""By the names that configurations have for them here."""


def hearth_op(name: str, args: Sequence[Any], out: Any, **attrs: Any) -> Any:
    """One of our own operations; `out` is its type (a list of types for several results)."""
    call = op.call_dps_packed(f"hearth.{name}", relax.Tuple(list(args)), out)
    return relax.Call(call.op, call.args, tvm.ir.make_node("ir.DictAttrs", **attrs), call.ty_args)


def f32_tensor(*shape: Any) -> Any:
    return relax.TensorType(shape, "float32")


def linear(x: Any, w: Any, bias: Any | None = None) -> Any:
    """x w^T + bias: x (..., K), w (N, K), bias (N,); (..., N)."""
    args = [x, w] if bias is None else [x, w, bias]
    return hearth_op("linear", args, f32_tensor(*list(x.ty.shape)[:-1], w.ty.shape[0]), bias=bias is not None)


def head_linear(x: Any, w: Any) -> Any:
    """Each head times a matrix of its own: x (n, heads, K), w (heads, N, K); (n, heads, N)."""
    heads, rows, _ = w.ty.shape
    return hearth_op("head_linear", [x, w], f32_tensor(x.ty.shape[0], heads, rows))


def adapter_down(x: Any, items: Any, states: Sequence[Any], *, splits: int, columns: int) -> Any:
    """A x of the adapters of some rows, beside several matrices that read x: x (n, K), items i32 (m, 4): which rows are
    whose (`model/text/adapters.py`), states (units, numbers) of each matrix; (n, matrices * splits * columns), in which
    a row has as many numbers as its adapter has ranks, and nothing where it has none.

    Args:
        splits: parts of K that are summed apart.
        columns: room for the ranks of one adapter.
    """
    out = f32_tensor(x.ty.shape[0], len(states) * splits * columns)
    return hearth_op("adapter_down", [x, items, *states], out, splits=splits, columns=columns)


def adapter_up(
    t: Any, items: Any, states: Sequence[Any], y: Any, *, parts: Sequence[int], starts: Sequence[int],
    sizes: Sequence[int], inner: int, about: Any,
) -> Any:  # fmt: skip
    """y (n, N) with B t added to the rows that have an adapter, in the place of y, which nothing else reads.

    Args:
        t: what `about`, an `adapter_down`, gave.
        states: of each matrix that y is columns of.
        parts, starts, sizes: of each of these its number in t, its first column in y and how many it has.
        inner: K of the matrices.
    """
    attrs = {name: about.attrs[name] for name in ("splits", "columns")}
    return hearth_op(
        "adapter_up", [t, items, *states, y], y.ty, parts=list(parts), starts=list(starts), sizes=list(sizes),
        inner=inner, scale=1.0, **attrs,
    )  # fmt: skip


def layer_norm(x: Any, weight: Any | None, bias: Any | None, epsilon: float) -> Any:
    """Over the last axis: x (..., K), weight and bias (K,), of which either may be absent."""
    # Relax wants both; `scale` and `center` say that they count for nothing.
    scale, center = weight is not None, bias is not None
    absent = None if scale and center else relax.const(np.zeros(int(x.ty.shape[-1]), np.float32))
    gamma, beta = weight if scale else absent, bias if center else absent
    return op.nn.layer_norm(x, gamma, beta, axes=-1, epsilon=epsilon, scale=scale, center=center)


def conv2d(
    x: Any,
    w: Any,
    bias: Any | None = None,
    *,
    strides: tuple[int, int] = (1, 1),
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> Any:
    """Convolution: x (b, h, w, c), w (o, kh, kw, c / groups), bias (o,); zero padding (top, left, bottom, right)."""
    b, height, width, _ = x.ty.shape
    o, kh, kw, _ = (int(dim) for dim in w.ty.shape)
    top, left, bottom, right = padding
    out = (
        b,
        (height + (top + bottom - dilation[0] * (kh - 1) - 1)) // strides[0] + 1,
        (width + (left + right - dilation[1] * (kw - 1) - 1)) // strides[1] + 1,
        o,
    )
    args = [x, w] if bias is None else [x, w, bias]
    return hearth_op(
        "conv2d", args, f32_tensor(*out), bias=bias is not None, strides=list(strides), padding=list(padding),
        dilation=list(dilation), groups=groups,
    )  # fmt: skip


def conv2d_transpose(
    x: Any,
    w: Any,
    bias: Any | None = None,
    *,
    strides: tuple[int, int] = (1, 1),
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    output_padding: tuple[int, int] = (0, 0),
) -> Any:
    """Transposed convolution, as torch defines it: x (b, h, w, c), w (o, kh, kw, c), bias (o,)."""
    b, height, width, _ = x.ty.shape
    o, kh, kw, _ = (int(dim) for dim in w.ty.shape)
    top, left, bottom, right = padding
    out = (
        b,
        (height - 1) * strides[0] + (kh + output_padding[0] - top - bottom),
        (width - 1) * strides[1] + (kw + output_padding[1] - left - right),
        o,
    )
    args = [x, w] if bias is None else [x, w, bias]
    return hearth_op(
        "conv2d_transpose", args, f32_tensor(*out), bias=bias is not None, strides=list(strides),
        padding=list(padding), output_padding=list(output_padding),
    )  # fmt: skip


def attention(
    q: Any, k: Any, v: Any, bias: Any | None = None, *, num_heads: int, scale: float, num_kv_heads: int | None = None
) -> Any:
    """Every query attends to every key: softmax(scale q k^T + bias) v.

    q (b, n, num_heads * d), k and v (b, m, num_kv_heads * d), bias (b or 1, num_heads or 1, n, m);
    (b, n, num_heads * d).
    """
    args = [q, k, v] if bias is None else [q, k, v, bias]
    return hearth_op(
        "attention", args, q.ty, num_heads=num_heads, num_kv_heads=num_kv_heads or num_heads, scale=scale,
        bias=bias is not None,
    )  # fmt: skip


def ragged_attention(
    q: Any,
    k: Any,
    v: Any,
    starts: Any,
    tiles: Any,
    distance_bias: Any | None = None,
    *,
    num_heads: int,
    scale: float,
    num_kv_heads: int | None = None,
    window: int = 0,
    causal: bool = False,
) -> Any:
    """Attention within each of several sequences that stand one after another.

    q (n, num_heads * d), k and v (n, num_kv_heads * d); starts i32 (s + 1,): sequence i is tokens
    [starts[i], starts[i + 1]); tiles i32 (t, 2): sequence and first token of each run of at most `TILE_TOKENS` tokens
    (`model/encoder`); (n, num_heads * d).

    Args:
        distance_bias: (num_heads, 2 r + 1): added to the score of query i and key j is element
            [head, min(max(j - i, -r), r) + r].
        window: only keys at most this many tokens away; 0: all.
        causal: only keys up to the query's own token.
    """
    args = [q, k, v, starts, tiles] + ([] if distance_bias is None else [distance_bias])
    return hearth_op(
        "ragged_attention", args, q.ty, num_heads=num_heads, num_kv_heads=num_kv_heads or num_heads, scale=scale,
        bias=distance_bias is not None, window=window, causal=causal,
    )  # fmt: skip


def ragged_pool(x: Any, starts: Any, skips: Any | None = None, *, mode: str) -> Any:
    """One vector of each of several sequences that stand one after another: x (n, d), starts i32 (s + 1,); (s, d).

    Args:
        skips: i32 (s,): so many tokens at the beginning of a sequence do not count; the last one always does.
        mode: `cls` the first token that counts; `lasttoken`; `max` of each dimension; `mean`; `mean_sqrt_len_tokens`
            the sum over the root of their number; `weightedmean` with the position in the sequence, from 1, as weight.
    """
    args = [x, starts] + ([] if skips is None else [skips])
    out = f32_tensor(starts.ty.shape[0] - 1, x.ty.shape[1])
    return hearth_op("ragged_pool", args, out, mode=mode, skips=skips is not None)


def window_attention(
    q: Any,
    k: Any,
    v: Any,
    bias: Any | None = None,
    *,
    num_heads: int,
    scale: float,
    window: tuple[int, int],
    shift: tuple[int, int] = (0, 0),
) -> Any:
    """Attention within windows of a map that has been shifted in a circle (Swin), without moving anything.

    q, k, v (b, h, w, num_heads * d), h and w multiples of the window; bias (num_heads, wh * ww, wh * ww). With a shift,
    places that the circle brought together from opposite edges do not see each other.
    """
    args = [q, k, v] if bias is None else [q, k, v, bias]
    return hearth_op(
        "window_attention", args, q.ty, num_heads=num_heads, scale=scale, window=list(window), shift=list(shift),
        bias=bias is not None,
    )  # fmt: skip


def replace_rows(x: Any, rows: Any, places: Any) -> Any:
    """x (n, d) with `rows` (m, d) in the places i32 (m,), each of which is another one."""
    return hearth_op("replace_rows", [x, rows, places], x.ty)


GATES = {"lstm": 4, "gru": 3, "gru_reset_before": 3, "tanh": 1, "relu": 1}
"""Of each kind of recurrent cell. LSTM: input, output, forget, cell; GRU: update, reset, new; `reset_before` is applied
to the state and not to its product."""


def recurrent(z: Any, r: Any, bias: Any, h: Any, c: Any | None = None, *, cell: str, reverse: bool = False) -> Any:
    """A recurrent layer: z (t, b, gates, d), what the inputs give to each gate, biases included; r (d, gates, d),
    r[k, g, j] being how element k of the state acts on element j of a gate; bias (gates, d), added to the state's part;
    h and c (b, d), the states before. The states of all steps, (t, b, d), and of an LSTM the last c, (b, d).

    Args:
        cell: a name of `GATES`.
        reverse: the last step comes first.
    """
    steps, batch, _, width = z.ty.shape
    states = f32_tensor(steps, batch, width)
    args = [z, r, bias, h] + ([] if c is None else [c])
    return hearth_op("recurrent", args, states if c is None else [states, c.ty], cell=cell, reverse=reverse)


def non_max_suppression(boxes: Any, scores: Any, *, most: int, iou: float, score: float | None = None) -> Any:
    """Of boxes that overlap the ones with the highest score, for each class of each image.

    boxes (b, n, 4): two opposite corners, the lesser of each coordinate first; scores (b, k, n). i32 (b * k * most, 3):
    image, class and number of each box that is kept, by image, class and falling score, zeros behind the last one;
    and i32 (1,): how many there are.

    Args:
        most: boxes that are kept of a class.
        iou: a box goes where its intersection over union with one that is kept is larger.
        score: only boxes with a higher score count; None: all do.
    """
    b, k, _ = scores.ty.shape
    found = [relax.TensorType((b * k * most, 3), "int32"), relax.TensorType((1,), "int32")]
    about = {} if score is None else {"score": score}
    return hearth_op("non_max_suppression", [boxes, scores], found, most=most, iou=iou, **about)


def non_zero(x: Any) -> Any:
    """Where a bool array (...) of r axes is true: i32 (elements, r), in the order of places, zeros behind the last one;
    and i32 (1,): how many there are."""
    total: Any = 1
    for size in x.ty.shape:
        total = total * size
    found = [relax.TensorType((total, len(x.ty.shape)), "int32"), relax.TensorType((1,), "int32")]
    return hearth_op("non_zero", [x], found)


def first_rows(x: Any, count: Any, rows: Any) -> Any:
    """The first rows of x (n, ...), as many as `count` i32 (1,) says, which the size `rows` stands for. Never compiled:
    functions end before it (`imported/chain.py`)."""
    return hearth_op("first_rows", [x, count], relax.TensorType((rows, *list(x.ty.shape)[1:]), str(x.ty.dtype)))


def rope_table(positions: Any, inv_freq: Any, attention_factor: float = 1.0, streams: Sequence[int] = ()) -> Any:
    """cos and sin of positions i32 (n,) times inv_freq (r,): two of (n, r), multiplied by the factor.

    Args:
        streams: positions are (n, s), and frequency i is multiplied by the one in column `streams[i]`.
    """
    half = f32_tensor(positions.ty.shape[0], inv_freq.ty.shape[0])
    return hearth_op(
        "rope_table", [positions, inv_freq], [half, half], attention_factor=attention_factor, streams=list(streams)
    )


def rotary(x: Any, cos: Any, sin: Any, *, num_heads: int, interleaved: bool = False) -> Any:
    """Rotates the first 2 r dimensions of each head of x (n, num_heads * d) by the tables (n, r).

    Pair i is dimensions i and i + r, or with `interleaved` 2 i and 2 i + 1.
    """
    return hearth_op("rotary", [x, cos, sin], x.ty, num_heads=num_heads, interleaved=interleaved)


def pixels(
    picture: Any,
    size: Any,
    resized: Any,
    offset: Any,
    *,
    shape: tuple[int, int],
    resample: str,
    mean: Sequence[float],
    std: Sequence[float],
    fill: Sequence[float] = (0.0, 0.0, 0.0),
    bgr: bool = False,
    most_side: int,
) -> Any:
    """A picture as a network wants it: u8 (area, 3) to f32 (1, *shape, 3), (value / 255 - mean) / std.

    The picture, of the height and width `size`, row after row, is resized to `resized` as Pillow does it, and of that
    the part of `shape` from `offset` on is taken (all three i32 (2,), rows first); what lies outside of it is `fill`.
    Where `size` is more than `area` pixels, everything is.

    Args:
        resample: `nearest box bilinear hamming bicubic lanczos`.
        mean, std, fill: of red, green and blue.
        bgr: the result has blue first.
        most_side: no number of `size` is larger.
    """
    return hearth_op(
        "pixels", [picture, size, resized, offset], f32_tensor(1, *shape, 3), shape=list(shape), resample=resample,
        mean=[float(x) for x in mean], std=[float(x) for x in std], fill=[float(x) for x in fill], bgr=bgr,
        most_side=most_side,
    )  # fmt: skip
