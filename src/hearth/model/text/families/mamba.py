"""Mamba: no layer attends, and none has an MLP."""

from dataclasses import replace

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config, num_layers, recurrent
from hearth.model.text.families.mamba2 import FAMILY as MAMBA2
from hearth.model.text.families.mamba2 import NO_ATTENTION
from hearth.model.text.families.mamba_common import MAMBA_DEFAULTS, MAMBA_GGUF, MAMBA_KEYS, mamba, mamba_hf
from hearth.model.text.names import HF_LAYER, LLAMA_GGUF


def configure(settings: Settings) -> DecoderConfig:
    # GGUF files do not say what these norms add to a mean square: llama.cpp takes what the layers' do.
    epsilon = None if settings.kind == "gguf" else settings.number("mixer_rms_eps")
    bare = settings.flag("ssm_dt_b_c_rms")
    mixer = mamba(settings, norms="bare", norm_epsilon=epsilon) if bare else mamba(settings)
    layer = replace(recurrent(mixer), feed_forward=False)
    return llama_config(settings, "mamba", layers=(layer,) * num_layers(settings), ropes=())


FAMILY = Family(
    name="mamba",
    model_types=("mamba",),
    architectures=("mamba",),
    configure=configure,
    defaults={
        **MAMBA_DEFAULTS,
        **NO_ATTENTION,
        "mixer_rms_eps": 1e-6,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": True,
        "max_position_embeddings": 1 << 20,
    },
    gguf_defaults=NO_ATTENTION,
    keys={
        **MAMBA_KEYS,
        "expand": "mamba_expand",
        "use_bias": "mamba_proj_bias",
        "layer_norm_epsilon": "rms_norm_eps",
    },
    honours=frozenset({"ssm_dt_b_c_rms"}),
    hf_tensors={**MAMBA2.hf_tensors, **mamba_hf(HF_LAYER + "mixer.")},
    gguf_tensors={**LLAMA_GGUF, **MAMBA_GGUF},
    hf_prefixes=MAMBA2.hf_prefixes,
)
