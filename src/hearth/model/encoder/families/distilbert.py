"""DistilBERT."""

from hearth.model.encoder.config import EncoderConfig, Head, Linear
from hearth.model.encoder.families.base import Family, activation, bert_config, token_head
from hearth.model.encoder.names import with_bias
from hearth.model.settings import Settings


def configure(settings: Settings) -> EncoderConfig:
    return bert_config(
        settings,
        "distilbert",
        learned_positions=True,
        # No token types, and a fixed epsilon.
        token_types=0,
        norm_eps=1e-12,
        activation=activation(settings, "activation"),
    )


def sequence_head(settings: Settings, hidden: int, labels: int) -> Head:
    return Head("logits", ("cls",), after=(Linear("dense", hidden, activation="relu"), Linear("classifier", labels)))


_LAYER = "transformer.layer.N."
FAMILY = Family(
    name="distilbert",
    model_types=("distilbert",),
    architectures=(),  # GGUF files of it say `bert`
    configure=configure,
    defaults={"activation": "gelu"},
    aliases={"dim": "hidden_size", "hidden_dim": "intermediate_size", "n_layers": "num_hidden_layers",
             "n_heads": "num_attention_heads"},
    hf_tensors=with_bias(
        {
            "embed": "embeddings.word_embeddings.weight",
            "position_embed": "embeddings.position_embeddings.weight",
            "embed_norm": "embeddings.LayerNorm.weight",
            **{f"layers.N.{x}": f"{_LAYER}attention.{x}_lin.weight" for x in "qkv"},
            "layers.N.o": _LAYER + "attention.out_lin.weight",
            "layers.N.attn_post_norm": _LAYER + "sa_layer_norm.weight",
            "layers.N.up": _LAYER + "ffn.lin1.weight",
            "layers.N.down": _LAYER + "ffn.lin2.weight",
            "layers.N.mlp_post_norm": _LAYER + "output_layer_norm.weight",
            "head.dense": "pre_classifier.weight",
            "head.classifier": "classifier.weight",
        }
    ),
    hf_prefixes=(("distilbert.", ""),),
    ignored=("vocab_*",),
    sequence_head=sequence_head,
    token_head=token_head,
)  # fmt: skip
