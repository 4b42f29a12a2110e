"""GLM-4 0414, 9B and 32B, and GLM-Z1."""

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families import glm
from hearth.model.text.families.base import Family


def configure(settings: Settings) -> DecoderConfig:
    # Each branch is normalised after it too.
    return glm.glm_config(settings, "glm4", norm_placement="pre_post")


HF: Rules = {
    **glm.HF,
    "layers.N.attn_post_norm": "model.layers.N.post_self_attn_layernorm.weight",
    "layers.N.mlp_post_norm": "model.layers.N.post_mlp_layernorm.weight",
}

FAMILY = Family(
    name="glm4",
    model_types=("glm4",),
    architectures=("glm4",),
    configure=configure,
    defaults=glm.DEFAULTS,
    hf_tensors=HF,
    gguf_tensors=glm.GGUF,
    interleaved=glm.INTERLEAVED,
)
