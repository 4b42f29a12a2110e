"""MPNet: RoBERTa's positions and a bias by distance besides."""

import math

import numpy as np
from numpy.typing import NDArray

from hearth.model.encoder.config import EncoderConfig
from hearth.model.encoder.families.base import Family, bert_config, token_head
from hearth.model.encoder.families.roberta import HEAD_HF, longest_text, position_offset, sequence_head
from hearth.model.encoder.names import with_bias
from hearth.model.settings import Settings
from hearth.model.weights import ComputedWeight

# Distances from here on share a bucket, whatever the number of buckets.
_MAX_DISTANCE = 128
_BUCKETS = 32


def configure(settings: Settings) -> EncoderConfig:
    if settings.get("relative_attention_num_buckets") != _BUCKETS:
        raise settings.unsupported("relative_attention_num_buckets", f"All published models have {_BUCKETS}.")
    return bert_config(
        settings,
        "mpnet",
        learned_positions=True,
        token_types=0,
        max_position=longest_text(settings),
        distance_bias=_MAX_DISTANCE,
    )


def _buckets() -> NDArray[np.int64]:
    """T5's bucket of each distance from -128 to 128 (key minus query): half of them for each direction, of these half
    for one distance each and the rest for ranges that grow."""
    half, exact = _BUCKETS // 2, _BUCKETS // 4
    distance = np.arange(-_MAX_DISTANCE, _MAX_DISTANCE + 1)
    far = np.maximum(np.abs(distance), 1).astype(np.float32) / np.float32(exact)
    grown = exact + (np.log(far) / np.float32(math.log(_MAX_DISTANCE / exact)) * np.float32(half - exact)).astype(int)
    of_size = np.where(np.abs(distance) < exact, np.abs(distance), np.minimum(grown, half - 1))
    return of_size + np.where(distance > 0, half, 0)


def _bias_of_distances(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """(heads, 2 * 128 + 1) of the file's (buckets, heads)."""
    return np.ascontiguousarray(table[_buckets()].T)


def computed(config: EncoderConfig) -> dict[str, ComputedWeight]:
    del config
    return {"distance_bias": ComputedWeight(("encoder.relative_attention_bias.weight",), _bias_of_distances)}


_LAYER = "encoder.layer.N."
FAMILY = Family(
    name="mpnet",
    model_types=("mpnet",),
    architectures=(),
    configure=configure,
    defaults={"pad_token_id": 1, "vocab_size": 30527, "relative_attention_num_buckets": _BUCKETS},
    hf_tensors={
        **with_bias(
            {
                "embed": "embeddings.word_embeddings.weight",
                "position_embed": "embeddings.position_embeddings.weight",
                "embed_norm": "embeddings.LayerNorm.weight",
                **{f"layers.N.{x}": f"{_LAYER}attention.attn.{x}.weight" for x in "qkvo"},
                "layers.N.attn_post_norm": _LAYER + "attention.LayerNorm.weight",
                "layers.N.up": _LAYER + "intermediate.dense.weight",
                "layers.N.down": _LAYER + "output.dense.weight",
                "layers.N.mlp_post_norm": _LAYER + "output.LayerNorm.weight",
                "head.classifier": "classifier.weight",
            }
        ),
        **HEAD_HF,
    },
    hf_prefixes=(("mpnet.", ""),),
    sequence_head=sequence_head,
    token_head=token_head,
    position_offset=position_offset,
    computed=computed,
)
