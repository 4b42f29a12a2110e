"""Granite 3 with mixtures of experts: 1B-A400M, 3B-A800M, and with an MLP beside the experts."""

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, full_layers, llama_config
from hearth.model.text.families.granite import FACTORS, granite_factors
from hearth.model.text.families.mixture import (
    EXPERT_KEYS,
    EXPERTS,
    EXPERTS_GGUF,
    EXPERTS_HF,
    experts_config,
    halves,
    with_experts,
)
from hearth.model.text.names import HF_LAYER


def configure(settings: Settings) -> DecoderConfig:
    # The weights are a softmax over the chosen experts alone.
    return llama_config(
        settings,
        "granitemoe",
        layers=with_experts(full_layers(settings)),
        experts=experts_config(settings, scores="softmax_of_chosen", normalise=False),
        mlp_bias=False,
        **granite_factors(settings),
    )


KEYS = {**EXPERT_KEYS, "shared_intermediate_size": "shared_expert_intermediate_size"}
MODULE = HF_LAYER + "block_sparse_moe."
HF: Rules = {
    **EXPERTS_HF,
    "layers.N.router": MODULE + "router.layer.weight",
    **halves(MODULE + "input_linear.weight", "exps"),
    "layers.N.down_exps": MODULE + "output_linear.weight",
    **halves(HF_LAYER + "shared_mlp.input_linear.weight", "shared"),
    "layers.N.down_shared": HF_LAYER + "shared_mlp.output_linear.weight",
}

FAMILY = Family(
    name="granitemoe",
    model_types=("granitemoe", "granitemoeshared"),
    architectures=("granitemoe",),
    configure=configure,
    defaults={"attention_multiplier": 1.0, "num_experts": 8, "num_experts_per_tok": 2},
    keys=KEYS,
    honours=FACTORS | EXPERTS,
    hf_tensors=HF,
    gguf_tensors=EXPERTS_GGUF,
    interleaved=frozenset({"gguf"}),
)
