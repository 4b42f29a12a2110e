"""Mamba 2, Codestral Mamba: no layer attends, and none has an MLP."""

from dataclasses import replace

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config, num_layers, recurrent
from hearth.model.text.families.mamba_common import MAMBA2_DEFAULTS, MAMBA2_GGUF, MAMBA2_KEYS, mamba2, mamba2_hf
from hearth.model.text.names import HF_LAYER, LLAMA_GGUF, LLAMA_HF


def configure(settings: Settings) -> DecoderConfig:
    layer = replace(recurrent(mamba2(settings)), feed_forward=False)
    return llama_config(settings, "mamba2", layers=(layer,) * num_layers(settings), ropes=())


# What no layer has, but what a decoder is asked for.
NO_ATTENTION = {"num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 16, "intermediate_size": 1}

FAMILY = Family(
    name="mamba2",
    model_types=("mamba2",),
    architectures=("mamba2",),
    configure=configure,
    defaults={
        **MAMBA2_DEFAULTS,
        **NO_ATTENTION,
        "ssm_group_count": 8,
        "ssm_state_size": 128,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 1 << 20,
    },
    gguf_defaults={**NO_ATTENTION, "use_conv_bias": True},
    keys={
        **MAMBA2_KEYS,
        "num_heads": "ssm_time_step_rank",
        "head_dim": "mamba_head_dim",
        "state_size": "ssm_state_size",
        "expand": "mamba_expand",
        "use_bias": "mamba_proj_bias",
        "layer_norm_epsilon": "rms_norm_eps",
    },
    hf_tensors={
        **LLAMA_HF,
        **mamba2_hf(HF_LAYER + "mixer."),
        "embed": "model.embeddings.weight",
        "layers.N.attn_norm": HF_LAYER + "norm.weight",
        "norm": "model.norm_f.weight",
    },
    gguf_tensors={**LLAMA_GGUF, **MAMBA2_GGUF},
    hf_prefixes=(("backbone.", "model."),),
)
