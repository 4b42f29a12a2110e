"""Gemma 2."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, full_every, layer_kinds, llama_config, windowed_layers
from hearth.model.text.families.gemma_common import GEMMA_DEFAULTS, GEMMA_HF, gemma_arithmetic


def configure(settings: Settings) -> DecoderConfig:
    # Every other layer slides, the first one does.
    return llama_config(
        settings,
        "gemma2",
        layers=windowed_layers(settings, layer_kinds(settings, default=full_every(settings, 2))),
        # Scores are bent towards a maximum, as logits are.
        attention_softcap=settings.optional_number("attn_logit_softcapping"),
        **gemma_arithmetic(settings, layers_of_27b=46),
    )


SOFTCAPS = {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}

FAMILY = Family(
    name="gemma2",
    model_types=("gemma2",),
    architectures=("gemma2",),
    configure=configure,
    defaults={**GEMMA_DEFAULTS, **SOFTCAPS, "max_position_embeddings": 8192},
    gguf_defaults={**SOFTCAPS, "hidden_activation": "gelu_pytorch_tanh", "sliding_window": 4096},
    honours=frozenset({"attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar"}),
    hf_tensors=GEMMA_HF,
)
