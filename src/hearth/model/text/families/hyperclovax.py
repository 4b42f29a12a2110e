"""HyperCLOVA X SEED Think."""

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config
from hearth.model.text.families.granite import FACTORS, granite_factors
from hearth.model.text.names import LLAMA_HF


def configure(settings: Settings) -> DecoderConfig:
    # Granite's factors, but that logits are multiplied; each branch is normalised after it too, where so switched.
    factors = granite_factors(settings) | {"logit_scale": settings.optional_number("logits_scaling") or 1.0}
    placement = "pre_post" if settings.flag("use_post_norm") else "pre"
    return llama_config(settings, "hyperclovax", norm_placement=placement, **factors)


HF: Rules = {
    **LLAMA_HF,
    "layers.N.attn_post_norm": "model.layers.N.post_norm1.weight",
    "layers.N.mlp_post_norm": "model.layers.N.post_norm2.weight",
}

FAMILY = Family(
    name="hyperclovax",
    model_types=("hyperclovax",),
    architectures=(),
    configure=configure,
    defaults={"use_post_norm": True},
    honours=FACTORS,
    hf_tensors=HF,
)
