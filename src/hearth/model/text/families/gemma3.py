"""Gemma 3: the text models, and the text half of those that also see."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig, LayerConfig
from hearth.model.text.families.base import (
    Family,
    kinds_of_pattern,
    layer_kinds,
    llama_config,
    num_layers,
    ropes_by_kind,
    window,
    windowed_layers,
)
from hearth.model.text.families.gemma_common import GEMMA_DEFAULTS, GEMMA_HF, gemma_arithmetic


def configure(settings: Settings) -> DecoderConfig:
    return llama_config(
        settings,
        "gemma3",
        layers=_layers(settings),
        ropes=ropes_by_kind(settings, "rope_local_base_freq"),
        # Each head of q and k is normalised before it is rotated.
        qk_norm="head",
        **gemma_arithmetic(settings, layers_of_27b=62),
    )


def _layers(settings: Settings) -> tuple[LayerConfig, ...]:
    """Five layers slide and the sixth attends to everything; each kind has its own rotation (0: full, 1: sliding)."""
    kinds = kinds_of_pattern(settings)
    if window(settings) is None and settings.kind == "gguf":
        kinds = ["full_attention"] * num_layers(settings)
    return windowed_layers(settings, layer_kinds(settings, default=kinds), sliding_rope=1)


ROPE_AND_PATTERN = {"rope_theta": 1000000.0, "rope_local_base_freq": 10000.0, "sliding_window_pattern": 6}

FAMILY = Family(
    name="gemma3",
    model_types=("gemma3", "gemma3_text"),
    architectures=("gemma3",),
    configure=configure,
    # Published configurations of the larger models leave out most keys.
    defaults={
        **GEMMA_DEFAULTS,
        **ROPE_AND_PATTERN,
        "vocab_size": 262208,
        "hidden_size": 2304,
        "intermediate_size": 9216,
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "max_position_embeddings": 131072,
    },
    gguf_defaults={**ROPE_AND_PATTERN, "hidden_activation": "gelu_pytorch_tanh"},
    honours=frozenset({"final_logit_softcapping", "query_pre_attn_scalar"}),
    hf_tensors=GEMMA_HF,
    # The text half of a model that also sees, as transformers 4 and as 5 name it.
    hf_prefixes=(
        ("language_model.model.", "model."),
        ("language_model.lm_head.", "lm_head."),
        ("model.language_model.", "model."),
        ("language_model.", "model."),  # of the base model
    ),
    # The other half; some GGUF files (of Ollama's) hold it too.
    ignored=("*vision_tower.*", "*multi_modal_projector.*", "v.*", "mm.*"),
    text_config="text_config",
)
