"""HunYuan A13B."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, full_layers
from hearth.model.text.families.hunyuan import NORMS_HF, hunyuan_config
from hearth.model.text.families.mixture import (
    EXPERT_KEYS,
    EXPERTS,
    EXPERTS_GGUF,
    EXPERTS_HF,
    experts_config,
    shared_hf,
    with_experts,
)
from hearth.model.text.names import HF_LAYER


def configure(settings: Settings) -> DecoderConfig:
    if settings.flag("use_cla"):
        raise settings.unsupported("use_cla", "Layers of Hearth's HunYuan have keys and values of their own.")
    # Attention as in the dense one; experts, and an MLP beside them, as wide as the key of dense models says.
    settings = settings.alike("num_experts_per_tok", "moe_intermediate_size", "n_shared_experts")
    if settings.get("n_shared_experts") not in (None, 1):
        raise settings.unsupported("n_shared_experts", "One MLP is beside the experts.")
    experts = experts_config(settings, normalise=True, shared_size=settings.count(_BESIDE[settings.kind]))
    return hunyuan_config(settings, "hunyuan_moe", layers=with_experts(full_layers(settings)), experts=experts)


_BESIDE = {"safetensors": "intermediate_size", "gguf": "shared_expert_intermediate_size"}

FAMILY = Family(
    name="hunyuan_moe",
    model_types=("hunyuan_v1_moe",),
    architectures=("hunyuan-moe",),
    configure=configure,
    defaults={"rms_norm_eps": 1e-5},
    keys={**EXPERT_KEYS, "moe_topk": "num_experts_per_tok", "num_shared_expert": "n_shared_experts"},
    honours=frozenset({"use_qk_norm", *EXPERTS}),
    hf_tensors={
        **EXPERTS_HF,
        **NORMS_HF,
        **shared_hf("mlp.shared_mlp"),
        "layers.N.router": HF_LAYER + "mlp.gate.wg.weight",
    },
    gguf_tensors=EXPERTS_GGUF,
)
