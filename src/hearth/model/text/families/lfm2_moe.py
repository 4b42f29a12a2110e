"""LFM2 with mixtures of experts: 8B-A1B, 24B-A2B."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config
from hearth.model.text.families.lfm2 import FAMILY as LFM2
from hearth.model.text.families.lfm2 import LFM2_ARITHMETIC, lfm2_layers
from hearth.model.text.families.mixture import EXPERTS, EXPERTS_GGUF, dense_layers, experts_config, with_experts
from hearth.model.text.names import HF_LAYER


def configure(settings: Settings) -> DecoderConfig:
    # Sigmoids, with a correction for the choice; the first layers are dense.
    experts = experts_config(settings, scores="sigmoid", choice_bias=settings.flag("use_expert_bias"))
    layers = with_experts(lfm2_layers(settings), first=dense_layers(settings))
    return llama_config(settings, "lfm2_moe", layers=layers, experts=experts, **LFM2_ARITHMETIC)


_MODULE = HF_LAYER + "feed_forward."

FAMILY = Family(
    name="lfm2_moe",
    model_types=("lfm2_moe",),
    architectures=("lfm2moe",),
    configure=configure,
    defaults={
        **LFM2.defaults,
        "num_experts": 32,
        "num_experts_per_tok": 4,
        "moe_intermediate_size": 1792,
        "first_k_dense_replace": 2,
        "use_expert_bias": True,
        "norm_topk_prob": True,
    },
    gguf_defaults={"norm_topk_prob": True},
    keys={**LFM2.keys, "num_dense_layers": "first_k_dense_replace"},
    honours=EXPERTS,
    gguf_honours=LFM2.gguf_honours,
    hf_tensors={
        **LFM2.hf_tensors,
        "layers.N.router": _MODULE + "gate.weight",
        "layers.N.choice_bias": _MODULE + "expert_bias",
        "layers.N.gate_exps": _MODULE + "experts.E.w1.weight",
        "layers.N.down_exps": _MODULE + "experts.E.w2.weight",
        "layers.N.up_exps": _MODULE + "experts.E.w3.weight",
    },
    gguf_tensors={**EXPERTS_GGUF, **LFM2.gguf_tensors},
)
