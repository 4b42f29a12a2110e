"""The parameters of a decoder, by name and shape.

All weights are `[out, in]`, vectors `[size]`; `N` is the layer, from 0. A LayerNorm may have a bias beside its weight,
of the same name with `_bias`, and may have neither.

    embed                                   [vocab, hidden]
    position_embed                          [max_position, hidden]                         (position_table)
    embed_norm                              [hidden]                                       (embedding_norm)
    layer_embed                             [layer_vocab or vocab, layers*layer_embedding] (layer_embedding)
    layer_project                           [layers*layer_embedding, hidden]               (layer_embedding)
    layer_embed_norm                        [layer_embedding]                              (layer_embedding)
    altup_in_I  altup_out_I                 [hidden, hidden] x 2, I from 0 to streams - 2  (altup)
    layers.N.altup_norm  .altup_router      [hidden], [streams, hidden]                    (altup)
    layers.N.altup_predict  .altup_correct  [streams*streams, streams], [streams, streams] (altup)
    layers.N.altup_scale                    [hidden]                                       (altup, layer_embedding)
    layers.N.attn_norm                      [hidden]          norm before attention        (pre, pre_post)
    layers.N.laurel_left  .laurel_right     [rank, hidden], [hidden, rank]                 (laurel_rank)
    layers.N.laurel_norm                    [hidden]                                       (laurel_rank)
    layers.N.q  .k  .v                      [heads*head_dim, hidden], [kv_heads*head_dim, hidden] x 2
    layers.N.q_bias  .k_bias  .v_bias       [heads*head_dim] ...                           (qkv_bias)
    layers.N.q_norm  .k_norm                [head_dim], or [heads*head_dim], [kv_heads*head_dim],
                                            or [heads, head_dim], [kv_heads, head_dim]     (qk_norm)
    layers.N.o  .o_bias                     [hidden, heads*head_dim], [hidden]
    layers.N.attn_sub_norm  .mlp_sub_norm   [heads*head_dim], [intermediate]               (sub_norms)
    layers.N.attn_gate  .head_gate          [heads*head_dim, hidden] or [heads, hidden]    (attention_gate)
    layers.N.sinks                          [heads]                                        (attention_sinks)
    layers.N.attn_post_norm                 [hidden]          norm of attention's output   (post, pre_post)
    layers.N.mlp_norm                       [hidden]          (pre, pre_post; none where branches share theirs)
    layers.N.gate  .gate_bias               [intermediate, hidden], [intermediate]         (gated)
    layers.N.up  .up_bias                   [intermediate, hidden], [intermediate]
    layers.N.down  .down_bias               [hidden, intermediate]
    layers.N.given_gate                     [layer_embedding, hidden]                      (layer_embedding)
    layers.N.given_out  .given_norm         [hidden, layer_embedding], [hidden]            (layer_embedding)
    layers.N.scale                          [1]                                            (layer_scale)
    layers.N.xielu_p  _n  _beta  _eps       [1] each                                       (activation xielu)
    layers.N.mlp_post_norm                  [hidden]                                       (post, pre_post)

Layers that attend to latent vectors (latent) have in place of q, k, v and o, x being query_rank or hidden:

    layers.N.q_a  .q_a_norm                 [query_rank, hidden], [query_rank]             (query_rank)
    layers.N.q_nope  .q_rope                [heads*nope_dim, x], [heads*rope_dim, x]
    layers.N.kv_a  .kv_a_norm               [rank + rope_dim, hidden], [rank]
    layers.N.k_b  .v_b                      [heads, rank, nope_dim], [heads, value_dim, rank]
    layers.N.o                              [hidden, heads*value_dim]

Layers that mix their tokens otherwise have the parameters of that (`mixers/`) in place of q, k, v and o, or beside
them, and so in place of gate, up and down; those that do not mix or have no MLP, nothing of it. Of a layer that is a
mixture of experts, in place of gate, up and down:

    layers.N.router  .router_bias           [experts, hidden], [experts]                   (bias)
    layers.N.choice_bias                    [experts]
    layers.N.expert_scale                   [experts]                                      (own_scale)
    layers.N.router_norm  .exps_norm        [hidden] x 2                                   (own_norms)
    layers.N.exps_post_norm                 [hidden]                                       (own_norms)
    layers.N.shared_post_norm               [hidden]                                       (own_norms, shared_size)
    layers.N.latent_down  .latent_up        [latent, hidden], [hidden, latent]             (latent_size)
    layers.N.gate_exps  .up_exps            [experts, intermediate, hidden or latent] x 2  (gate: gated)
    layers.N.down_exps                      [experts, hidden or latent, intermediate]
    layers.N.gate_exps_bias  .up_exps_bias  [experts, intermediate] x 2                    (bias)
    layers.N.down_exps_bias                 [experts, hidden]                              (bias)
    layers.N.gate_shared  .up_shared        [shared, hidden] x 2                           (shared_size)
    layers.N.down_shared                    [hidden, shared]
    layers.N.shared_gate                    [1, hidden]                                    (shared_gate)

    norm                                    [hidden]          final norm
    head  .head_bias                        [vocab, hidden]   (absent when tied), [vocab]

A block that predicts further tokens (predictor) is the layer behind the last one, and has also

    layers.N.embed  .head                   [vocab, hidden] x 2                            (own_embedding, own_head)
    layers.N.enorm  .hnorm  .head_norm      [hidden] each     of the embedding, of the hidden state, before the head
    layers.N.embed_proj  .hidden_proj       [hidden, hidden] x 2
"""

