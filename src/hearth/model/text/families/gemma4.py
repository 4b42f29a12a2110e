"""Gemma 4: E2B, E4B, 12B, 31B, 26B-A4B; their text half."""

import math
from typing import Any

import numpy as np

from hearth.model.settings import MAX_SIZE, Settings
from hearth.model.tensors import Made, Rules, either
from hearth.model.text.config import DecoderConfig, ExpertsConfig, LayerConfig
from hearth.model.text.families.base import (
    MAX_HEAD_DIM,
    MAX_HEADS,
    Family,
    activation,
    full_every,
    head_dim,
    kinds_of_pattern,
    layer_kinds,
    llama_config,
    window,
)
from hearth.model.text.families.gemma3 import FAMILY as GEMMA3
from hearth.model.text.families.gemma_common import GEMMA_HF
from hearth.model.text.families.mixture import (
    EXPERTS,
    EXPERTS_GGUF,
    experts_config,
    fused_experts,
    halves,
    shared_hf,
    with_experts,
)
from hearth.model.text.names import HF_LAYER
from hearth.model.text.rope import complete, make_rope


def configure(settings: Settings) -> DecoderConfig:
    if settings.get("use_bidirectional_attention") == "all":
        raise settings.unsupported("use_bidirectional_attention", "Tokens of Hearth's Gemma 4 see earlier ones alone.")
    gguf = settings.kind == "gguf"
    kinds = kinds_of_pattern(settings) if gguf else layer_kinds(settings, default=full_every(settings, 6))
    sizes = _head_dims(settings)
    layers = _layers(settings, kinds, sizes["full_attention"])
    experts = _experts(settings, layers)
    full, slides = (
        make_rope(complete(settings, {**_ROPES[kind], **_rope(settings, kind)}), head_dim=sizes[kind])
        for kind in ("full_attention", "sliding_attention")
    )
    # Branches are normalised before and after, heads of q, k and v too; scores are not scaled. Beside what a layer
    # computes it is given a part of a second embedding.
    return llama_config(
        settings,
        "gemma4",
        layers=with_experts(layers) if experts else layers,
        experts=experts,
        head_dim=sizes["sliding_attention"],
        num_kv_heads=None if not gguf else _of_kind(settings, kinds, "sliding_attention"),
        ropes=(full, slides),
        norm_placement="pre_post",
        activation=activation(settings, "hidden_activation"),
        qk_norm="head",
        value_norm=True,
        attention_scale=1.0,
        embedding_scale=math.sqrt(settings.count("hidden_size")),
        layer_embedding=_optional(settings, "hidden_size_per_layer_input"),
        layer_scale=True,
        logit_softcap=settings.optional_number("final_logit_softcapping"),
        mlp_bias=False,
    )


def _experts(settings: Settings, layers: tuple[LayerConfig, ...]) -> ExpertsConfig | None:
    """Beside the MLP of each layer, each with norms of its own."""
    if not settings.flag("enable_moe_block") and not (settings.kind == "gguf" and settings.get("num_experts")):
        return None
    if any(layer.intermediate_size for layer in layers):
        raise settings.unsupported("use_double_wide_mlp", "MLPs beside experts are all as wide.")
    width = settings.count("intermediate_size")
    return experts_config(settings, normalise=True, shared_size=width, own_norms=True, own_scale=True)


_NEVER = 1e20
"""A factor by which a GGUF file stretches the waves of pairs that do not turn."""
_ROPES: dict[str, dict[str, Any]] = {
    "full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1000000.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
}


def _head_dims(settings: Settings) -> dict[str, int]:
    """Of each kind of layer."""
    size = head_dim(settings)
    if settings.kind == "gguf":
        slides = settings.count("head_dim_swa", most=MAX_HEAD_DIM)
        for key in ("value_dim_swa", "rotary_dim_swa"):
            if settings.get(key) not in (None, slides):
                raise settings.unsupported(key, f"Heads of layers that slide have {slides} dimensions.")
        return {"sliding_attention": slides, "full_attention": size}
    return {"sliding_attention": size, "full_attention": _full(settings, "head_dim", MAX_HEAD_DIM) or size}


