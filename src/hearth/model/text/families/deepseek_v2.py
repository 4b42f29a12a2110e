"""DeepSeek 2, 2.5 and 2 Lite, and Coder of these."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, full_layers, llama_config
from hearth.model.text.families.latent import LATENT_HF, latent_attention
from hearth.model.text.families.mixture import (
    EXPERT_KEYS,
    EXPERTS,
    EXPERTS_HF,
    dense_layers,
    experts_config,
    shared_hf,
    shared_size,
    with_experts,
)

_METHODS = {"greedy": False, "group_limited_greedy": True}


def configure(settings: Settings) -> DecoderConfig:
    # Experts by a softmax over all of them, in the larger models of a few groups, those with the best single ones.
    if settings.flag("norm_topk_prob"):
        raise settings.unsupported("norm_topk_prob", "The weights of experts are their shares of all in DeepSeek 2.")
    groups = {} if settings.choice("topk_method", _METHODS) else {"groups": 1, "used_groups": 1}
    experts = experts_config(settings, shared_size=shared_size(settings), best_of_group=1, **groups)
    return llama_config(
        settings,
        "deepseek_v2",
        layers=with_experts(full_layers(settings), first=dense_layers(settings)),
        experts=experts,
        mlp_bias=False,
        **latent_attention(settings),
    )


FAMILY = Family(
    name="deepseek_v2",
    model_types=("deepseek_v2",),
    architectures=(),
    configure=configure,
    defaults={
        "num_experts": 64,
        "num_experts_per_tok": 6,
        "moe_intermediate_size": 1407,
        "n_shared_experts": 2,
        "first_k_dense_replace": 0,
        "topk_method": "greedy",
        "kv_lora_rank": 512,
        "q_lora_rank": 1536,
        "qk_rope_head_dim": 64,
        "qk_nope_head_dim": 128,
        "v_head_dim": 128,
    },
    keys=EXPERT_KEYS,
    honours=EXPERTS,
    hf_tensors={**EXPERTS_HF, **shared_hf("mlp.shared_experts"), **LATENT_HF},
    interleaved=frozenset({"safetensors"}),
)
