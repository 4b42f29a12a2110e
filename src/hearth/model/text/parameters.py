"""The parameters of a decoder, by name and shape.

All weights are `[out, in]`, vectors `[size]`; `N` is the layer, from 0:

    embed                                   [vocab, hidden]
    layers.N.attn_norm                      [hidden]          norm before attention        (pre, pre_post)
    layers.N.q  .k  .v                      [heads*head_dim, hidden], [kv_heads*head_dim, hidden] x 2
    layers.N.q_bias  .k_bias  .v_bias       [heads*head_dim] ...                           (qkv_bias)
    layers.N.q_norm  .k_norm                [head_dim] or [heads*head_dim], [kv_heads*head_dim]   (qk_norm)
    layers.N.o  .o_bias                     [hidden, heads*head_dim], [hidden]
    layers.N.attn_post_norm                 [hidden]          norm of attention's output   (post, pre_post)
    layers.N.mlp_norm                       [hidden]                                       (pre, pre_post)
    layers.N.gate  .up  .gate_bias .up_bias [intermediate, hidden] ...
    layers.N.down  .down_bias               [hidden, intermediate]
    layers.N.mlp_post_norm                  [hidden]                                       (post, pre_post)
    norm                                    [hidden]          final norm
    head                                    [vocab, hidden]                                (absent when tied)
"""

from __future__ import annotations

from hearth.model.network import Role
from hearth.model.text.config import DecoderConfig

_BODY = frozenset({"q", "k", "v", "o", "gate", "up", "down"})
_HEAD = frozenset({"embed", "head"})


def parameter_shapes(config: DecoderConfig) -> dict[str, tuple[int, ...]]:
    """Every parameter that a decoder of this configuration has, with its shape, in the order of the forward pass."""
    hidden, inner = config.hidden_size, config.intermediate_size
    q_size, kv_size = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    before = config.norm_placement in ("pre", "pre_post")
    after = config.norm_placement in ("post", "pre_post")

    layer: dict[str, tuple[int, ...]] = {}
    if before:
        layer["attn_norm"] = (hidden,)
    layer |= {"q": (q_size, hidden), "k": (kv_size, hidden), "v": (kv_size, hidden)}
    if config.qkv_bias:
        layer |= {"q_bias": (q_size,), "k_bias": (kv_size,), "v_bias": (kv_size,)}
    if config.qk_norm == "head":
        layer |= {"q_norm": (config.head_dim,), "k_norm": (config.head_dim,)}
    elif config.qk_norm == "full":
        layer |= {"q_norm": (q_size,), "k_norm": (kv_size,)}
    layer["o"] = (hidden, q_size)
    if config.output_bias:
        layer["o_bias"] = (hidden,)
    if after:
        layer["attn_post_norm"] = (hidden,)
    if before:
        layer["mlp_norm"] = (hidden,)
    layer |= {"gate": (inner, hidden), "up": (inner, hidden)}
    if config.mlp_bias:
        layer |= {"gate_bias": (inner,), "up_bias": (inner,)}
    layer["down"] = (hidden, inner)
    if config.mlp_bias:
        layer["down_bias"] = (hidden,)
    if after:
        layer["mlp_post_norm"] = (hidden,)

    shapes: dict[str, tuple[int, ...]] = {"embed": (config.vocab_size, hidden)}
    for index in range(config.num_layers):
        shapes |= {f"layers.{index}.{name}": shape for name, shape in layer.items()}
    shapes["norm"] = (hidden,)
    if not config.tied_embeddings:
        shapes["head"] = (config.vocab_size, hidden)
    return shapes


def rope_parameter(index: int) -> str:
    """The frequencies of `DecoderConfig.ropes[index]`, which no file holds."""
    return f"ropes.{index}.inv_freq"


def parameter_role(name: str) -> Role:
    """What a parameter is to the choice of number formats."""
    last = name.rpartition(".")[2]
    return "head" if last in _HEAD else "body" if last in _BODY else "exact"
