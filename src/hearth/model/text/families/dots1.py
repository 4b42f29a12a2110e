"""dots.llm1."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config
from hearth.model.text.families.mixture import EXPERT_KEYS, EXPERTS, EXPERTS_GGUF, SIGMOID_HF, sigmoid_experts
from hearth.model.text.families.qwen2 import qwen_layers


def configure(settings: Settings) -> DecoderConfig:
    # Attention as in Qwen 3, experts as in GLM-4.5.
    experts = sigmoid_experts(settings, qwen_layers(settings))
    return llama_config(settings, "dots1", qk_norm="head", mlp_bias=False, **experts)


FAMILY = Family(
    name="dots1",
    model_types=("dots1",),
    architectures=("dots1",),
    configure=configure,
    # Layers from `max_window_layers` on slide; there is no switch. GGUF files have no window.
    defaults={
        "num_key_value_heads": 32,
        "use_sliding_window": True,
        "sliding_window": 4096,
        "max_window_layers": 62,
    },
    keys=EXPERT_KEYS,
    honours=EXPERTS,
    hf_tensors=SIGMOID_HF,
    gguf_tensors=EXPERTS_GGUF,
)
