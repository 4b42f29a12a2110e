"""The parameters of an encoder, by name and shape.

All weights are `[out, in]`, vectors `[size]`; `N` is the layer, from 0:

    embed                                   [vocab, hidden]
    position_embed                          [max_position, hidden]                 (learned_positions)
    token_type_embed                        [token_types, hidden]
    token_type                              [1, hidden]                            the one that all tokens have
    embed_norm  embed_norm_bias             [hidden]                               (embedding_norm)
    distance_bias                           [heads, 2 * distance_bias + 1]         see `ops.ragged_attention`
    ropes.I.inv_freq                        [rotary_dim / 2]
    layers.N.attn_norm  .attn_norm_bias     [hidden]          before attention (pre, pre_post)
    layers.N.q  .k  .v                      [heads*head_dim, hidden], [kv_heads*head_dim, hidden] x 2
    layers.N.q_bias  .k_bias  .v_bias       [heads*head_dim] ...                   (qkv_bias)
    layers.N.q_norm  .k_norm                [head_dim], or [heads*head_dim] with .q_norm_bias  .k_norm_bias (qk_norm)
    layers.N.o  .o_bias                     [hidden, heads*head_dim], [hidden]
    layers.N.attn_post_norm  ..._bias       [hidden]          after attention (post, pre_post)
    layers.N.mlp_norm  .mlp_norm_bias       [hidden]          (pre, pre_post)
    layers.N.gate  .up  .gate_bias .up_bias [intermediate, hidden] ...             gate: gated
    layers.N.down  .down_bias               [hidden, intermediate]
    layers.N.mlp_post_norm  ..._bias        [hidden]          (post, pre_post)
    norm  norm_bias                         [hidden]          (final_norm)
    head.NAME  head.NAME_bias               steps of the head, see `config.Head`
"""

from __future__ import annotations

from hearth.model.encoder.config import EncoderConfig, Linear, Norm, Step
from hearth.model.network import Role

Shapes = dict[str, tuple[int, ...]]
DEFAULT_QUANT = "q8"
"""Number format of a folder's body where the user has no choice: encoders are small, and 4 bits cost what a user of
vectors would notice."""
_BODY = ("q", "k", "v", "o", "gate", "up", "down")


def parameter_role(name: str) -> Role:
    """What a parameter is to the choice of number formats."""
    last = name.rpartition(".")[2]
    if name.startswith("layers."):
        return "body" if last in _BODY else "exact"
    if name == "embed":
        return "head"
    is_layer = name.startswith("head.") and not last.endswith(("_bias", "norm"))
    return "small" if is_layer or name in ("position_embed", "token_type_embed") else "exact"


def rope_parameter(index: int) -> str:
    return f"ropes.{index}.inv_freq"


def parameter_shapes(config: EncoderConfig) -> Shapes:
    """Every parameter that an encoder of this configuration has, with its shape, in the order of the forward pass."""
    hidden = config.hidden_size
    shapes: Shapes = {"embed": (config.vocab_size, hidden)}
    if config.learned_positions:
        shapes["position_embed"] = (config.max_position, hidden)
    if config.token_types:
        shapes["token_type_embed" if config.token_types > 1 else "token_type"] = (config.token_types, hidden)
    if config.embedding_norm:
        shapes |= _norm(config, "embed_norm")
    if config.distance_bias:
        shapes["distance_bias"] = (config.num_heads, 2 * config.distance_bias + 1)
    for index, rope in enumerate(config.ropes):
        shapes[rope_parameter(index)] = (len(rope.inv_freq),)
    for index, layer in enumerate(config.layers):
        own = _layer(config, attn_norm=layer.attn_norm)
        shapes |= {f"layers.{index}.{name}": shape for name, shape in own.items()}
    if config.final_norm:
        shapes |= _norm(config, "norm")
    return shapes | _head(config)


def _layer(config: EncoderConfig, *, attn_norm: bool) -> Shapes:
    hidden, inner = config.hidden_size, config.intermediate_size
    q_size, kv_size = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    before, after = config.norm_placement != "post", config.norm_placement != "pre"
    shapes: Shapes = _norm(config, "attn_norm") if before and attn_norm else {}
    shapes |= {"q": (q_size, hidden), "k": (kv_size, hidden), "v": (kv_size, hidden)}
    if config.qkv_bias:
        shapes |= {"q_bias": (q_size,), "k_bias": (kv_size,), "v_bias": (kv_size,)}
    if config.qk_norm == "head":
        shapes |= {"q_norm": (config.head_dim,), "k_norm": (config.head_dim,)}
    elif config.qk_norm == "full":
        shapes |= {"q_norm": (q_size,), "q_norm_bias": (q_size,), "k_norm": (kv_size,), "k_norm_bias": (kv_size,)}
    shapes |= _linear("o", hidden, q_size, config.output_bias)
    if after:
        shapes |= _norm(config, "attn_post_norm")
    if before:
        shapes |= _norm(config, "mlp_norm")
    if config.gated:
        shapes |= _linear("gate", inner, hidden, config.up_bias)
    shapes |= _linear("up", inner, hidden, config.up_bias)
    shapes |= _linear("down", hidden, inner, config.down_bias)
    if after:
        shapes |= _norm(config, "mlp_post_norm")
    return shapes


def _linear(name: str, rows: int, columns: int, bias: bool) -> Shapes:
    shapes: Shapes = {name: (rows, columns)}
    if bias:
        shapes[f"{name}_bias"] = (rows,)
    return shapes


def _norm(config: EncoderConfig, name: str) -> Shapes:
    shapes: Shapes = {name: (config.hidden_size,)}
    if config.norm == "layer" and config.norm_bias:
        shapes[f"{name}_bias"] = (config.hidden_size,)
    return shapes


def _head(config: EncoderConfig) -> Shapes:
    head = config.head
    if head is None:
        return {}
    shapes: Shapes = {}

    def add(steps: tuple[Step, ...], size: int) -> int:
        for step in steps:
            if isinstance(step, Linear):
                shapes.update(_linear(f"head.{step.name}", step.size, size, step.bias))
                size = step.size
            elif isinstance(step, Norm):
                shapes[f"head.{step.name}"] = (size,)
                if step.bias:
                    shapes[f"head.{step.name}_bias"] = (size,)
        return size

    size = add(head.before, config.hidden_size)
    add(head.after, size * max(1, len(head.pooling)))
    return shapes
