"""The operations that RWKV's mixers are made of. Needs TVM."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax

from hearth.model.ops import hearth_op
from hearth.model.text.mixers.ops import causal_conv


def token_shift(x: Any, runs: Any, state_to: Any, state: Any) -> Any:
    """Of each token what x (n, c) has for the one before it in its sequence, of the first zeros; (n, c).

    Args:
        runs, state_to: as `causal_conv`.
        state: (slots, c).
    """
    before, own = np.ones(int(x.ty.shape[1]), np.float32), np.zeros(int(x.ty.shape[1]), np.float32)
    return causal_conv(x, relax.const(np.stack([before, own])), None, runs, state_to, state)


def rwkv(
    r: Any,
    decay: Any,
    k: Any,
    v: Any,
    runs: Any,
    state_to: Any,
    state: Any,
    *,
    erased: Any | None = None,
    rate: Any | None = None,
    bonus: Any | None = None,
    norm: tuple[Any, Any] | None = None,
    heads: int,
    size: int,
    kv_heads: int | None = None,
    epsilon: float = 0.0,
    kind: str,
) -> Any:
    """RWKV's linear attention, which forgets by channel: of each head a matrix S [key][value] goes from token to token,
    and by `kind`

        adds (6):       o = S^T r + (r . u k) v;  S = decay S + k v^T;  norm(o)
        replaces (7):   S = decay S - (a e) (S^T e)^T + k v^T;  o = S^T r;  norm(o) + (r . u k) v
        gated (QRWKV):  S = decay S + (1 - decay) k v^T;  o = S^T r / root of size

    r, decay, erased, rate (n, heads * size); k and v (n, kv_heads * size); (n, heads * size).

    Args:
        runs, state_to: as `causal_conv`.
        state: (slots, heads * size * size).
        erased, rate: e, which each head brings to length 1, and a.
        bonus: u (heads * size,).
        norm: weight and bias (heads * size,) of a LayerNorm of each head; None: there is none.
    """
    tensors = [r, decay, k, v, *(each for each in (erased, rate, bonus) if each is not None), *(norm or ())]
    return hearth_op(
        "rwkv", [*tensors, runs, state_to, state], r.ty, kind=kind, heads=heads, size=size, kv_heads=kv_heads or heads,
        norm=norm is not None, epsilon=epsilon,
    )  # fmt: skip


def rwkv_mean(k: Any, v: Any, decay: Any, bonus: Any, runs: Any, state_to: Any, state: Any) -> Any:
    """RWKV-4's linear attention: of each channel the mean of the values so far, and of the token's own,

        o_t = (sum_i<t exp(k_i + (t - 1 - i) d) v_i + exp(k_t + u) v_t) / (the same without v)

    k, v (n, channels); decay (d, negative), bonus (u) (channels,); (n, channels).

    Args:
        runs, state_to: as `causal_conv`.
        state: (slots, 3 * channels): both sums, and the logarithm that they were divided by.
    """
    return hearth_op("rwkv_mean", [k, v, decay, bonus, runs, state_to, state], k.ty)
