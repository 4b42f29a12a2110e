"""HunYuan, dense: 0.5B to 7B."""

from typing import Any

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, head_dim, llama_config
from hearth.model.text.names import HF_LAYER, LLAMA_HF
from hearth.model.text.rope import flat_rope_parameters, make_rope


def configure(settings: Settings) -> DecoderConfig:
    return hunyuan_config(settings, "hunyuan")


def hunyuan_config(settings: Settings, family: str, **differences: Any) -> DecoderConfig:
    size, parameters = head_dim(settings), flat_rope_parameters(settings)
    alpha = parameters.optional_number("alpha", high=1e6)
    if alpha is not None and "dynamic" in (parameters.get("rope_type"), parameters.get("type")) and size > 2:
        # It says "dynamic" and means a larger base, whatever the length of the text.
        base = parameters.number("rope_theta") * alpha ** (size / (size - 2))
        parameters = settings.nested(
            {**parameters.values, "rope_type": "default", "rope_theta": base}, "RoPE parameters"
        )
    # Each head of q and k is normalised after it is rotated.
    return llama_config(
        settings,
        family,
        ropes=(make_rope(parameters, head_dim=size),),
        qk_norm="rotated_head",
        mlp_bias=False,
        **differences,
    )


NORMS_HF: Rules = {
    "layers.N.q_norm": HF_LAYER + "self_attn.query_layernorm.weight",
    "layers.N.k_norm": HF_LAYER + "self_attn.key_layernorm.weight",
}


FAMILY = Family(
    name="hunyuan",
    model_types=("hunyuan_v1_dense",),
    architectures=("hunyuan-dense",),
    configure=configure,
    defaults={"rms_norm_eps": 1e-5},
    honours=frozenset({"use_qk_norm"}),
    hf_tensors={**LLAMA_HF, **NORMS_HF},
)
