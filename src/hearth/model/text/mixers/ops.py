"""Operations of recurrent mixers (`hearth.model.text.mixers`): convolutions, delta rules and scans that go on with a
state of each sequence, and the norms behind them."""

from __future__ import annotations

from typing import Any

from hearth.model.ops import f32_tensor, hearth_op


def causal_conv(x: Any, w: Any, bias: Any | None, runs: Any, state_to: Any, state: Any, *, activation: str = "") -> Any:
    """Convolution over the last tokens of each sequence, every channel for itself: x (n, c), w (taps, c), the last tap
    the token's own, bias (c,); (n, c).

    Args:
        runs, state_to: how tokens follow each other, and which states are kept (`model/text/batch.py`).
        state: (slots, (taps - 1) * c), what the taps before a token read, oldest first.
        activation: of the sums: "" or `silu`.
    """
    args = [x, w, *([] if bias is None else [bias]), runs, state_to, state]
    return hearth_op("causal_conv", args, x.ty, bias=bias is not None, activation=activation)


def gated_delta(
    qkv: Any,
    a: Any,
    b: Any,
    decay: Any,
    bias: Any,
    runs: Any,
    state_to: Any,
    state: Any,
    *,
    key_heads: int,
    value_heads: int,
    key_size: int,
    value_size: int,
    tiled: bool = False,
    strength: float = 1.0,
) -> Any:
    """The gated delta rule, a linear attention: of each head a matrix S [key][value] goes from token to token,

        S = g S;  S = S + k (b (v - S^T k))^T;  o = S^T q

    with g = exp(decay softplus(a + bias)) and b = strength sigmoid(b), k of length 1, and q of one over the root of its
    size. qkv (n, 2 * key_heads * key_size + value_heads * value_size): queries, keys and values of all heads; a and b
    (n, value_heads); decay, bias (value_heads,); (n, value_heads * value_size).

    Args:
        runs, state_to: as `causal_conv`.
        state: (slots, value_heads * key_size * value_size).
        tiled: value head i has key head i mod key_heads; else i // (value_heads / key_heads).
    """
    return hearth_op(
        "gated_delta", [qkv, a, b, decay, bias, runs, state_to, state],
        f32_tensor(qkv.ty.shape[0], value_heads * value_size), key_heads=key_heads, value_heads=value_heads,
        key_size=key_size, value_size=value_size, tiled=tiled, strength=strength, by_key=False,
    )  # fmt: skip


def gated_delta_by_key(
    qkv: Any, decay: Any, b: Any, runs: Any, state_to: Any, state: Any, *, heads: int, key_size: int, value_size: int
) -> Any:
    """The gated delta rule where each key's row of S has a decay of its own (Kimi delta attention): as `gated_delta`,
    with g one number for each key in place of one for all of them.

    qkv (n, heads * (2 * key_size + value_size)): queries, keys and values of all heads; decay (g, not its logarithm)
    (n, heads * key_size); b (n, heads); (n, heads * value_size).

    Args:
        runs, state_to: as `causal_conv`.
        state: (slots, heads * key_size * value_size).
    """
    return hearth_op(
        "gated_delta", [qkv, decay, b, runs, state_to, state], f32_tensor(qkv.ty.shape[0], heads * value_size),
        key_heads=heads, value_heads=heads, key_size=key_size, value_size=value_size, tiled=False, strength=1.0,
        by_key=True,
    )  # fmt: skip


def selective_scan(
    xbc: Any,
    steps: Any,
    decay: Any,
    bias: Any,
    through: Any,
    runs: Any,
    state_to: Any,
    state: Any,
    *,
    heads: int,
    groups: int,
    columns: int,
    size: int,
    least: float = 0.0,
    most: float | None = None,
) -> Any:
    """The selective scan of Mamba 2: of each head a matrix S [size][columns] goes from token to token,

        S = exp(d A) S;  S = S + B (d x)^T;  y = S^T C + D x

    with d = softplus(step + bias), cut to least .. most. xbc (n, heads * columns + 2 * groups * size): x of all heads,
    B and C of all groups; steps (n, heads); decay (A, negative), bias, through (D) (heads,); (n, heads * columns).

    Args:
        runs, state_to: as `causal_conv`.
        state: (slots, heads * columns * size).
    """
    return hearth_op(
        "selective_scan", [xbc, steps, decay, bias, through, runs, state_to, state],
        f32_tensor(xbc.ty.shape[0], heads * columns), heads=heads, groups=groups, columns=columns, size=size,
        least=least, most=0.0 if most is None else most,
    )  # fmt: skip


def channel_scan(
    x: Any, steps: Any, b: Any, c: Any, rates: Any, bias: Any, through: Any, runs: Any, state_to: Any, state: Any
) -> Any:
    """The selective scan of Mamba 1: of each channel a vector s [size] goes from token to token,

        s = exp(d A) s;  s = s + B d x;  y = C . s + D x

    with d = softplus(step + bias). x, steps (n, channels); b, c (n, size); rates (A, negative) (size, channels); bias,
    through (D) (channels,); (n, channels).

    Args:
        runs, state_to: as `causal_conv`.
        state: (slots, size * channels).
    """
    return hearth_op("channel_scan", [x, steps, b, c, rates, bias, through, runs, state_to, state], x.ty)


def gated_norm(x: Any, gate: Any, weight: Any, *, size: int, epsilon: float, activation: str, before: bool) -> Any:
    """RMSNorm over each `size` columns, and a gate: x and gate (n, c), weight (size,) or (c,); (n, c).

    Args:
        activation: of the gate: `silu`, `sigmoid`.
        before: the gate multiplies what is normalised; else the result.
    """
    return hearth_op(
        "gated_norm", [x, gate, weight], x.ty, size=size, epsilon=epsilon, activation=activation, before=before
    )
