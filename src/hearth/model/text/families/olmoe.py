"""OLMoE 1B-7B."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, full_layers, llama_config
from hearth.model.text.families.mixture import EXPERTS, EXPERTS_GGUF, EXPERTS_HF, experts_config, with_experts


def configure(settings: Settings) -> DecoderConfig:
    # q and k are normalised as a whole.
    return llama_config(
        settings,
        "olmoe",
        layers=with_experts(full_layers(settings)),
        experts=experts_config(settings),
        qk_norm="full",
        mlp_bias=False,
    )


FAMILY = Family(
    name="olmoe",
    model_types=("olmoe",),
    architectures=("olmoe",),
    configure=configure,
    defaults={
        "num_experts": 64,
        "num_experts_per_tok": 8,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 4096,
    },
    honours=EXPERTS,
    hf_tensors=EXPERTS_HF,
    gguf_tensors=EXPERTS_GGUF,
)
