"""EuroBERT: a Llama that sees both ways."""

from hearth.model.encoder.config import EncoderConfig, EncoderLayer, Head, Linear
from hearth.model.encoder.families.base import Family, bert_config, num_layers
from hearth.model.encoder.names import BERT_GGUF, with_bias
from hearth.model.settings import Settings
from hearth.model.text.families.base import MAX_HEADS, head_dim
from hearth.model.text.rope import flat_rope_parameters, make_rope


def configure(settings: Settings) -> EncoderConfig:
    bias = settings.flag("attention_bias")
    size = head_dim(settings)
    heads = settings.count("num_attention_heads", most=MAX_HEADS)
    kv_heads = settings.optional_count("num_key_value_heads", most=MAX_HEADS) or heads
    if heads % kv_heads:
        raise settings.corrupt("num_key_value_heads", f"a divisor of the {heads} attention heads")
    return bert_config(
        settings,
        "eurobert",
        num_kv_heads=kv_heads,
        head_dim=size,
        layers=(EncoderLayer(rope=0),) * num_layers(settings),
        ropes=(make_rope(flat_rope_parameters(settings), head_dim=size),),
        token_types=0,
        embedding_norm=False,
        norm="rms",
        norm_eps=settings.number("rms_norm_eps", high=1.0),
        norm_placement="pre",
        final_norm=True,
        gated=True,
        qkv_bias=bias,
        output_bias=bias,
        up_bias=settings.flag("mlp_bias"),
        down_bias=settings.flag("mlp_bias"),
    )


def sequence_head(settings: Settings, hidden: int, labels: int) -> Head:
    dense, classifier = Linear("dense", hidden, activation="gelu"), Linear("classifier", labels)
    pooling = settings.text("classifier_pooling")
    if pooling == "late":  # each token is classified, and the mean taken of that
        return Head("logits", ("mean",), before=(dense, classifier))
    if pooling not in ("bos", "mean"):
        raise settings.unsupported("classifier_pooling", "Known: bos, mean, late.")
    return Head("logits", ("cls" if pooling == "bos" else "mean",), after=(dense, classifier))


def token_head(settings: Settings, hidden: int, labels: int) -> Head:
    del settings, hidden
    return Head("logits", before=(Linear("classifier", labels),))


_LAYER = "layers.N."
FAMILY = Family(
    name="eurobert",
    model_types=("eurobert",),
    architectures=("eurobert",),
    configure=configure,
    defaults={"hidden_act": "silu", "max_position_embeddings": 8192, "rms_norm_eps": 1e-5,
              "rope_theta": 250000.0, "classifier_pooling": "late"},
    gguf_defaults={"hidden_act": "silu"},
    hf_tensors=with_bias(
        {
            "embed": "embed_tokens.weight",
            "layers.N.attn_norm": _LAYER + "input_layernorm.weight",
            **{f"layers.N.{x}": f"{_LAYER}self_attn.{x}_proj.weight" for x in "qkvo"},
            "layers.N.mlp_norm": _LAYER + "post_attention_layernorm.weight",
            **{f"layers.N.{x}": f"{_LAYER}mlp.{x}_proj.weight" for x in ("gate", "up", "down")},
            "norm": "norm.weight",
            "head.dense": "dense.weight",
            "head.classifier": "classifier.weight",
        }
    ),
    gguf_tensors=BERT_GGUF,
    hf_prefixes=(("model.", ""),),
    sequence_head=sequence_head,
    token_head=token_head,
)  # fmt: skip
