"""OLMo 1."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config


def configure(settings: Settings) -> DecoderConfig:
    # LayerNorm that has neither weight nor bias; q, k and v are cut to a range in some.
    clip = settings.optional_number("clamp_kqv" if settings.kind == "gguf" else "clip_qkv")
    return llama_config(settings, "olmo", norm="layer", norm_weight=False, norm_eps=1e-5, qkv_clip=clip, mlp_bias=False)


FAMILY = Family(
    name="olmo",
    model_types=("olmo",),
    architectures=("olmo",),
    configure=configure,
    honours=frozenset({"clip_qkv", "clamp_kqv"}),
    interleaved=frozenset({"gguf"}),
)
