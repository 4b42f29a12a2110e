"""Ministral 3, and the text half of it and of Mistral Small 3.1 and later ones, which also see."""

from typing import Any

from hearth.model.settings import MAX_POSITIONS, Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, head_dim, llama_config, window
from hearth.model.text.rope import flat_rope_parameters, longest_context, make_rope


def configure(settings: Settings) -> DecoderConfig:
    if window(settings) is not None:
        raise settings.unsupported("sliding_window", "Layers of Ministral 3 attend to everything.")
    parameters = flat_rope_parameters(settings)
    rate = parameters.optional_number("llama_4_scaling_beta", high=1e6)
    if settings.kind == "gguf":
        # What YaRN would multiply by, such a file has as its own inverse.
        parameters = settings.nested({**parameters.values, "attention_factor": 1.0}, "RoPE parameters")
        rate = settings.optional_number("attention_temperature", high=1e6)
    length = parameters.count("original_max_position_embeddings", most=MAX_POSITIONS)
    # Queries grow with their position, by steps of the original context.
    return llama_config(
        settings,
        "ministral3",
        ropes=(make_rope(parameters, head_dim=head_dim(settings)),),
        max_position=longest_context(parameters),
        attention_temperature=(rate, length, 0) if rate else None,
        qkv_bias=False,
        output_bias=False,
        mlp_bias=False,
    )


MISTRAL_PLACES: dict[str, Any] = {
    "hf_prefixes": (
        ("language_model.model.", "model."),
        ("language_model.lm_head.", "lm_head."),
        ("model.language_model.", "model."),
    ),
    "ignored": ("*vision_tower.*", "*multi_modal_projector.*"),
    "text_config": "text_config",
}
"""Where the text half is of a model that also sees."""

FAMILY = Family(
    name="ministral3",
    model_types=("ministral3", "mistral3"),
    architectures=("mistral3",),
    configure=configure,
    defaults={
        "num_key_value_heads": 8,
        "head_dim": 128,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 262144,
    },
    honours=frozenset({"attention_temperature"}),
    **MISTRAL_PLACES,
    interleaved=frozenset({"gguf"}),
)
