"""BioGPT."""

from dataclasses import replace
from math import sqrt

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families import opt


def configure(settings: Settings) -> DecoderConfig:
    # As OPT, with scaled embeddings; what it says of the norms nothing reads.
    scale = sqrt(settings.count("hidden_size")) if settings.flag("scale_embedding") else 1.0
    return replace(opt.configure(settings), family="biogpt", norm_eps=1e-5, embedding_scale=scale)


FAMILY = replace(
    opt.FAMILY,
    name="biogpt",
    model_types=("biogpt",),
    configure=configure,
    keys={},
    defaults={
        **opt.FAMILY.defaults,
        "hidden_act": "gelu",
        "max_position_embeddings": 1024,
        "scale_embedding": True,
    },
    hf_prefixes=(
        ("biogpt.layer_norm.", "model.final_layer_norm."),
        ("biogpt.", "model."),
        ("output_projection.", "lm_head."),
    ),
)
