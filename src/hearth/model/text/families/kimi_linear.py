"""Kimi Linear 48B-A3B: three layers of Kimi delta attention to one that attends to latent vectors, without rotation."""

from typing import Any

import numpy as np

from hearth.model.settings import Settings
from hearth.model.tensors import Made, Rules
from hearth.model.text.config import DecoderConfig, LayerConfig
from hearth.model.text.families.base import (
    MAX_HEAD_DIM,
    MAX_HEADS,
    MAX_TAPS,
    Family,
    hybrid_kinds,
    layers_by_kind,
    llama_config,
    num_layers,
    recurrent,
)
from hearth.model.text.families.latent import LATENT_GGUF, LATENT_HF, latent_attention
from hearth.model.text.families.mixtral import HF as MIXTRAL_HF
from hearth.model.text.families.mixture import (
    EXPERT_KEYS,
    EXPERTS,
    EXPERTS_GGUF,
    said_one_by_one,
    shared_hf,
    sigmoid_experts,
)
from hearth.model.text.mixers.kimi_delta import KimiDelta
from hearth.model.text.names import HF_LAYER, conv_taps


def configure(settings: Settings) -> DecoderConfig:
    for key, computed in (("mla_use_nope", True), ("moe_router_activation_func", "sigmoid"), ("moe_layer_freq", 1)):
        if settings.get(key) not in (None, computed):
            raise settings.unsupported(key, f"Hearth computes {computed!r} in this family.")
    known = {"full_attention": LayerConfig(None), "linear_attention": recurrent(_mixer(settings))}
    experts = sigmoid_experts(settings, layers_by_kind(settings, _kinds(settings), known))
    if settings.kind != "gguf":
        experts["layers"] = said_one_by_one(settings, experts["layers"])
    attention = latent_attention(settings) | {"ropes": ()}
    return llama_config(settings, "kimi_linear", mlp_bias=False, **attention, **experts)


def _kinds(settings: Settings) -> list[Any]:
    """What layers are; where configurations of the authors say it, by their numbers from 1."""
    count, given = num_layers(settings), settings.table("linear_attn_config")
    attending, mixing = given.get("full_attn_layers"), given.get("kda_layers")
    if settings.kind == "gguf" or attending is None or mixing is None:
        return hybrid_kinds(settings) or [
            "linear_attention" if index == 0 or index % 4 else "full_attention" for index in range(count)
        ]
    kinds: list[Any] = [None] * count
    for kind, numbers in (("full_attention", attending), ("linear_attention", mixing)):
        if not isinstance(numbers, list | tuple):
            raise settings.corrupt("linear_attn_config", "lists of the numbers of layers")
        for number in numbers:
            if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= count:
                raise settings.corrupt("linear_attn_config", f"numbers of layers from 1 to {count}")
            kinds[number - 1] = kind
    if None in kinds:
        raise settings.corrupt("linear_attn_config", f"lists in which all {count} layers are")
    return kinds


def _mixer(settings: Settings) -> KimiDelta:
    given = settings if settings.kind == "gguf" else _own_sizes(settings)
    heads = "num_attention_heads" if settings.kind == "gguf" else "linear_num_heads"
    return KimiDelta(
        given.count(heads, most=MAX_HEADS),
        given.count("linear_head_dim", most=MAX_HEAD_DIM),
        given.count("ssm_conv_kernel", most=MAX_TAPS),
    )


def _own_sizes(settings: Settings) -> Settings:
    """Settings with the sizes that configurations of the authors have in a table of their own."""
    names = {"head_dim": "linear_head_dim", "num_heads": "linear_num_heads"}
    names["short_conv_kernel_size"] = "ssm_conv_kernel"
    given = settings.table("linear_attn_config")
    own = {name: settings.get(name) for name in names.values()}
    own |= {name: given[key] for key, name in names.items() if key in given}
    return settings.nested(own, "linear_attn_config")


def _delta(module: str, names: dict[str, str]) -> Rules:
    return {f"layers.N.delta_{parameter}": f"{module}{name}" for parameter, name in names.items()}


_MODULE, _BLOCK = HF_LAYER + "self_attn.", "blk.N."
_WAYS = (("down", "a"), ("up", "b"))
_HF: Rules = {
    **MIXTRAL_HF,
    # Of the first layer, as published, and as transformers saves it.
    **{
        f"layers.N.{part}": tuple(f"{HF_LAYER}{module}.{part}_proj.weight" for module in ("mlp", "block_sparse_moe"))
        for part in ("gate", "up", "down")
    },
    **shared_hf("block_sparse_moe.shared_experts"),
    "layers.N.choice_bias": HF_LAYER + "block_sparse_moe.gate.e_score_correction_bias",
    **LATENT_HF,
    **_delta(
        _MODULE,
        {
            **{part: f"{part}_proj.weight" for part in "qkvb"},
            **{f"{part}_{way}": f"{part}_{name}_proj.weight" for part in "fg" for way, name in _WAYS},
            "step": "dt_bias",
            "scale": "o_norm.weight",
            "out": "o_proj.weight",
        },
    ),
    "layers.N.delta_conv": conv_taps(*(f"{_MODULE}{part}_conv1d.weight" for part in "qkv")),
    "layers.N.delta_decay": Made(_MODULE + "A_log", lambda w: -np.exp(w).reshape(-1, 1), None),
}
_GGUF: Rules = {
    **EXPERTS_GGUF,
    **LATENT_GGUF,
    **_delta(
        _BLOCK,
        {
            **{part: f"attn_{part}.weight" for part in "qkv"},
            **{f"{part}_{way}": f"ssm_{part}_{name}.weight" for part in "fg" for way, name in _WAYS},
            "b": "ssm_beta.weight",
            "step": "ssm_dt.bias",
            "scale": "ssm_norm.weight",
            "out": "attn_output.weight",
        },
    ),
    "layers.N.delta_conv": conv_taps(*(f"{_BLOCK}ssm_conv1d_{part}.weight" for part in "qkv")),
    "layers.N.delta_decay": Made(_BLOCK + "ssm_a", lambda w: w.reshape(-1, 1), None),
}

FAMILY = Family(
    name="kimi_linear",
    model_types=("kimi_linear",),
    architectures=("kimi-linear",),
    configure=configure,
    defaults={
        "num_experts": 256,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 1024,
        "n_shared_experts": 1,
        "first_k_dense_replace": 1,
        "norm_topk_prob": True,
        "routed_scaling_factor": 2.446,
        "kv_lora_rank": 512,
        "qk_rope_head_dim": 64,
        "qk_nope_head_dim": 128,
        "v_head_dim": 128,
        "linear_num_heads": 32,
        "linear_head_dim": 128,
        "ssm_conv_kernel": 4,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 1048576,
    },
    gguf_defaults={"norm_topk_prob": True},
    keys={
        **EXPERT_KEYS,
        "linear_conv_kernel_dim": "ssm_conv_kernel",
        "model_max_length": "max_position_embeddings",
        "moe_renormalize": "norm_topk_prob",
        "num_expert_group": "n_group",
        "num_experts_per_token": "num_experts_per_tok",
        "num_shared_experts": "n_shared_experts",
    },
    honours=EXPERTS,
    gguf_honours=frozenset({"num_key_value_heads_by_layer"}),
    hf_tensors=_HF,
    gguf_tensors=_GGUF,
)
