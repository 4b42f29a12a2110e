"""ERNIE 4.5 with mixtures of experts: 21B-A3B, 300B-A47B."""

from dataclasses import replace

from hearth.model.settings import Settings
from hearth.model.tensors import Made
from hearth.model.text.config import DecoderConfig, LayerConfig
from hearth.model.text.families.base import Family, full_layers, llama_config, own_layers
from hearth.model.text.families.ernie4_5 import FAMILY as ERNIE
from hearth.model.text.families.mixture import (
    EXPERT_KEYS,
    EXPERTS,
    EXPERTS_GGUF,
    EXPERTS_HF,
    dense_layers,
    experts_config,
    shared_hf,
    shared_size,
)
from hearth.model.text.names import HF_LAYER


def configure(settings: Settings) -> DecoderConfig:
    # One switch for all biases, as in the dense models; experts by a softmax with a correction for the choice.
    bias = settings.flag("use_bias")
    return llama_config(
        settings,
        "ernie4_5_moe",
        layers=_layers(settings),
        experts=experts_config(settings, choice_bias=True, normalise=True, shared_size=shared_size(settings)),
        qkv_bias=bias,
        output_bias=bias,
        mlp_bias=bias,
    )


def _layers(settings: Settings) -> tuple[LayerConfig, ...]:
    """Every so many layers are mixtures, from one on and up to another."""
    layers = full_layers(settings)[: own_layers(settings)]
    first, last = dense_layers(settings), settings.get("moe_layer_end_index")
    if last is not None and (isinstance(last, bool) or not isinstance(last, int) or last < -1):
        raise settings.corrupt("moe_layer_end_index", "the number of a layer, or -1 for the last")
    end = len(layers) if last is None or last == -1 else last + 1
    every = settings.optional_count("moe_layer_interval") or 1
    return tuple(
        replace(layer, experts=first <= index < end and (index + 1) % every == 0) for index, layer in enumerate(layers)
    )


FAMILY = Family(
    name="ernie4_5_moe",
    model_types=("ernie4_5_moe",),
    architectures=("ernie4_5-moe",),
    configure=configure,
    defaults={
        "num_key_value_heads": 4,
        "num_experts": 64,
        "num_experts_per_tok": 6,
        "moe_intermediate_size": 1536,
        "n_shared_experts": 2,
        "first_k_dense_replace": 1,
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "tie_word_embeddings": True,
    },
    keys={
        **EXPERT_KEYS,
        "moe_num_experts": "num_experts",
        "moe_k": "num_experts_per_tok",
        "moe_num_shared_experts": "n_shared_experts",
        "moe_layer_start_index": "first_k_dense_replace",
    },
    honours=EXPERTS | {"moe_layer_interval"},
    hf_tensors={
        **EXPERTS_HF,
        **shared_hf("mlp.shared_experts"),
        # A row of a matrix.
        "layers.N.choice_bias": Made(
            HF_LAYER + "mlp.moe_statics.e_score_correction_bias", lambda w: w[0], lambda shape: (1, *shape)
        ),
    },
    gguf_tensors=EXPERTS_GGUF,
    # Layers that predict further tokens.
    ignored=("model.mtp_*",),
    interleaved=ERNIE.interleaved,
)
