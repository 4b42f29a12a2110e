"""The parameters of a decoder, by name and shape.

All weights are `[out, in]`, vectors `[size]`; `N` is the layer, from 0. A LayerNorm may have a bias beside its weight,
of the same name with `_bias`, and may have neither.

    embed                                   [vocab, hidden]
    position_embed                          [max_position, hidden]                         (position_table)
    embed_norm                              [hidden]                                       (embedding_norm)
    layers.N.attn_norm                      [hidden]          norm before attention        (pre, pre_post)
    layers.N.q  .k  .v                      [heads*head_dim, hidden], [kv_heads*head_dim, hidden] x 2
    layers.N.q_bias  .k_bias  .v_bias       [heads*head_dim] ...                           (qkv_bias)
    layers.N.q_norm  .k_norm                [head_dim] or [heads*head_dim], [kv_heads*head_dim]   (qk_norm)
    layers.N.o  .o_bias                     [hidden, heads*head_dim], [hidden]
    layers.N.attn_post_norm                 [hidden]          norm of attention's output   (post, pre_post)
    layers.N.mlp_norm                       [hidden]          (pre, pre_post; none where branches share theirs)
    layers.N.gate  .gate_bias               [intermediate, hidden], [intermediate]         (gated)
    layers.N.up  .up_bias                   [intermediate, hidden], [intermediate]
    layers.N.down  .down_bias               [hidden, intermediate]
    layers.N.mlp_post_norm                  [hidden]                                       (post, pre_post)
    norm                                    [hidden]          final norm
    head  .head_bias                        [vocab, hidden]   (absent when tied), [vocab]
"""

from __future__ import annotations

from hearth.model.network import Role
from hearth.model.text.config import DecoderConfig

Shapes = dict[str, tuple[int, ...]]

_BODY = frozenset({"q", "k", "v", "o", "gate", "up", "down"})
_HEAD = frozenset({"embed", "head"})


def parameter_shapes(config: DecoderConfig) -> Shapes:
    """Every parameter that a decoder of this configuration has, with its shape, in the order of the forward pass."""
    hidden = config.hidden_size
    before = config.norm_placement in ("pre", "pre_post")
    after = config.norm_placement in ("post", "pre_post")

    layer: Shapes = _norm(config, "attn_norm", before)
    layer |= _attention(config) | _norm(config, "attn_post_norm", after)
    layer |= _norm(config, "mlp_norm", before and config.branches != "parallel_shared")
    layer |= _mlp(config) | _norm(config, "mlp_post_norm", after)

    shapes: Shapes = {"embed": (config.vocab_size, hidden)}
    if config.position_table:
        shapes["position_embed"] = (config.max_position, hidden)
    shapes |= _norm(config, "embed_norm", config.embedding_norm)
    for index in range(config.num_layers):
        shapes |= {f"layers.{index}.{name}": shape for name, shape in layer.items()}
    shapes |= _norm(config, "norm")
    if not config.tied_embeddings:
        shapes["head"] = (config.vocab_size, hidden)
    if config.head_bias:
        shapes["head_bias"] = (config.vocab_size,)
    return shapes


def _norm(config: DecoderConfig, name: str, there: bool = True) -> Shapes:
    names = [name] if config.norm_weight else []
    names += [f"{name}_bias"] if config.norm_bias else []
    return dict.fromkeys(names, (config.hidden_size,)) if there else {}


def _attention(config: DecoderConfig) -> Shapes:
    hidden, head = config.hidden_size, config.head_dim
    q_size, kv_size = config.num_heads * head, config.num_kv_heads * head
    shapes: Shapes = {"q": (q_size, hidden), "k": (kv_size, hidden), "v": (kv_size, hidden)}
    if config.qkv_bias:
        shapes |= {"q_bias": (q_size,), "k_bias": (kv_size,), "v_bias": (kv_size,)}
    if config.qk_norm == "head":
        shapes |= {"q_norm": (head,), "k_norm": (head,)}
    elif config.qk_norm == "full":
        shapes |= {"q_norm": (q_size,), "k_norm": (kv_size,)}
    shapes["o"] = (hidden, q_size)
    return shapes | ({"o_bias": (hidden,)} if config.output_bias else {})


def _mlp(config: DecoderConfig) -> Shapes:
    hidden, inner = config.hidden_size, config.intermediate_size
    into = ("gate", "up") if config.mlp == "gated" else ("up",)
    shapes: Shapes = dict.fromkeys(into, (inner, hidden))
    if config.mlp_bias:
        shapes |= {f"{name}_bias": (inner,) for name in into}
    shapes["down"] = (hidden, inner)
    return shapes | ({"down_bias": (hidden,)} if config.mlp_bias else {})


def rope_parameter(index: int) -> str:
    """The frequencies of `DecoderConfig.ropes[index]`, which no file holds."""
    return f"ropes.{index}.inv_freq"


def parameter_role(name: str) -> Role:
    """What a parameter is to the choice of number formats."""
    last = name.rpartition(".")[2]
    return "head" if last in _HEAD else "body" if last in _BODY else "exact"
