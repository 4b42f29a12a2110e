"""BLOOM, BLOOMZ."""

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, alibi, inner_size, llama_config
from hearth.model.text.names import FUSED_QKV_GGUF, LLAMA_GGUF, LLAMA_HF, QKV, fused, modules


def configure(settings: Settings) -> DecoderConfig:
    if settings.flag("apply_residual_connection_post_layernorm"):
        raise settings.unsupported(
            "apply_residual_connection_post_layernorm", "Hearth's BLOOM adds to what was not normalised."
        )
    # LayerNorm, also of the embedding; an MLP without a gate; biases everywhere; no rotation but ALiBi.
    return llama_config(
        settings,
        "bloom",
        norm="layer",
        norm_bias=True,
        embedding_norm=True,
        mlp="plain",
        intermediate_size=inner_size(settings),
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
        **alibi(settings),
    )


_LAYER = "model.h.N."
HF: Rules = {
    **LLAMA_HF,
    **modules(
        {
            "embed": "model.word_embeddings",
            "embed_norm": "model.word_embeddings_layernorm",
            "layers.N.attn_norm": _LAYER + "input_layernorm",
            "layers.N.o": _LAYER + "self_attention.dense",
            "layers.N.mlp_norm": _LAYER + "post_attention_layernorm",
            "layers.N.up": _LAYER + "mlp.dense_h_to_4h",
            "layers.N.down": _LAYER + "mlp.dense_4h_to_h",
            "norm": "model.ln_f",
        }
    ),
    **fused(_LAYER + "self_attention.query_key_value", QKV, groups="heads"),
}

FAMILY = Family(
    name="bloom",
    model_types=("bloom",),
    architectures=("bloom",),
    configure=configure,
    keys={
        "n_embed": "hidden_size",
        "n_layer": "num_hidden_layers",
        "n_head": "num_attention_heads",
        "layer_norm_epsilon": "layer_norm_eps",
        "seq_length": "max_position_embeddings",
    },
    defaults={"hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-5, "tie_word_embeddings": True},
    gguf_defaults={"hidden_act": "gelu_pytorch_tanh"},
    hf_tensors=HF,
    gguf_tensors={**LLAMA_GGUF, **FUSED_QKV_GGUF},
    hf_prefixes=(("transformer.", "model."),),
)