from __future__ import annotations

from math import prod

from hearth.model.network import Role
from hearth.model.text.config import DecoderConfig, ExpertsConfig, LatentConfig, LayerConfig, PredictorConfig

Shapes = dict[str, tuple[int, ...]]

MOST_STREAMS = 8
"""Of AltUp."""
XIELU = ("xielu_p", "xielu_n", "xielu_beta", "xielu_eps")
_MLP = ("gate", "up", "down")
_MIXERS = frozenset({"delta_qkv", "delta_z", "delta_out", "conv_in", "conv_out", "ssm_in", "ssm_out"})
_MIXERS |= {"delta_q", "delta_k", "delta_v"}
_RWKV = frozenset({*(f"rwkv_{part}" for part in ("r", "k", "v", "g", "out")), *(f"mix_{part}" for part in "krv")})
_LATENT = frozenset({"latent_down", "latent_up"})
_GIVEN = frozenset({"layer_project", "given_gate", "given_out"})
PREDICTOR_PROJ = ("embed_proj", "hidden_proj")
_ATTENTION = frozenset({"q", "k", "v", "o", "attn_gate", "q_a", "q_nope", "q_rope", "kv_a"})
_ALTUP = frozenset(f"altup_{way}_{i}" for way in ("in", "out") for i in range(MOST_STREAMS - 1))
_LAUREL = frozenset({"laurel_left", "laurel_right"})
_BODY = _ATTENTION | _ALTUP | _LAUREL | _MIXERS | _RWKV | _LATENT | _GIVEN | set(PREDICTOR_PROJ)
_BODY |= {*_MLP, *(f"{part}_shared" for part in _MLP)}
_EXPERTS = frozenset(f"{part}_exps" for part in _MLP)
_OF_HEADS = frozenset({"k_b", "v_b"})
_SMALL = frozenset({"router", "shared_gate", "head_gate", "delta_a", "delta_b", "ssm_x", "ssm_dt"})
_SMALL |= {"altup_router", "altup_predict", "altup_correct"}
_SMALL |= {f"delta_{part}_{way}" for part in "fg" for way in ("down", "up")}
_SMALL |= {f"rwkv_{part}_{way}" for part in ("x", "w", "a", "v", "g") for way in ("down", "up")}
_SMALL |= {f"rwkv_x{part}_up" for part in "wkvrg"}
_HEAD = frozenset({"embed", "layer_embed", "head"})


