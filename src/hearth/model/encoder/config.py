"""What a text encoder is, in one frozen dataclass: a model is its difference from BERT.

Family files (`families/<name>.py`) fill it from a published configuration; `encoder.py` builds it. Neither knows of
file formats, number formats or devices. The defaults describe BERT.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hearth.checkpoint.embedding import Activation as HeadActivation
from hearth.checkpoint.embedding import Pooling
from hearth.model.text.config import RopeConfig

NormPlacement = Literal["post", "pre", "pre_post"]
Activation = Literal["gelu", "gelu_tanh", "silu", "relu"]


@dataclass(frozen=True)
class EncoderLayer:
    """What may differ from layer to layer.

    Attributes:
        rope: index into `EncoderConfig.ropes`; None: queries and keys are not rotated.
        window: attends to tokens at most this many away; 0: to all.
        attn_norm: its attention is normalised before (ModernBERT's first layer is not).
    """

    rope: int | None = None
    window: int = 0
    attn_norm: bool = True


@dataclass(frozen=True)
class Linear:
    """A step of a head: activation(x weight^T + bias). Parameters `head.NAME`, `head.NAME_bias`."""

    name: str
    size: int
    bias: bool = True
    activation: HeadActivation = "identity"


@dataclass(frozen=True)
class Norm:
    """A step of a head: LayerNorm. Parameters `head.NAME`, `head.NAME_bias`."""

    name: str
    bias: bool = True
    eps: float = 1e-5


Step = Linear | Norm | Literal["normalize"]
"""`normalize` scales a vector to length 1."""


@dataclass(frozen=True)
class Head:
    """What is made of the hidden states.

    Attributes:
        output: name of the result: `embedding` f32 (sequences, size); `logits` f32 (sequences, labels), or
            (tokens, labels) where nothing is pooled.
        pooling: one vector of a sequence's tokens in one way, or several whose results are joined; none: each token
            keeps its own.
        before, after: steps for each token, and for what is pooled.
        skips: a sequence may have tokens at its beginning that do not count for pooling (input `skips`).
    """

    output: Literal["embedding", "logits"]
    pooling: tuple[Pooling, ...] = ()
    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    skips: bool = False


@dataclass(frozen=True)
class EncoderConfig:
    """Shape and arithmetic of one encoder.

    Attributes:
        family: name of the family file.
        max_position: the longest text, in tokens.
        learned_positions: a vector for each position is added to the embeddings.
        token_types: vectors of which one is added to each embedding (which of two texts a token belongs to); with
            one, all tokens have it.
        embedding_norm: embeddings are normalised.
        embedding_scale: multiplies the embeddings (Gemma sqrt(hidden)).
        norm: LayerNorm, or RMSNorm.
        norm_bias: LayerNorms have one.
        norm_offset: added to every norm's weight when it is used (Gemma, as published in safetensors).
        norm_placement: `post`: norm(x + f(x)) (BERT); `pre`: x + f(norm(x)); `pre_post`: x + norm(f(norm(x))) (Gemma).
        final_norm: hidden states are normalised at the end.
        gated: the MLP is down(activation(gate x) * up x), else down(activation(up x)).
        qk_norm: None; `head`: RMSNorm of each head of q and k before they are rotated; `full`: LayerNorm of the whole
            projection.
        attention_scale: multiplies q k^T.
        distance_bias: added to the score of two tokens is a number for their distance and head, up to this distance
            (beyond it, the number at its end); 0: none.
        head: what is made of the hidden states; None: nothing.
    """

    family: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    layers: tuple[EncoderLayer, ...]
    max_position: int
    ropes: tuple[RopeConfig, ...] = ()
    learned_positions: bool = False
    token_types: int = 0
    embedding_norm: bool = True
    embedding_scale: float = 1.0
    norm: Literal["layer", "rms"] = "layer"
    norm_eps: float = 1e-12
    norm_bias: bool = True
    norm_offset: float = 0.0
    norm_placement: NormPlacement = "post"
    final_norm: bool = False
    activation: Activation = "gelu"
    gated: bool = False
    qk_norm: Literal["head", "full"] | None = None
    qkv_bias: bool = True
    output_bias: bool = True
    up_bias: bool = True
    down_bias: bool = True
    attention_scale: float = 1.0
    distance_bias: int = 0
    head: Head | None = None

    @property
    def num_layers(self) -> int:
        return len(self.layers)
