"""The golden encoders: one for each thing that a family can do. `make_encoders.py` builds them.

Shapes are odd on purpose: sizes that no vector length divides, texts of one token and of more than two tiles, windows
that are shorter than a text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class EncoderRecipe:
    """One golden encoder.

    Attributes:
        name: its folder.
        model: class of transformers that computes what is expected, or of `jina_v2.py`.
        config: what differs from the class's defaults.
        pooling: in sentence-transformers' words; "": the class has a head of its own.
        dense: sizes of the layers after pooling.
        normalize: vectors are scaled to length 1.
        pairs: tokens of each text belong to two texts.
        gguf: architecture of the GGUF twin; None where the format has none.
    """

    name: str
    model: str
    config: dict[str, Any]
    pooling: str = ""
    dense: tuple[int, ...] = ()
    normalize: bool = True
    pairs: bool = False
    gguf: str | None = None
    lengths: tuple[int, ...] = (5, 1, 37)
    plain: dict[str, Any] = field(default_factory=dict)


def _shape(vocab: int, hidden: int, inner: int, layers: int, heads: int, **more: Any) -> dict[str, Any]:
    return {
        "vocab_size": vocab,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "max_position_embeddings": 60,
        "pad_token_id": 1,
        "bos_token_id": 2,
        "eos_token_id": 3,
        **more,
    }


def _labels(*names: str) -> dict[str, Any]:
    return {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}


_TOKENS = {"cls_token_id": 2, "sep_token_id": 3}
_ROPES = {
    "full_attention": {"rope_theta": 3000.0, "rope_type": "default"},
    "sliding_attention": {"rope_theta": 100.0, "rope_type": "default"},
}

ENCODER_RECIPES = [
    EncoderRecipe("bert", "BertModel", _shape(41, 28, 36, 2, 4), pooling="mean", gguf="bert"),
    EncoderRecipe(
        "bert-rank", "BertForSequenceClassification", _shape(43, 20, 28, 2, 2, **_labels("score")), pairs=True
    ),
    EncoderRecipe(
        "bert-tags", "BertForTokenClassification", _shape(47, 20, 28, 1, 2, **_labels("O", "B-A", "I-A", "B-B", "I-B"))
    ),
    EncoderRecipe(
        "distilbert",
        "DistilBertForSequenceClassification",
        {"vocab_size": 41, "dim": 28, "hidden_dim": 36, "n_layers": 2, "n_heads": 2, "max_position_embeddings": 60,
         "pad_token_id": 1, **_labels("bad", "fair", "good")},
    ),
    EncoderRecipe(
        "roberta", "RobertaModel", _shape(43, 20, 28, 2, 2, type_vocab_size=1), pooling="cls", normalize=False,
        gguf="bert",
    ),
    EncoderRecipe(
        "xlm-roberta-rank",
        "XLMRobertaForSequenceClassification",
        _shape(43, 20, 28, 2, 2, type_vocab_size=1, **_labels("score")),
        gguf="bert",
    ),
    EncoderRecipe("mpnet", "MPNetModel", _shape(41, 28, 36, 2, 2), pooling="max", lengths=(5, 1, 57)),
    EncoderRecipe(
        "nomic-bert",
        "NomicBertModel",
        _shape(43, 24, 20, 2, 3, rope_parameters={"rope_theta": 500.0, "rope_type": "default"}),
        pooling="mean",
        gguf="nomic-bert",
    ),
    EncoderRecipe(
        "modernbert",
        "ModernBertModel",
        _shape(41, 24, 20, 4, 3, local_attention=8, rope_parameters=_ROPES, **_TOKENS),
        pooling="cls",
        gguf="modern-bert",
    ),
    EncoderRecipe(
        "modernbert-rank",
        "ModernBertForSequenceClassification",
        _shape(41, 24, 20, 2, 2, local_attention=10, classifier_pooling="mean", classifier_bias=True, norm_bias=True,
               attention_bias=True, mlp_bias=True, **_TOKENS, **_labels("score")),
    ),
    EncoderRecipe(
        "eurobert",
        "EuroBertModel",
        _shape(43, 24, 20, 2, 4, num_key_value_heads=2, rope_parameters={"rope_theta": 900.0, "rope_type": "default"}),
        pooling="lasttoken",
        gguf="eurobert",
    ),
    EncoderRecipe(
        "eurobert-classes",
        "EuroBertForSequenceClassification",
        _shape(43, 24, 20, 1, 3, rope_parameters={"rope_theta": 900.0, "rope_type": "default"},
               **_labels("bad", "fair", "good")),
    ),
    EncoderRecipe(
        "jina-v2", "JinaBertModel", _shape(41, 24, 20, 2, 6, type_vocab_size=2), pooling="weightedmean",
        gguf="jina-bert-v2",
    ),
    EncoderRecipe(
        "jina-v3",
        "JinaEmbeddingsV3Model",
        _shape(43, 24, 20, 2, 3, rope_parameters={"rope_theta": 700.0, "rope_type": "default"}),
        pooling="mean_sqrt_len_tokens",
        gguf="jina-bert-v3",
    ),
    EncoderRecipe(
        "gte-rank",
        "GteForSequenceClassification",
        _shape(43, 24, 20, 2, 3, rope_parameters={"rope_theta": 700.0, "rope_type": "default"}, **_labels("score")),
    ),
    EncoderRecipe(
        "embedding-gemma",
        "Gemma3TextModel",
        _shape(43, 24, 20, 7, 2, head_dim=8, num_key_value_heads=1, use_bidirectional_attention=True,
               sliding_window=8, query_pre_attn_scalar=11, rope_parameters=_ROPES),
        pooling="mean",
        dense=(40, 24),
        gguf="gemma-embedding",
    ),
]  # fmt: skip
