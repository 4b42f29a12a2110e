"""OLMo 2."""

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config
from hearth.model.text.names import LLAMA_HF


def configure(settings: Settings) -> DecoderConfig:
    if settings.kind == "gguf" and settings.get("sliding_window") is not None:
        raise settings.unsupported("sliding_window", "This is an OLMo 3 file; Hearth knows OLMo 2.")
    # A branch is normalised after it, not before; q and k are normalised as a whole, before they are rotated.
    return llama_config(settings, "olmo2", norm_placement="post", qk_norm="full", mlp_bias=False)


HF: Rules = {
    **LLAMA_HF,
    "layers.N.attn_post_norm": "model.layers.N.post_attention_layernorm.weight",
    "layers.N.mlp_post_norm": "model.layers.N.post_feedforward_layernorm.weight",
}

FAMILY = Family(
    name="olmo2",
    model_types=("olmo2",),
    architectures=("olmo2",),
    configure=configure,
    defaults={"rms_norm_eps": 1e-5},
    hf_tensors=HF,
)
