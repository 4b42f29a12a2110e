"""DeepSeek 3, 3.1 and R1, Kimi K2, Moonlight; and GGUF files of all models of DeepSeek's kind."""

from typing import Any

from hearth.model.settings import MAX_POSITIONS, Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, Predictor, full_layers, llama_config, own_layers
from hearth.model.text.families.latent import LATENT_GGUF, LATENT_HF, latent_attention
from hearth.model.text.families.mixture import (
    EXPERT_KEYS,
    EXPERTS,
    EXPERTS_GGUF,
    SIGMOID_HF,
    dense_layers,
    experts_config,
    shared_size,
    sigmoid_experts,
    with_experts,
)


def configure(settings: Settings) -> DecoderConfig:
    read = _gguf_layers if settings.kind == "gguf" else sigmoid_experts
    return llama_config(settings, "deepseek_v3", mlp_bias=False, **latent_attention(settings), **read(settings))


def _gguf_layers(settings: Settings) -> dict[str, Any]:
    """The format has one architecture for DeepSeek 2 and 3, GLM-4.7 Flash, Mistral 4 and Youtu, whose keys say how
    experts are chosen, if there are any."""
    layers = full_layers(settings)[: own_layers(settings)]
    attends = {"attention_temperature": _gguf_temperature(settings)}
    if not settings.get("num_experts"):
        return {"layers": layers, **attends}
    # Files without the key are of DeepSeek 2, or have a correction, which only goes with sigmoids.
    corrected = settings.flag("use_expert_bias")
    usual = {"scores": "sigmoid" if corrected else "softmax"} if not settings.get("expert_gating_func") else {}
    experts = experts_config(settings, choice_bias=corrected, shared_size=shared_size(settings), **usual)
    if experts.scores == "softmax" and not experts.normalise:  # DeepSeek 2
        experts = experts_config(settings, shared_size=shared_size(settings), best_of_group=1)
    return {"layers": with_experts(layers, first=dense_layers(settings)), "experts": experts, **attends}


def _gguf_temperature(settings: Settings) -> tuple[float, int, int] | None:
    """By which queries grow with their position in Mistral 4."""
    rate = settings.optional_number("attention_temperature", high=1e6)
    return (rate, settings.count("attention_temperature_length", most=MAX_POSITIONS), 0) if rate else None


FAMILY = Family(
    name="deepseek_v3",
    model_types=("deepseek_v3", "kimi_k2"),
    architectures=("deepseek2",),
    configure=configure,
    defaults={
        "num_experts": 256,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 2048,
        "n_shared_experts": 1,
        "n_group": 8,
        "topk_group": 4,
        "first_k_dense_replace": 3,
        "norm_topk_prob": True,
        "routed_scaling_factor": 2.5,
        "kv_lora_rank": 512,
        "q_lora_rank": 1536,
        "qk_rope_head_dim": 64,
        "qk_nope_head_dim": 128,
        "v_head_dim": 128,
        "max_position_embeddings": 4096,
    },
    keys=EXPERT_KEYS,
    honours=EXPERTS,
    gguf_honours=frozenset({"attention_temperature", "attention_temperature_length"}),
    hf_tensors={**SIGMOID_HF, **LATENT_HF},
    gguf_tensors={**EXPERTS_GGUF, **LATENT_GGUF},
    interleaved=frozenset({"safetensors", "gguf"}),
    predictor=Predictor(chains="residual"),
)
