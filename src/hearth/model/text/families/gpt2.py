"""GPT-2, GPT-SW3, DialoGPT, and what is built like them."""

from typing import Any

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig, LayerConfig
from hearth.model.text.families.base import Family, head_dim, inner_size, llama_config, num_layers
from hearth.model.text.names import FUSED_QKV_GGUF, LLAMA_GGUF, LLAMA_HF, QKV, fused, modules, transposed


def configure(settings: Settings) -> DecoderConfig:
    return gpt2_config(settings, "gpt2")


def gpt2_config(settings: Settings, family: str, **differences: Any) -> DecoderConfig:
    """LayerNorm and biases everywhere, an MLP without a gate, and positions that are learned and not rotations."""
    scale = head_dim(settings) ** -0.5 if settings.flag("scale_attn_weights") else 1.0
    fields: dict[str, Any] = {
        "norm": "layer",
        "norm_bias": True,
        "mlp": "plain",
        "qkv_bias": True,
        "output_bias": True,
        "mlp_bias": True,
        "position_table": True,
        "intermediate_size": inner_size(settings),
        "layers": (LayerConfig(rope=None),) * num_layers(settings),
        "ropes": (),
        "attention_scale": scale,
    }
    return llama_config(settings, family, **fields | differences)


KEYS = {
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_positions": "max_position_embeddings",
    "n_inner": "intermediate_size",
    "activation_function": "hidden_act",
    "layer_norm_epsilon": "layer_norm_eps",
}
GPT_HF: Rules = {
    **LLAMA_HF,
    **modules(
        {
            "embed": "model.wte",
            "position_embed": "model.wpe",
            "layers.N.attn_norm": "model.h.N.ln_1",
            "layers.N.o": "model.h.N.attn.c_proj",
            "layers.N.mlp_norm": "model.h.N.ln_2",
            "layers.N.up": "model.h.N.mlp.c_fc",
            "layers.N.down": "model.h.N.mlp.c_proj",
            "norm": "model.ln_f",
        }
    ),
}
# Matrices are stored as [in, out].
HF: Rules = {
    **GPT_HF,
    **fused("model.h.N.attn.c_attn", QKV, transposed=True),
    **transposed(GPT_HF, "layers.N.o", "layers.N.up", "layers.N.down"),
}
GGUF: Rules = {**LLAMA_GGUF, **FUSED_QKV_GGUF}
# Masks, which the first checkpoints hold.
MASKS = ("*.attn.bias", "*.attn.masked_bias")
PREFIXES = (("transformer.", "model."),)

FAMILY = Family(
    name="gpt2",
    model_types=("gpt2",),
    architectures=("gpt2",),
    configure=configure,
    keys=KEYS,
    defaults={
        "max_position_embeddings": 1024,
        "hidden_act": "gelu_new",
        "layer_norm_eps": 1e-5,
        "scale_attn_weights": True,
        "tie_word_embeddings": True,
    },
    gguf_defaults={"hidden_act": "gelu_new", "scale_attn_weights": True},
    hf_tensors=HF,
    gguf_tensors=GGUF,
    hf_prefixes=PREFIXES,
    ignored=MASKS,
)
