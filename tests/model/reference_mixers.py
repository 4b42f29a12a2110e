"""What mixes tokens in place of attention, in plain numpy: token by token, as the papers' formulas say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.model.text.mixers.delta_net import DeltaNet
from hearth.model.text.mixers.mamba import Mamba
from hearth.model.text.mixers.mamba2 import Mamba2
from hearth.model.text.mixers.short_conv import ShortConv

Array = NDArray[np.float64]


def mix(mixer: Any, w: Mapping[str, Array], x: Array, epsilon: float) -> Array:
    """(tokens, hidden) of one sequence from its start."""
    return _MIXERS[type(mixer)](mixer, w, x, epsilon)


def silu(x: Array) -> Array:
    return x / (1 + np.exp(-x))


def _causal_conv(x: Array, taps: Array, bias: Array | float = 0.0) -> Array:
    padded = np.concatenate([np.zeros((len(taps) - 1, x.shape[1])), x])
    return sum(padded[tap : tap + len(x)] * w for tap, w in enumerate(taps)) + bias


def _delta_net(m: DeltaNet, w: Mapping[str, Array], x: Array, epsilon: float) -> Array:
    qkv = silu(_causal_conv(x @ w["delta_qkv"].T, w["delta_conv"]))
    keys = m.key_heads * m.key_size
    q, k, v = (part.reshape(len(x), -1, size) for part, size in zip(
        np.split(qkv, [keys, 2 * keys], axis=1), (m.key_size, m.key_size, m.value_size), strict=True
    ))  # fmt: skip
    q, k = (a / np.sqrt((a * a).sum(-1, keepdims=True) + 1e-6) for a in (q, k))
    share = m.value_heads // m.key_heads
    q, k = ((np.tile(a, (1, share, 1)) if m.tiled else np.repeat(a, share, axis=1)) for a in (q, k))
    decay = np.exp(w["delta_decay"] * np.log1p(np.exp(x @ w["delta_a"].T + w["delta_step"])))
    strength = m.strength / (1 + np.exp(-(x @ w["delta_b"].T)))
    state = np.zeros((m.value_heads, m.key_size, m.value_size))
    out = []
    for t in range(len(x)):
        state *= decay[t][:, None, None]
        change = strength[t][:, None] * (v[t] - np.einsum("hkv,hk->hv", state, k[t]))
        state += k[t][:, :, None] * change[:, None, :]
        out.append(np.einsum("hkv,hk->hv", state, q[t]) * m.key_size**-0.5)
    y = np.stack(out)
    epsilon = epsilon if m.epsilon is None else m.epsilon
    y = y / np.sqrt((y * y).mean(-1, keepdims=True) + epsilon) * w["delta_scale"]
    return (y.reshape(len(x), -1) * silu(x @ w["delta_z"].T)) @ w["delta_out"].T


def _mamba2(m: Mamba2, w: Mapping[str, Array], x: Array, epsilon: float) -> Array:
    made = x @ w["ssm_in"].T + w.get("ssm_in_bias", 0.0)
    gate, xbc, steps = np.split(made, [m.inner, m.inner + m.channels], axis=1)
    xbc = silu(_causal_conv(xbc, w["ssm_conv"], w.get("ssm_conv_bias", 0.0)))
    values, b, c = np.split(xbc, [m.inner, m.inner + m.groups * m.state], axis=1)
    values = values.reshape(len(x), m.heads, m.columns)
    b, c = (np.repeat(a.reshape(len(x), m.groups, m.state), m.heads // m.groups, axis=1) for a in (b, c))
    steps = np.clip(np.log1p(np.exp(steps + w["ssm_step"])), m.least, m.most)
    state, out = np.zeros((m.heads, m.state, m.columns)), []
    for t in range(len(x)):
        state *= np.exp(steps[t] * w["ssm_decay"])[:, None, None]
        state += b[t][:, :, None] * (steps[t][:, None] * values[t])[:, None, :]
        out.append(np.einsum("hsc,hs->hc", state, c[t]) + w["ssm_through"][:, None] * values[t])
    y = np.stack(out).reshape(len(x), -1)
    y = y * silu(gate) if m.gate_first or not m.normalises else y
    if m.normalises:
        grouped = y.reshape(len(x), m.groups, -1)
        y = (grouped / np.sqrt((grouped**2).mean(-1, keepdims=True) + epsilon)).reshape(y.shape) * w["ssm_scale"]
        y = y if m.gate_first else y * silu(gate)
    return y @ w["ssm_out"].T + w.get("ssm_out_bias", 0.0)


def _mamba(m: Mamba, w: Mapping[str, Array], x: Array, epsilon: float) -> Array:
    value, gate = np.split(x @ w["ssm_in"].T + w.get("ssm_in_bias", 0.0), 2, axis=1)
    value = silu(_causal_conv(value, w["ssm_conv"], w.get("ssm_conv_bias", 0.0)))
    parts = np.split(value @ w["ssm_x"].T, [m.rank, m.rank + m.state], axis=1)
    if m.norms != "none":
        epsilon = epsilon if m.norm_epsilon is None else m.norm_epsilon
        parts = [part / np.sqrt((part**2).mean(-1, keepdims=True) + epsilon) for part in parts]
        parts = [part * w.get(f"ssm_{name}_norm", 1.0) for part, name in zip(parts, ("dt", "b", "c"), strict=True)]
    steps, b, c = parts
    steps = np.log1p(np.exp(steps @ w["ssm_dt"].T + w["ssm_step"]))
    state, out = np.zeros((m.state, m.channels)), []
    for t in range(len(x)):
        state = np.exp(steps[t] * w["ssm_rates"]) * state + b[t][:, None] * (steps[t] * value[t])
        out.append(c[t] @ state + w["ssm_through"] * value[t])
    return (np.stack(out) * silu(gate)) @ w["ssm_out"].T + w.get("ssm_out_bias", 0.0)


def _short_conv(m: ShortConv, w: Mapping[str, Array], x: Array, epsilon: float) -> Array:
    before, behind, value = np.split(x @ w["conv_in"].T, 3, axis=1)
    return (behind * _causal_conv(before * value, w["conv_taps"], w.get("conv_bias", 0.0))) @ w["conv_out"].T


_MIXERS: dict[type, Callable[..., Array]] = {
    DeltaNet: _delta_net, Mamba: _mamba, Mamba2: _mamba2, ShortConv: _short_conv
}  # fmt: skip
