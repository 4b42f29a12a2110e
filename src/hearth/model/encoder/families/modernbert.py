"""ModernBERT: norms before the branches, two rotations, windows on two layers of three, a gated MLP."""

from hearth.model.encoder.config import EncoderConfig, EncoderLayer, Head, Linear, Norm
from hearth.model.encoder.families.base import Family, activation, bert_config, num_layers
from hearth.model.encoder.names import BERT_GGUF, with_bias
from hearth.model.settings import MAX_POSITIONS, Settings
from hearth.model.tensors import Fused, Rules
from hearth.model.text.config import RopeConfig
from hearth.model.text.families.base import head_dim, layer_kinds
from hearth.model.text.rope import complete, make_rope


def configure(settings: Settings) -> EncoderConfig:
    bias = settings.flag("attention_bias")
    # The window is the whole width; a token sees half of it on each side.
    window = settings.count("local_attention", most=MAX_POSITIONS) // 2
    every = settings.count("global_attn_every_n_layers")
    kinds = ["sliding_attention" if index % every else "full_attention" for index in range(num_layers(settings))]
    return bert_config(
        settings,
        "modernbert",
        layers=tuple(
            # The embeddings are normalised already when they reach the first layer.
            EncoderLayer(1, window, attn_norm=index > 0) if kind == "sliding_attention" else EncoderLayer(
                0, attn_norm=index > 0
            )
            for index, kind in enumerate(layer_kinds(settings, default=kinds))
        ),
        ropes=(_rope(settings, "full_attention"), _rope(settings, "sliding_attention")),
        token_types=0,
        norm_eps=settings.number("norm_eps", high=1.0),
        norm_bias=settings.flag("norm_bias"),
        norm_placement="pre",
        final_norm=True,
        activation=activation(settings, "hidden_activation"),
        gated=True,
        qkv_bias=bias,
        output_bias=bias,
        up_bias=settings.flag("mlp_bias"),
        down_bias=settings.flag("mlp_bias"),
    )  # fmt: skip


def _rope(settings: Settings, kind: str) -> RopeConfig:
    """transformers 5 nests the parameters by kind of layer; before that there was a base for each."""
    nested = settings.table("rope_parameters").get(kind) or {}
    if not isinstance(nested, dict):
        raise settings.corrupt("rope_parameters", "an object for each kind of layer")
    key = "global_rope_theta" if kind == "full_attention" else "local_rope_theta"
    return make_rope(complete(settings, dict(nested), theta_key=key), head_dim=head_dim(settings))


def _before_classifier(settings: Settings, hidden: int) -> tuple[Linear, Norm]:
    name = activation(settings, "classifier_activation")
    if name not in ("gelu", "relu"):
        raise settings.unsupported("classifier_activation", "Known for this head: gelu, relu.")
    eps = settings.number("norm_eps", high=1.0)
    return (
        Linear("dense", hidden, settings.flag("classifier_bias"), "gelu" if name == "gelu" else "relu"),
        Norm("norm", settings.flag("norm_bias"), eps),
    )


def sequence_head(settings: Settings, hidden: int, labels: int) -> Head:
    pooling = settings.text("classifier_pooling")
    if pooling not in ("cls", "mean"):
        raise settings.unsupported("classifier_pooling", "Known: cls, mean.")
    steps = (*_before_classifier(settings, hidden), Linear("classifier", labels))
    return Head("logits", ("cls" if pooling == "cls" else "mean",), after=steps)


def token_head(settings: Settings, hidden: int, labels: int) -> Head:
    return Head("logits", before=(*_before_classifier(settings, hidden), Linear("classifier", labels)))


_QKV, _GATE_UP, _LAYER = ("q", "k", "v"), ("gate", "up"), "layers.N."
_BIASES = ("q_bias", "k_bias", "v_bias")
HF: Rules = {
    **with_bias(
        {
            "embed": "embeddings.tok_embeddings.weight",
            "embed_norm": "embeddings.norm.weight",
            "layers.N.attn_norm": _LAYER + "attn_norm.weight",
            "layers.N.o": _LAYER + "attn.Wo.weight",
            "layers.N.mlp_norm": _LAYER + "mlp_norm.weight",
            "layers.N.down": _LAYER + "mlp.Wo.weight",
            "norm": "final_norm.weight",
            "head.dense": "head.dense.weight",
            "head.norm": "head.norm.weight",
            "head.classifier": "classifier.weight",
        }
    ),
    **{f"layers.N.{x}": Fused(_LAYER + "attn.Wqkv.weight", _QKV) for x in _QKV},
    **{f"layers.N.{x}": Fused(_LAYER + "attn.Wqkv.bias", _BIASES) for x in _BIASES},
    **{f"layers.N.{x}": Fused(_LAYER + "mlp.Wi.weight", _GATE_UP) for x in _GATE_UP},
    **{f"layers.N.{x}_bias": Fused(_LAYER + "mlp.Wi.bias", ("gate_bias", "up_bias")) for x in _GATE_UP},
}
GGUF: Rules = {
    **BERT_GGUF,
    **{f"layers.N.{x}": Fused("blk.N.attn_qkv.weight", _QKV) for x in _QKV},
    **{f"layers.N.{x}": Fused("blk.N.ffn_up.weight", _GATE_UP) for x in _GATE_UP},
}
DEFAULTS = {"local_attention": 128, "global_attn_every_n_layers": 3, "hidden_activation": "gelu", "norm_eps": 1e-5,
            "global_rope_theta": 160000.0, "local_rope_theta": 10000.0, "max_position_embeddings": 8192}  # fmt: skip
FAMILY = Family(
    name="modernbert",
    model_types=("modernbert",),
    architectures=("modern-bert",),
    configure=configure,
    defaults={**DEFAULTS, "classifier_pooling": "cls", "classifier_activation": "gelu"},
    gguf_defaults=DEFAULTS,
    gguf_aliases={"layer_norm_eps": "norm_eps", "sliding_window": "local_attention", "rope_theta": "global_rope_theta",
                  "rope_local_base_freq": "local_rope_theta",
                  "sliding_window_pattern": "global_attn_every_n_layers"},
    hf_tensors=HF,
    gguf_tensors=GGUF,
    hf_prefixes=(("model.", ""),),
    ignored=("head.*", "decoder.*"),  # of the model that fills gaps
    sequence_head=sequence_head,
    token_head=token_head,
)  # fmt: skip
