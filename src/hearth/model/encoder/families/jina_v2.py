"""Jina embeddings v2: BERT whose scores fall with the distance (ALiBi, both ways), with a gated MLP."""

import math

import numpy as np
from numpy.typing import NDArray

from hearth.model.encoder.config import EncoderConfig
from hearth.model.encoder.families.base import Family, bert_config, pooler_head, token_head
from hearth.model.encoder.names import BERT_GGUF, BERT_HF, with_bias
from hearth.model.settings import MAX_POSITIONS, Settings
from hearth.model.tensors import Fused, Rules
from hearth.model.weights import ComputedWeight, constant


def configure(settings: Settings) -> EncoderConfig:
    if settings.get("feed_forward_type") not in ("geglu", None):
        raise settings.unsupported("feed_forward_type", "Known for this family: geglu.")
    return bert_config(
        settings,
        "jina_v2",
        gated=True,
        activation="gelu",
        up_bias=False,
        distance_bias=settings.count("max_position_embeddings", most=MAX_POSITIONS) - 1,
    )


def slopes(heads: int) -> list[float]:
    """How fast each head's scores fall: 2^(-8 i / heads) where the number of heads is a power of 2, else those of the
    next smaller one, and between them every other of the next larger one. Source: arXiv:2108.12409."""
    whole = 2 ** math.floor(math.log2(heads))
    first = [2.0 ** (-8 * (i + 1) / whole) for i in range(whole)]
    return first if whole == heads else first + slopes(2 * whole)[::2][: heads - whole]


def _alibi(heads: int, most: int) -> NDArray[np.float32]:
    distance = np.abs(np.arange(-most, most + 1)).astype(np.float32)
    return -np.array(slopes(heads), np.float32)[:, None] * distance


def computed(config: EncoderConfig) -> dict[str, ComputedWeight]:
    return {"distance_bias": constant(_alibi(config.num_heads, config.distance_bias))}


_LAYER, _GATE_UP = "encoder.layer.N.mlp.", ("gate", "up")
HF: Rules = {
    **BERT_HF,
    **with_bias({"layers.N.down": _LAYER + "wo.weight", "layers.N.mlp_post_norm": _LAYER + "layernorm.weight"}),
    **{f"layers.N.{x}": Fused(_LAYER + "gated_layers.weight", _GATE_UP) for x in _GATE_UP},
}
FAMILY = Family(
    name="jina_v2",
    model_types=("bert", "jina_bert"),
    architectures=("jina-bert-v2",),
    configure=configure,
    matches=lambda config: config.get("position_embedding_type") == "alibi",
    defaults={"max_position_embeddings": 8192},
    honours=frozenset({"position_embedding_type", "feed_forward_type"}),
    hf_tensors=HF,
    # Old files have the halves apart.
    gguf_tensors={**BERT_GGUF, **{f"layers.N.{x}": Fused("blk.N.ffn_up.weight", _GATE_UP) for x in _GATE_UP}},
    gguf_split={f"layers.N.{x}": f"blk.N.ffn_{x}.weight" for x in _GATE_UP},
    hf_prefixes=(("bert.", ""),),
    sequence_head=pooler_head,
    token_head=token_head,
    computed=computed,
)