def parameter_shapes(config: DecoderConfig) -> Shapes:
    """Every parameter that a decoder of this configuration has, with its shape, in the order of the forward pass."""
    hidden = config.hidden_size

    shapes: Shapes = {"embed": (config.vocab_size, hidden)}
    if config.position_table:
        shapes["position_embed"] = (config.max_position, hidden)
    shapes |= _norm(config, "embed_norm", config.embedding_norm)
    if config.layer_embedding:
        shapes["layer_embed"] = (config.layer_vocab or config.vocab_size, config.num_layers * config.layer_embedding)
        shapes["layer_project"] = (config.num_layers * config.layer_embedding, hidden)
        shapes["layer_embed_norm"] = (config.layer_embedding,)
    if config.altup:
        others = range(config.altup.count - 1)
        shapes |= {f"altup_{way}_{i}": (hidden, hidden) for way in ("in", "out") for i in others}
    for index, layer in enumerate(config.blocks):
        own: Shapes = _streams(config)
        before = config.placement(layer) in ("pre", "pre_post")
        after = config.placement(layer) in ("post", "pre_post")
        if layer.mixes:
            own |= _norm(config, "attn_norm", before)
            own |= _attention(config, layer) if layer.attends else {}
            own |= dict(layer.mixer.parameters(hidden)) if layer.mixer else {}
            own |= _norm(config, "attn_post_norm", after)
            own |= _laurel(config)
        if layer.feed_forward:
            own |= _norm(config, "mlp_norm", before and config.branches != "parallel_shared")
            own |= _feed_forward(config, layer)
            own |= _norm(config, "mlp_post_norm", after)
        if config.layer_embedding:
            width = config.layer_embedding
            own |= {"given_gate": (width, hidden), "given_out": (hidden, width), "given_norm": (hidden,)}
        if config.layer_scale:
            own["scale"] = (1,)
        if index == config.num_layers and config.predictor:
            own = _predictor(config, config.predictor) | own
        shapes |= {f"layers.{index}.{name}": shape for name, shape in own.items()}
    shapes |= _norm(config, "norm")
    if not config.tied_embeddings:
        shapes["head"] = (config.vocab_size, hidden)
    if config.head_bias:
        shapes["head_bias"] = (config.vocab_size,)
    return shapes


def is_predictors(parameter: str, config: DecoderConfig) -> bool:
    """Whether a parameter, or a state, belongs to the block that predicts further tokens."""
    return parameter.startswith(f"layers.{config.num_layers}.")


def _predictor(config: DecoderConfig, predictor: PredictorConfig) -> Shapes:
    """What the block has beside its layer."""
    hidden = config.hidden_size
    matrices = {"embed": predictor.own_embedding, "head": predictor.own_head}
    shapes: Shapes = {name: (config.vocab_size, hidden) for name, there in matrices.items() if there}
    for name in ("enorm", "hnorm", "head_norm"):
        shapes |= _norm(config, name)
    return shapes | dict.fromkeys(PREDICTOR_PROJ, (hidden, hidden))


def _norm(config: DecoderConfig, name: str, there: bool = True) -> Shapes:
    names = [name] if config.norm_weight else []
    names += [f"{name}_bias"] if config.norm_bias else []
    return dict.fromkeys(names, (config.hidden_size,)) if there else {}


def _attention(config: DecoderConfig, layer: LayerConfig) -> Shapes:
    if config.latent:
        return _latent(config, config.latent)
    hidden, head = config.hidden_size, config.head_dim_of(layer)
    heads, kv_heads = config.num_heads_of(layer), config.num_kv_heads_of(layer)
    q_size, kv_size = heads * head, kv_heads * head
    shapes: Shapes = {"q": (q_size, hidden), "k": (kv_size, hidden), "v": (kv_size, hidden)}
    if config.qkv_bias:
        shapes |= {"q_bias": (q_size,), "k_bias": (kv_size,), "v_bias": (kv_size,)}
    if config.qk_norm in ("head", "rotated_head"):
        shapes |= {"q_norm": (head,), "k_norm": (head,)}
    elif config.qk_norm == "full":
        shapes |= {"q_norm": (q_size,), "k_norm": (kv_size,)}
    elif config.qk_norm == "head_layer":
        shapes |= {"q_norm": (heads, head), "k_norm": (kv_heads, head)}
    if config.attention_gate == "full":
        shapes["attn_gate"] = (q_size, hidden)
    elif config.attention_gate == "head":
        shapes["head_gate"] = (heads, hidden)
    if config.attention_sinks:
        shapes["sinks"] = (heads,)
    if config.sub_norms:
        shapes["attn_sub_norm"] = (q_size,)
    shapes["o"] = (hidden, q_size)
    shapes |= {"o_bias": (hidden,)} if config.output_bias else {}
    absent = {"k", "v", "k_bias", "v_bias", "k_norm"} if layer.reads is not None else set()
    absent |= set() if layer.own_values else {"v", "v_bias"}
    return {name: shape for name, shape in shapes.items() if name not in absent}


def _feed_forward(config: DecoderConfig, layer: LayerConfig) -> Shapes:
    if layer.channel_mixer is not None:
        return dict(layer.channel_mixer.parameters(config.hidden_size))
    return _experts(config, config.experts) if layer.experts and config.experts else _mlp(config, layer)


def _streams(config: DecoderConfig) -> Shapes:
    if config.altup is None:
        return {}
    hidden, count = config.hidden_size, config.altup.count
    shapes: Shapes = {"altup_norm": (hidden,), "altup_router": (count, hidden)}
    shapes |= {"altup_predict": (count * count, count), "altup_correct": (count, count)}
    return shapes | ({"altup_scale": (hidden,)} if config.layer_embedding else {})


