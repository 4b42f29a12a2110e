"""Qwen3-Next 80B-A3B, Qwen3-Coder-Next: as Qwen 3.5, with other tensors and in the order of key heads."""

from hearth.model.settings import Settings
from hearth.model.tensors import Fused, Rules, either
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config
from hearth.model.text.families.mixture import EXPERTS, experts_config
from hearth.model.text.families.qwen2_moe import some_with_experts
from hearth.model.text.families.qwen3_5 import qwen3_5_arithmetic
from hearth.model.text.families.qwen3_5_moe import FAMILY as QWEN3_5_MOE
from hearth.model.text.names import HF_LAYER


def configure(settings: Settings) -> DecoderConfig:
    arithmetic = qwen3_5_arithmetic(settings, tiled=False)
    arithmetic["layers"] = some_with_experts(settings, arithmetic["layers"])
    return llama_config(settings, "qwen3_next", experts=experts_config(settings, shared_gate=True), **arithmetic)


def _wide(tensor: str) -> Rules:
    """Queries, keys, values and gates of one key head, then those of the next."""
    runs = {"delta_qkv": ("key_columns", "key_columns")}
    rule = Fused(tensor, ("delta_qkv", "delta_z"), groups="key_heads", runs=runs)
    return {"layers.N.delta_qkv": rule, "layers.N.delta_z": rule}


def _small(tensor: str) -> Rules:
    """How much the value heads of one key head replace and forget, then those of the next."""
    rule = Fused(tensor, ("delta_b", "delta_a"), groups="key_heads")
    return {"layers.N.delta_b": rule, "layers.N.delta_a": rule}


FAMILY = Family(
    name="qwen3_next",
    model_types=("qwen3_next",),
    architectures=("qwen3next",),
    configure=configure,
    defaults={**QWEN3_5_MOE.defaults, "num_experts": 512, "num_experts_per_tok": 10, "norm_topk_prob": True},
    gguf_defaults={**QWEN3_5_MOE.gguf_defaults, "norm_topk_prob": True},
    keys=QWEN3_5_MOE.keys,
    honours=EXPERTS,
    hf_tensors={
        **QWEN3_5_MOE.hf_tensors,
        **_wide(HF_LAYER + "linear_attn.in_proj_qkvz.weight"),
        **_small(HF_LAYER + "linear_attn.in_proj_ba.weight"),
    },
    gguf_tensors={
        **QWEN3_5_MOE.gguf_tensors,
        # Files of the first months have them as safetensors do.
        **{name: either(QWEN3_5_MOE.gguf_tensors[name], rule) for name, rule in _wide("blk.N.ssm_in.weight").items()},
        **_small("blk.N.ssm_ba.weight"),
    },
    ignored=QWEN3_5_MOE.ignored,
    predictor=QWEN3_5_MOE.predictor,
)
