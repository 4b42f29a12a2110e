"""What OLMo 2 and 3 have in common."""

from typing import Any

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import llama_config
from hearth.model.text.names import LLAMA_HF


def olmo_config(settings: Settings, family: str, **differences: Any) -> DecoderConfig:
    # A branch is normalised after it, not before; q and k are normalised as a whole, before they are rotated.
    return llama_config(settings, family, norm_placement="post", qk_norm="full", mlp_bias=False, **differences)


OLMO_HF: Rules = {
    **LLAMA_HF,
    "layers.N.attn_post_norm": "model.layers.N.post_attention_layernorm.weight",
    "layers.N.mlp_post_norm": "model.layers.N.post_feedforward_layernorm.weight",
}
