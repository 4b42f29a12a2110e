"""What mixes tokens in place of attention, in plain numpy: token by token, as the papers' formulas say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.model.text.mixers.delta_net import DeltaNet
from hearth.model.text.mixers.kimi_delta import KimiDelta
from hearth.model.text.mixers.mamba import Mamba
from hearth.model.text.mixers.mamba2 import Mamba2
from hearth.model.text.mixers.rwkv4 import Rwkv4
from hearth.model.text.mixers.rwkv6 import Rwkv6
from hearth.model.text.mixers.rwkv7 import Rwkv7
from hearth.model.text.mixers.rwkv_channels import RwkvChannels
from hearth.model.text.mixers.short_conv import ShortConv

Array = NDArray[np.float64]


def mix(mixer: Any, w: Mapping[str, Array], x: Array, epsilon: float, left: dict[Any, Any]) -> Array:
    """(tokens, hidden) of one sequence from its start. `left`: what mixers of layers before leave to later ones."""
    if isinstance(mixer, Rwkv7):
        return _rwkv7(mixer, w, x, left)
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


def _kimi_delta(m: KimiDelta, w: Mapping[str, Array], x: Array, epsilon: float) -> Array:
    qkv = np.concatenate([x @ w[f"delta_{part}"].T for part in "qkv"], axis=1)
    qkv = silu(_causal_conv(qkv, w["delta_conv"])).reshape(len(x), 3, m.heads, m.size)
    q, k, v = qkv[:, 0], qkv[:, 1], qkv[:, 2]
    q, k = (a / np.sqrt((a * a).sum(-1, keepdims=True) + 1e-6) for a in (q, k))
    low, gate = (x @ w[f"delta_{part}_down"].T @ w[f"delta_{part}_up"].T for part in "fg")
    steps = np.log1p(np.exp(low + w["delta_step"])).reshape(len(x), m.heads, m.size)
    decay, strength = np.exp(w["delta_decay"] * steps), _sigmoid(x @ w["delta_b"].T)
    state, out = np.zeros((m.heads, m.size, m.size)), []  # [key][value]
    for t in range(len(x)):
        state = state * decay[t][:, :, None]
        change = strength[t][:, None] * (v[t] - np.einsum("hkv,hk->hv", state, k[t]))
        state = state + k[t][:, :, None] * change[:, None, :]
        out.append(np.einsum("hkv,hk->hv", state, q[t]) * m.size**-0.5)
    y = np.stack(out)
    y = y / np.sqrt((y * y).mean(-1, keepdims=True) + epsilon) * w["delta_scale"]
    return (y.reshape(len(x), -1) * _sigmoid(gate)) @ w["delta_out"].T


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


def _before(x: Array) -> Array:
    """What the token before has."""
    return np.concatenate([np.zeros((1, x.shape[1])), x[:-1]])


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _head_norm(w: Mapping[str, Array], y: Array, epsilon: float) -> Array:
    """LayerNorm of each head: y (tokens, heads, size)."""
    y = y - y.mean(-1, keepdims=True)
    y = y / np.sqrt((y * y).mean(-1, keepdims=True) + epsilon)
    return (y.reshape(len(y), -1) * w["rwkv_norm"] + w["rwkv_norm_bias"]).reshape(y.shape)


def _rwkv7(m: Rwkv7, w: Mapping[str, Array], x: Array, left: dict[Any, Any]) -> Array:
    away = _before(x) - x
    of = {part: x + away * w[f"rwkv_x_{part}"] for part in "rwkvag"}

    def low(part: str, activation: Callable[[Array], Array] = lambda x: x) -> Array:
        inner = activation(of[part] @ w[f"rwkv_{part}_down"].T)
        return inner @ w[f"rwkv_{part}_up"].T + w.get(f"rwkv_{part}_bias", 0.0)

    r, k, v = (of[part] @ w[f"rwkv_{part}"].T for part in "rkv")
    decay, rate = np.exp(-np.exp(-0.5) * _sigmoid(low("w", np.tanh))), _sigmoid(low("a"))
    v = v if m.first else v + (left["v"] - v) * _sigmoid(low("v"))
    left.setdefault("v", v)
    erased, k = k * w["rwkv_erased"], k * (1 + (rate - 1) * w["rwkv_kept"])
    r, decay, rate, erased, k, v = (a.reshape(len(x), m.heads, m.size) for a in (r, decay, rate, erased, k, v))
    erased = erased / np.maximum(np.sqrt((erased**2).sum(-1, keepdims=True)), 1e-12)
    state, out = np.zeros((m.heads, m.size, m.size)), []  # [value][key]
    for t in range(len(x)):
        taken = np.einsum("hvk,hk->hv", state, erased[t])
        state = state * decay[t][:, None] - taken[:, :, None] * (erased[t] * rate[t])[:, None]
        state = state + v[t][:, :, None] * k[t][:, None]
        out.append(np.einsum("hvk,hk->hv", state, r[t]))
    y = _head_norm(w, np.stack(out), m.epsilon) if m.normalises else np.stack(out)
    y = y + (r * k * w["rwkv_bonus"].reshape(m.heads, m.size)).sum(-1, keepdims=True) * v
    return (y.reshape(len(x), -1) * low("g", _sigmoid)) @ w["rwkv_out"].T


def _rwkv6(m: Rwkv6, w: Mapping[str, Array], x: Array, epsilon: float) -> Array:
    away = _before(x) - x
    inner = np.split(np.tanh((x + away * w["rwkv_x"]) @ w["rwkv_x_down"].T), 5, axis=1)
    of = {part: x + away * (w[f"rwkv_x_{part}"] + inner[i] @ w[f"rwkv_x{part}_up"].T) for i, part in enumerate("wkvrg")}
    r, k, v, g = (of[part] @ w[f"rwkv_{part}"].T + w.get(f"rwkv_{part}_bias", 0.0) for part in "rkvg")
    decay = np.exp(-np.exp(np.tanh(of["w"] @ w["rwkv_w_down"].T) @ w["rwkv_w_up"].T + w["rwkv_w_bias"]))
    r, k, v, decay = (a.reshape(len(x), -1, m.size) for a in (r, k, v, decay))
    k, v = (np.repeat(a, m.heads // a.shape[1], axis=1) for a in (k, v))
    k = k * (1 - decay) if m.gated else k
    state, out = np.zeros((m.heads, m.size, m.size)), []  # [key][value]
    for t in range(len(x)):
        new = k[t][:, :, None] * v[t][:, None]
        if m.gated:
            state = state * decay[t][:, :, None] + new
            out.append(np.einsum("hkv,hk->hv", state, r[t]) * m.size**-0.5)
        else:
            bonus = w["rwkv_bonus"].reshape(m.heads, m.size)
            out.append(np.einsum("hkv,hk->hv", state + bonus[:, :, None] * new, r[t]))
            state = state * decay[t][:, :, None] + new
    y = np.stack(out) if m.gated else _head_norm(w, np.stack(out), m.epsilon)
    return (y.reshape(len(x), -1) * (_sigmoid(g) if m.gated else silu(g))) @ w["rwkv_out"].T


def _rwkv4(m: Rwkv4, w: Mapping[str, Array], x: Array, epsilon: float) -> Array:
    away = _before(x) - x
    k, v, r = ((x + away * w[f"rwkv_x_{part}"]) @ w[f"rwkv_{part}"].T for part in "kvr")
    top, bottom, out = np.zeros(m.channels), np.zeros(m.channels), []
    for t in range(len(x)):
        own = np.exp(k[t] + w["rwkv_bonus"])
        out.append((top + own * v[t]) / (bottom + own))
        top, bottom = (s * np.exp(w["rwkv_decay"]) + np.exp(k[t]) * n for s, n in ((top, v[t]), (bottom, 1.0)))
    return (np.stack(out) * _sigmoid(r)) @ w["rwkv_out"].T


def _rwkv_channels(m: RwkvChannels, w: Mapping[str, Array], x: Array, epsilon: float) -> Array:
    away = _before(x) - x
    y = np.maximum((x + away * w["mix_x_k"]) @ w["mix_k"].T, 0) ** 2 @ w["mix_v"].T
    return y * _sigmoid((x + away * w["mix_x_r"]) @ w["mix_r"].T) if m.gated else y


_MIXERS: dict[type, Callable[..., Array]] = {
    DeltaNet: _delta_net, KimiDelta: _kimi_delta, Mamba: _mamba, Mamba2: _mamba2, ShortConv: _short_conv,
    Rwkv6: _rwkv6,
    Rwkv4: _rwkv4, RwkvChannels: _rwkv_channels,
}  # fmt: skip
