"""A decoder in plain numpy: the formulas of `DecoderConfig`, with no regard for speed. Arithmetic is in f64.

It checks that families describe their models rightly, apart from anything the compiler does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.model import reference_mixers

from golden import Case
from hearth.checkpoint.types import Checkpoint
from hearth.model import DecoderConfig, ExpertsConfig, LayerConfig, LoadedModel, RopeConfig, load_family
from hearth.model.text.config import LatentConfig
from hearth.model.weights import ColumnsSource, ComputedWeight, StackedWeight, WeightSource

Array = NDArray[np.float64]


def error_of(checkpoint: Checkpoint, case: Case) -> float:
    """How far a golden model, in whatever form, is from what transformers computes: the largest difference of two
    logits, as a share of the largest logit."""
    model = load_family(checkpoint, context=case.context)
    expected = case.expected_logits()
    actual = forward(model.config, read_parameters(checkpoint, model), case.token_ids)
    assert actual.shape == expected.shape
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def read_tensor(checkpoint: Checkpoint, name: str) -> Array:
    """A tensor of f32, f16 or bf16 values."""
    info, raw = checkpoint.tensors[name], checkpoint.raw(name)
    if info.dtype == "bf16":
        values = (raw.view("<u2").astype("<u4") << 16).view("<f4")
    else:
        values = raw.view({"f32": "<f4", "f16": "<f2"}[info.dtype])
    return values.reshape(info.shape).astype(np.float64)


def read_parameters(checkpoint: Checkpoint, model: LoadedModel) -> dict[str, Array]:
    """Every parameter of the decoder."""
    parameters = {}
    for name, source in model.sources.items():
        if isinstance(source, ComputedWeight):
            tensors = (read_tensor(checkpoint, tensor).astype(np.float32) for tensor in source.tensors)
            parameters[name] = source.compute(*tensors).astype(np.float64)
            continue
        stacked = isinstance(source, StackedWeight)
        parts = [_read_part(checkpoint, part) for part in (source.parts if stacked else [source])]
        parameters[name] = np.stack(parts) if stacked else parts[0]
    return parameters


def _read_part(checkpoint: Checkpoint, source: WeightSource | ColumnsSource) -> Array:
    if isinstance(source, ColumnsSource):
        rows = _read_rows(checkpoint, WeightSource(source.tensor, source.rows))
        return rows[:, source.columns].T
    return _read_rows(checkpoint, source)


def _read_rows(checkpoint: Checkpoint, source: WeightSource) -> Array:
    values = read_tensor(checkpoint, source.tensor)
    if values.ndim == 3:
        values = values.reshape(-1, values.shape[-1])
    if source.fold > 1:
        values = values.reshape(len(values) * source.fold, -1)
    if source.rows is not None:
        values = values[slice(*source.rows)]
    return values if source.order is None else values[source.order]


def forward(config: DecoderConfig, parameters: Mapping[str, Array], token_ids: NDArray[np.int32]) -> Array:
    """Logits [tokens, vocab] of one sequence from its start."""
    p = parameters
    x = p["embed"][token_ids] * config.embedding_scale  # (T, hidden)
    if config.position_table:
        x = x + p["position_embed"][: len(x)]
    if config.embedding_norm:
        x = _norm(config, x, p, "embed_norm")
    embedded = x
    shared: Shared = {}
    streams = [x] if config.altup is None else _streams(config, p, x)
    for index, layer in enumerate(config.layers):
        own = {name.split(".", 2)[2]: w for name, w in p.items() if name.startswith(f"layers.{index}.")}
        streams, x = _predicted(config, own, streams)
        start = x
        branches = ((_mixed, "attn_norm", "attn_post_norm"),) if layer.mixes else ()
        branches += ((_mlp, "mlp_norm", "mlp_post_norm"),) if layer.feed_forward else ()
        for branch, before, after in branches:
            read = x if config.branches == "serial" else start
            before = "attn_norm" if config.branches == "parallel_shared" else before
            y = read_normed = _norm(config, read, own, before) if config.placement(layer) != "post" else read
            y = branch(config, layer, own, y, read) if branch is _mlp else _mixed(config, layer, own, y, shared, index)
            if config.placement(layer) != "pre":
                y = _norm(config, y, own, after)
            x = x + config.residual_scale * y
            if config.laurel_rank and branch is _mixed:
                low = _rms_norm(config, read_normed @ own["laurel_left"].T @ own["laurel_right"].T, own["laurel_norm"])
                x = (x + read_normed + low) / np.sqrt(2)
        given = partial(_given, config, p, own, embedded=embedded, token_ids=token_ids, index=index)
        streams = _corrected(config, own, streams, x, given)
    x = _norm(config, _whole(p, streams), p, "norm")
    logits = x @ (p["embed"] if config.tied_embeddings else p["head"]).T + p.get("head_bias", 0.0)
    logits = logits * config.logit_scale
    return _softcap(logits, config.logit_softcap)


Shared = dict[int | str, Any]
"""Keys and values of layers, by their numbers, and what mixers leave to those of later layers."""


def _given(
    config: DecoderConfig, p: Mapping[str, Array], w: Mapping[str, Array], x: Array, *, embedded: Array,
    token_ids: NDArray[np.int32], index: int,
) -> Array:  # fmt: skip
    """What the second embedding adds to what a layer gives."""
    width = config.layer_embedding
    project = p["layer_project"][index * width : (index + 1) * width]
    token_ids = np.where(token_ids < (config.layer_vocab or config.vocab_size), token_ids, 0)
    of_token = p["layer_embed"][token_ids][:, index * width : (index + 1) * width] * np.sqrt(width)
    of_x = _rms_norm(config, embedded @ project.T / np.sqrt(config.hidden_size), p["layer_embed_norm"])
    gated = _activated(config, w, x @ w["given_gate"].T) * (of_x + of_token) / np.sqrt(2)
    return _rms_norm(config, gated @ w["given_out"].T, w["given_norm"])


def _streams(config: DecoderConfig, p: Mapping[str, Array], x: Array) -> list[Array]:
    return [x, *(_as_large(x @ p[f"altup_in_{i}"].T, x) for i in range(config.altup.count - 1))]


def _as_large(x: Array, other: Array) -> Array:
    squares, others = (np.mean(each * each, -1, keepdims=True) for each in (x, other))
    return x * np.sqrt(others / np.maximum(squares, 1e-5))


def _modalities(config: DecoderConfig, w: Mapping[str, Array], x: Array) -> Array:
    return np.tanh(_rms_norm(config, x, w["altup_norm"]) @ w["altup_router"].T / config.hidden_size)


def _predicted(config: DecoderConfig, w: Mapping[str, Array], streams: list[Array]) -> tuple[list[Array], Array]:
    """The streams before a layer, and the one that it reads."""
    if config.altup is None:
        return streams, streams[0]
    count, active = config.altup.count, config.altup.active
    shares = (_modalities(config, w, streams[active]) @ w["altup_predict"].T).reshape(-1, count, count)
    stacked = np.stack(streams, 1)  # (T, streams, hidden)
    predicted = list(np.moveaxis(stacked + shares @ stacked, 1, 0))
    return predicted, predicted[active]


def _corrected(
    config: DecoderConfig, w: Mapping[str, Array], streams: list[Array], x: Array, given: Callable[[Array], Array]
) -> list[Array]:
    """The streams behind a layer that gives x."""
    if config.altup is None:
        x = x + given(x) if config.layer_embedding else x
        return [x * w.get("scale", 1.0)]
    shares = 1 + _modalities(config, w, x) @ w["altup_correct"].T
    news = x - streams[config.altup.active]
    streams = [stream + shares[:, i, None] * news for i, stream in enumerate(streams)]
    more = given(streams[config.altup.active] * w["altup_scale"]) if config.layer_embedding else 0.0
    return [streams[0], *(stream + more for stream in streams[1:])]


def _whole(p: Mapping[str, Array], streams: list[Array]) -> Array:
    others = [_as_large(x @ p[f"altup_out_{i}"].T, streams[0]) for i, x in enumerate(streams[1:])]
    return sum([streams[0], *others]) / len(streams)


def _mixed(
    config: DecoderConfig, layer: LayerConfig, w: Mapping[str, Array], x: Array, shared: Shared, index: int
) -> Array:
    attended = _attention(config, layer, w, x, shared, index) if layer.attends else 0.0
    return attended + (reference_mixers.mix(layer.mixer, w, x, config.norm_eps, shared) if layer.mixer else 0.0)


def _attention(
    config: DecoderConfig, layer: LayerConfig, w: Mapping[str, Array], x: Array, shared: Shared, index: int
) -> Array:
    if config.latent:
        return _latent_attention(config, config.latent, layer, w, x)
    tokens, group = len(x), config.num_heads_of(layer) // config.num_kv_heads_of(layer)
    # Of a layer that has no keys or no values of its own something stands there, and is not used.
    names = ("q", "k" if "k" in w else "q", "v" if "v" in w else "k" if "k" in w else "q")
    q, k, v = (x @ w[name].T + w.get(f"{name}_bias", 0.0) for name in names)
    if config.qkv_clip is not None:
        q, k, v = (np.clip(a, -config.qkv_clip, config.qkv_clip) for a in (q, k, v))
    if config.qk_norm == "full":
        q, k = _rms_norm(config, q, w["q_norm"]), _rms_norm(config, k, w["k_norm"])
    q, k, v = (a.reshape(tokens, -1, config.head_dim_of(layer)) for a in (q, k, v))  # (T, heads, head_dim)
    if config.qk_norm == "head":
        q, k = _rms_norm(config, q, w["q_norm"]), _rms_norm(config, k, w.get("k_norm", w["q_norm"]))
    if config.value_norm:
        v = _rms_norm(config, v, np.ones(1))
    if config.qk_norm == "head_layer":
        q, k = (_layer_norm(config, x, w[name]) for x, name in ((q, "q_norm"), (k, "k_norm")))
    if layer.rope is not None:
        q, k = _rotate(config.ropes[layer.rope], q), _rotate(config.ropes[layer.rope], k)
    if config.qk_norm == "rotated_head":
        q, k = _rms_norm(config, q, w["q_norm"]), _rms_norm(config, k, w["k_norm"])
    if config.qk_norm == "rotated_bare" and layer.rope is not None:
        q, k = _rms_norm(config, q, np.ones(1)), _rms_norm(config, k, np.ones(1))
    if config.attention_temperature and layer.tempered:
        rate, length, offset = config.attention_temperature
        q = q * (1 + rate * np.log(1 + (np.arange(tokens) + offset) // length))[:, None, None]
    k, v = shared[layer.reads] if layer.reads is not None else (k, v)
    shared[index] = k, v
    k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
    scores = _softcap(np.einsum("ihd,jhd->hij", q, k) * config.attention_scale, config.attention_softcap)
    distance = np.arange(tokens)[:, None] - np.arange(tokens)[None, :]
    if config.alibi:
        scores = scores - np.array(config.alibi)[:, None, None] * distance
    visible = (distance >= 0) & (distance < (layer.sliding_window or tokens))
    if layer.chunked:
        chunk = np.arange(tokens) // layer.sliding_window
        visible &= chunk[:, None] == chunk[None, :]
    scores = np.where(visible, scores, -np.inf)
    highest = scores.max(-1, keepdims=True)
    weights = np.exp(scores - highest)
    sinks = np.exp(w["sinks"][:, None, None] - highest) if config.attention_sinks else 0.0
    weights /= weights.sum(-1, keepdims=True) + sinks
    mixed = np.einsum("hij,jhd->ihd", weights, v).reshape(tokens, -1)
    if config.attention_gate:
        gate = x @ w["attn_gate" if config.attention_gate == "full" else "head_gate"].T
        gate = np.logaddexp(0, gate) if config.gate_activation == "softplus" else 1 / (1 + np.exp(-gate))
        mixed = mixed * np.repeat(gate, mixed.shape[1] // gate.shape[1], axis=1)
    mixed = _rms_norm(config, mixed, w["attn_sub_norm"]) if config.sub_norms else mixed
    return mixed @ w["o"].T + w.get("o_bias", 0.0)


def _latent_attention(
    config: DecoderConfig, latent: LatentConfig, layer: LayerConfig, w: Mapping[str, Array], x: Array
) -> Array:
    """With the keys and values that heads have for themselves, which no cache holds."""
    tokens, heads = len(x), config.num_heads
    read = _rms_norm(config, x @ w["q_a"].T, w["q_a_norm"], latent.norm_eps) if latent.query_rank else x
    nope, turned = ((read @ w[name].T).reshape(tokens, heads, -1) for name in ("q_nope", "q_rope"))
    both = x @ w["kv_a"].T
    vectors, key = both[:, : latent.rank], both[:, None, latent.rank :]
    vectors = _rms_norm(config, vectors, w["kv_a_norm"], latent.norm_eps)
    if layer.rope is not None:
        turned, key = (_rotate(config.ropes[layer.rope], a) for a in (turned, key))
    keys, values = np.einsum("jr,hrn->jhn", vectors, w["k_b"]), np.einsum("jr,hvr->jhv", vectors, w["v_b"])
    scores = np.einsum("ihn,jhn->hij", nope, keys) + np.einsum("ihr,jr->hij", turned, key[:, 0])
    scores = scores * config.attention_scale
    if config.attention_temperature:
        rate, length, offset = config.attention_temperature
        scores = scores * (1 + rate * np.log(1 + (np.arange(tokens) + offset) // length))[:, None]
    scores = np.where(np.tri(tokens, dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return np.einsum("hij,jhv->ihv", weights, values).reshape(tokens, -1) @ w["o"].T


def _mlp(config: DecoderConfig, layer: LayerConfig, w: Mapping[str, Array], x: Array, bare: Array) -> Array:
    """x: what the norm before it makes of `bare`."""
    if layer.channel_mixer:
        return reference_mixers.mix(layer.channel_mixer, w, x, config.norm_eps, {})
    if not layer.experts:
        return _feed_forward(config, w, x, layer.gate_cut)
    experts = config.experts
    assert experts is not None
    routed, read = (_rms_norm(config, bare, w[n]) if experts.own_norms else x for n in ("router_norm", "exps_norm"))
    weights = _expert_weights(experts, routed @ w["router"].T + w.get("router_bias", 0.0), w.get("choice_bias"))
    weights = weights * w.get("expert_scale", 1.0)
    read = read @ w["latent_down"].T if experts.latent_size else read
    out = np.zeros_like(read)
    for expert in range(experts.count):
        own, chosen = weights[:, expert, None], weights[:, expert, None] != 0
        given = _feed_forward(config, _of(w, "_exps", expert), read * own if experts.scales_input else read)
        out += given * (chosen if experts.scales_input else own)
    out = out @ w["latent_up"].T if experts.latent_size else out
    out = _rms_norm(config, out, w["exps_post_norm"]) if experts.own_norms else out
    if experts.shared_size:
        shared = _feed_forward(config, _of(w, "_shared"), x)
        shared = _rms_norm(config, shared, w["shared_post_norm"]) if experts.own_norms else shared
        shared = shared * experts.shared_scale
        out += shared / (1 + np.exp(-x @ w["shared_gate"].T)) if experts.shared_gate else shared
    return out


def _of(w: Mapping[str, Array], kind: str, *expert: int) -> dict[str, Array]:
    """The MLP of an expert, or what is beside them."""
    names = [name + bias for name in ("gate", "up", "down") for bias in ("", "_bias")]
    stored = {name: name.replace("_bias", "") + kind + ("_bias" if "_bias" in name else "") for name in names}
    return {name: w[own][expert] for name, own in stored.items() if own in w}


def _expert_weights(experts: ExpertsConfig, logits: Array, bias: Array | None) -> Array:
    """[tokens, experts]: of those that are not chosen, 0."""
    scores = logits
    if experts.scores == "softmax":
        scores = np.exp(logits - logits.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
    elif experts.scores == "sigmoid":
        scores = 1 / (1 + np.exp(-logits))
    choice = scores + (0.0 if bias is None else bias)
    if experts.groups > 1:
        grouped = choice.reshape(len(choice), experts.groups, -1)
        best = np.sort(grouped, -1)[:, :, -experts.best_of_group :].sum(-1)
        dropped = np.argsort(-best, -1)[:, experts.used_groups :]
        np.put_along_axis(grouped, dropped[:, :, None], -np.inf, 1)
        choice = grouped.reshape(choice.shape)
    chosen = np.argsort(-choice, -1)[:, : experts.used]
    own = np.take_along_axis(scores, chosen, -1)
    if experts.scores == "softmax_of_chosen":
        own = np.exp(own - own.max(-1, keepdims=True))
        own /= own.sum(-1, keepdims=True)
    if experts.normalise:
        own = own / own.sum(-1, keepdims=True)
    weights = np.zeros_like(scores)
    np.put_along_axis(weights, chosen, own * experts.scale, -1)
    return weights


def _feed_forward(config: DecoderConfig, w: Mapping[str, Array], x: Array, cut: float | None = None) -> Array:
    up = x @ w["up"].T + w.get("up_bias", 0.0)
    if config.mlp == "gated":
        most = config.mlp_clamp or np.inf
        gate = np.minimum(x @ w["gate"].T + w.get("gate_bias", 0.0), most)
        if cut is not None:
            gate = np.maximum(gate - gate.mean(-1, keepdims=True) - cut * gate.std(-1, keepdims=True), 0)
        h = _activated(config, w, gate) * (np.clip(up, -most, most) + config.up_offset)
    else:
        h = _activated(config, w, up)
    h = _rms_norm(config, h, w["mlp_sub_norm"]) if config.sub_norms else h
    return h @ w["down"].T + w.get("down_bias", 0.0)


def _activated(config: DecoderConfig, w: Mapping[str, Array], x: Array) -> Array:
    if config.activation == "xielu":
        below = (w["xielu_n"] + w["xielu_beta"]) * (np.expm1(np.minimum(x, w["xielu_eps"])) - x)
        return np.where(x > 0, w["xielu_p"] * x * x, below) + w["xielu_beta"] * x
    if config.activation == "silu":
        return x / (1 + np.exp(-x))
    if config.activation == "quick_gelu":
        return x / (1 + np.exp(-1.702 * x))
    if config.activation == "gelu_tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    if config.activation == "gelu":
        return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    return np.maximum(x, 0) ** (2 if config.activation == "relu2" else 1)


def _norm(config: DecoderConfig, x: Array, p: Mapping[str, Array], name: str) -> Array:
    if config.norm == "rms":
        return _rms_norm(config, x, p[name] if config.norm_weight else np.ones(1))
    x = _layer_norm(config, x, p[name] + config.norm_offset if config.norm_weight else 1.0)
    return x + p.get(f"{name}_bias", 0.0)


def _layer_norm(config: DecoderConfig, x: Array, weight: Array | float) -> Array:
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt(np.mean(x * x, -1, keepdims=True) + config.norm_eps) * weight


def _rms_norm(config: DecoderConfig, x: Array, weight: Array, eps: float | None = None) -> Array:
    eps = config.norm_eps if eps is None else eps
    return x / np.sqrt(np.mean(x * x, -1, keepdims=True) + eps) * (weight + config.norm_offset)


def _rotate(rope: RopeConfig, x: Array) -> Array:
    """Turns pair i, dimensions i and i + rotary_dim / 2, of each head by position * inv_freq[i]."""
    half = len(rope.inv_freq)
    angles = np.arange(len(x))[:, None, None] * np.array(rope.inv_freq)
    cos, sin = np.cos(angles) * rope.attention_factor, np.sin(angles) * rope.attention_factor
    first, second, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return np.concatenate([first * cos - second * sin, second * cos + first * sin, rest], -1)


def _softcap(x: Array, cap: float | None) -> Array:
    return x if cap is None else cap * np.tanh(x / cap)