def _of_kind(settings: Settings, kinds: list[str], kind: str) -> int:
    """Heads of keys of a kind of layer, in a GGUF file."""
    heads = settings.sequence("num_key_value_heads_by_layer", length=len(kinds))
    if heads is None or kind not in kinds:
        return settings.count("num_key_value_heads", most=MAX_HEADS)
    own = {"num_key_value_heads": heads[kinds.index(kind)]}
    return settings.nested(own, "heads of keys").count("num_key_value_heads", most=MAX_HEADS)


def _rope(settings: Settings, kind: str) -> dict[str, Any]:
    if settings.kind == "gguf":
        if kind == "sliding_attention":
            return {"rope_theta": settings.get("rope_local_base_freq")}
        factors = settings.table("rope_scaling").get("freq_factors") or []
        turned = sum(1 for factor in factors if factor == 1.0)
        if any(1.0 < factor < _NEVER or factor < 1.0 for factor in factors):
            raise settings.unsupported("rope_freqs.weight", "Pairs of Gemma 4 turn, or do not.")
        # A quarter of a pair more: what is left of a product that is rounded down.
        share = {"partial_rotary_factor": min((turned + 0.25) / len(factors), 1.0)} if factors else {}
        return {"rope_theta": settings.get("rope_theta"), **share}
    nested = settings.table("rope_parameters").get(kind) or {}
    if not isinstance(nested, dict):
        raise settings.corrupt("rope_parameters", "an object for each kind of layer")
    return nested


def _full(settings: Settings, key: str, most: int) -> int | None:
    """A size of the layers that attend to everything: written for each of them, or once."""
    own = settings.table("per_layer_config")
    written = [layer[key] for layer in own.values() if isinstance(layer, dict) and key in layer]
    names = {"head_dim": "global_head_dim", "num_key_value_heads": "num_global_key_value_heads"}
    if written:
        return settings.nested({key: written[0]}, "per_layer_config").count(key, most=most)
    return settings.optional_count(names[key], most=most)


def _optional(settings: Settings, key: str) -> int:
    """A size that may be 0: there is no such thing."""
    return 0 if settings.get(key) in (None, 0) else settings.count(key)


def kv_readers(settings: Settings, kinds: list[str]) -> list[int | None]:
    """Whose keys and values each layer reads, None for its own: the last layers those of the last one of their kind
    that has any."""
    shared = _optional(settings, "num_kv_shared_layers")
    own = kinds[: max(len(kinds) - shared, 0)]
    if set(own) != set(kinds):
        raise settings.corrupt("num_kv_shared_layers", "so few that each kind of layer has keys of its own")
    return [None if i < len(own) else len(own) - 1 - own[::-1].index(kind) for i, kind in enumerate(kinds)]