def _laurel(config: DecoderConfig) -> Shapes:
    hidden, rank = config.hidden_size, config.laurel_rank
    return {"laurel_left": (rank, hidden), "laurel_right": (hidden, rank), "laurel_norm": (hidden,)} if rank else {}


def _latent(config: DecoderConfig, latent: LatentConfig) -> Shapes:
    hidden, heads, read = config.hidden_size, config.num_heads, latent.query_rank or config.hidden_size
    shapes: Shapes = {}
    if latent.query_rank:
        shapes |= {"q_a": (read, hidden), "q_a_norm": (read,)}
    shapes |= {"q_nope": (heads * latent.nope_dim, read), "q_rope": (heads * latent.rope_dim, read)}
    shapes |= {"kv_a": (latent.row, hidden), "kv_a_norm": (latent.rank,)}
    shapes |= {"k_b": (heads, latent.rank, latent.nope_dim), "v_b": (heads, latent.value_dim, latent.rank)}
    return shapes | {"o": (hidden, heads * latent.value_dim)}


def _mlp(config: DecoderConfig, layer: LayerConfig) -> Shapes:
    hidden, inner = config.hidden_size, layer.intermediate_size or config.intermediate_size
    into = ("gate", "up") if config.mlp == "gated" else ("up",)
    shapes: Shapes = dict.fromkeys(into, (inner, hidden))
    if config.mlp_bias:
        shapes |= {f"{name}_bias": (inner,) for name in into}
    if config.sub_norms:
        shapes["mlp_sub_norm"] = (inner,)
    shapes["down"] = (hidden, inner)
    if config.activation == "xielu":
        shapes |= dict.fromkeys(XIELU, (1,))
    return shapes | ({"down_bias": (hidden,)} if config.mlp_bias else {})


def _experts(config: DecoderConfig, experts: ExpertsConfig) -> Shapes:
    hidden, count, inner = config.hidden_size, experts.count, experts.intermediate_size
    into = ("gate", "up") if config.mlp == "gated" else ("up",)
    shapes: Shapes = {"router": (count, hidden)}
    if experts.choice_bias:
        shapes["choice_bias"] = (count,)
    if experts.own_scale:
        shapes["expert_scale"] = (count,)
    if experts.own_norms:
        norms = ("router_norm", "exps_norm", "exps_post_norm", *(("shared_post_norm",) if experts.shared_size else ()))
        shapes |= dict.fromkeys(norms, (hidden,))
    if experts.latent_size:
        shapes |= {"latent_down": (experts.latent_size, hidden), "latent_up": (hidden, experts.latent_size)}
    read = experts.latent_size or hidden
    shapes |= {f"{name}_exps": (count, inner, read) for name in into}
    shapes["down_exps"] = (count, read, inner)
    if experts.bias:
        shapes["router_bias"] = (count,)
        shapes |= {f"{name}_bias": shapes[name][:2] for name in list(shapes) if name.endswith("_exps")}
    if experts.shared_size:
        shapes |= {f"{name}_shared": (experts.shared_size, hidden) for name in into}
        shapes["down_shared"] = (hidden, experts.shared_size)
    return shapes | ({"shared_gate": (1, hidden)} if experts.shared_gate else {})


def active_parameters(config: DecoderConfig) -> int | None:
    """How many numbers a token meets where these are not all: of experts, those that are chosen for it; else None."""
    if config.experts is None:
        return None
    used, shapes = config.experts.used, parameter_shapes(config)
    of_experts = {name for name in shapes if parameter_role(name) == "experts" and name.endswith("_exps")}
    return sum(prod((used, *shape[1:]) if name in of_experts else shape) for name, shape in shapes.items())


ALIBI = "alibi"
"""The slopes of `DecoderConfig.alibi`, which no file holds."""


def rope_parameter(index: int) -> str:
    """The frequencies of `DecoderConfig.ropes[index]`, which no file holds."""
    return f"ropes.{index}.inv_freq"


def parameter_role(name: str) -> Role:
    """What a parameter is to the choice of number formats."""
    last = name.rpartition(".")[2]
    names: tuple[tuple[frozenset[str], Role], ...] = (
        (_HEAD, "head"), (_BODY, "body"), (_EXPERTS | _OF_HEADS, "experts"), (_SMALL, "small"),
    )  # fmt: skip
    return next((role for known, role in names if last in known), "exact")
