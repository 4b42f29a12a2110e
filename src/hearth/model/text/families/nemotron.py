"""Nemotron 3 and 4, Minitron."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config, partial_rope


def configure(settings: Settings) -> DecoderConfig:
    # LayerNorm with 1 + weight (the converter to GGUF adds the 1); an MLP without a gate; a part of each head rotates.
    return llama_config(
        settings,
        "nemotron",
        norm="layer",
        norm_bias=True,
        norm_offset=0.0 if settings.kind == "gguf" else 1.0,
        mlp="plain",
        ropes=(partial_rope(settings),),
    )


FAMILY = Family(
    name="nemotron",
    model_types=("nemotron",),
    architectures=("nemotron",),
    configure=configure,
    keys={"norm_eps": "layer_norm_eps"},
    defaults={
        "max_position_embeddings": 4096,
        "hidden_act": "relu2",
        "layer_norm_eps": 1e-5,
        "partial_rotary_factor": 0.5,
    },
    gguf_defaults={"hidden_act": "relu2"},
)