def _layers(settings: Settings, kinds: list[str], full_head_dim: int) -> tuple[LayerConfig, ...]:
    """Layers of the full kind have heads of their own size. Those that read the keys and values of others may have an
    MLP twice as wide."""
    readers = kv_readers(settings, kinds)
    shared = sum(reads is not None for reads in readers)
    same = settings.flag("attention_k_eq_v")
    inner = settings.count("intermediate_size", most=MAX_SIZE // 2)
    wide = 2 * inner if settings.flag("use_double_wide_mlp") else None
    if settings.kind == "gguf":
        heads = (
            _of_kind(settings, kinds, "full_attention") if "num_key_value_heads_by_layer" in settings.values else None
        )
        widths = settings.sequence("intermediate_size_by_layer", length=len(kinds))
        if widths is not None:
            wide = settings.nested({"intermediate_size": widths[-1]}, "MLPs").count("intermediate_size")
            if widths != [inner] * (len(kinds) - shared) + [wide] * shared:
                raise settings.unsupported("intermediate_size", "MLPs differ where keys and values are shared alone.")
    else:
        heads = _full(settings, "num_key_value_heads", MAX_HEADS) if same else None
    layers = []
    for kind, reads in zip(kinds, readers, strict=True):
        full = kind == "full_attention"
        layers.append(
            LayerConfig(
                rope=0 if full else 1,
                sliding_window=None if full else window(settings),
                head_dim=full_head_dim if full else None,
                num_kv_heads=heads if full else None,
                intermediate_size=wide if reads is not None else None,
                reads=reads,
                own_values=not (same and full),
            )
        )
    return tuple(layers)


def _scaled(tensor: str) -> Made:
    """The norm before the router, which says its weight without what it is divided by."""
    return Made(tensor, lambda scale: scale * np.float32(len(scale) ** -0.5))


HF: Rules = {
    **GEMMA_HF,
    **shared_hf("mlp"),
    **fused_experts("experts."),
    "layers.N.router": HF_LAYER + "router.proj.weight",
    "layers.N.router_norm": _scaled(HF_LAYER + "router.scale"),
    "layers.N.expert_scale": HF_LAYER + "router.per_expert_scale",
    "layers.N.exps_norm": HF_LAYER + "pre_feedforward_layernorm_2.weight",
    "layers.N.exps_post_norm": HF_LAYER + "post_feedforward_layernorm_2.weight",
    "layers.N.shared_post_norm": HF_LAYER + "post_feedforward_layernorm_1.weight",
    "layer_embed": "model.embed_tokens_per_layer.weight",
    "layer_embed_norm": "model.per_layer_projection_norm.weight",
    "layer_project": "model.per_layer_model_projection.weight",
    "layers.N.given_gate": HF_LAYER + "per_layer_input_gate.weight",
    "layers.N.given_out": HF_LAYER + "per_layer_projection.weight",
    "layers.N.given_norm": HF_LAYER + "post_per_layer_input_norm.weight",
    "layers.N.scale": HF_LAYER + "layer_scalar",
}

GGUF: Rules = {
    **EXPERTS_GGUF,
    **{
        name: either(rule, EXPERTS_GGUF[name]) for name, rule in halves("blk.N.ffn_gate_up_exps.weight", "exps").items()
    },
    **{f"layers.N.{part}_shared": f"blk.N.ffn_{part}.weight" for part in ("gate", "up", "down")},
    "layers.N.router_norm": _scaled("blk.N.ffn_gate_inp.scale"),
    "layers.N.expert_scale": "blk.N.ffn_down_exps.scale",
    "layers.N.exps_norm": "blk.N.pre_ffw_norm_2.weight",
    "layers.N.exps_post_norm": "blk.N.post_ffw_norm_2.weight",
    "layers.N.shared_post_norm": "blk.N.post_ffw_norm_1.weight",
    "layer_embed": "per_layer_token_embd.weight",
    "layer_project": "per_layer_model_proj.weight",
    "layer_embed_norm": "per_layer_proj_norm.weight",
    "layers.N.given_gate": "blk.N.inp_gate.weight",
    "layers.N.given_out": "blk.N.proj.weight",
    "layers.N.given_norm": "blk.N.post_norm.weight",
    "layers.N.scale": "blk.N.layer_output_scale.weight",
}

FAMILY = Family(
    name="gemma4",
    model_types=("gemma4", "gemma4_text"),
    architectures=("gemma4",),
    configure=configure,
    defaults={
        "vocab_size": 262144,
        "hidden_size": 2304,
        "intermediate_size": 9216,
        "num_hidden_layers": 30,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "global_head_dim": 512,
        "hidden_size_per_layer_input": 256,
        "hidden_activation": "gelu_pytorch_tanh",
        "sliding_window": 512,
        "tie_word_embeddings": True,
        "max_position_embeddings": 131072,
    },
    gguf_defaults={"hidden_activation": "gelu_pytorch_tanh", "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0},
    honours=frozenset(
        {
            *("final_logit_softcapping", "use_bidirectional_attention", "num_kv_shared_layers"),
            *("hidden_size_per_layer_input", "attention_k_eq_v", "enable_moe_block"),
            *EXPERTS,
        }
    ),
    gguf_honours=frozenset(
        {
            *("head_dim_swa", "value_dim_swa", "rotary_dim_swa"),
            *("num_key_value_heads_by_layer", "intermediate_size_by_layer"),
        }
    ),
    keys={"top_k_experts": "num_experts_per_tok", "expert_intermediate_size": "moe_intermediate_size"},
    hf_tensors=HF,
    gguf_tensors=GGUF,
    hf_prefixes=GEMMA3.hf_prefixes,
    # What sees and what hears; keys and values of layers that read those of others.
    ignored=(
        *("*vision_tower.*", "*vision_embedder.*", "*audio_tower.*", "*embed_vision.*", "*embed_audio.*"),
        *(f"*.self_attn.{name}.weight" for name in ("k_proj", "v_proj", "k_norm")),
        *(f"blk.*.attn_{name}.weight" for name in ("k", "v", "k_norm")),
    ),
    text_config="text_config",
)
