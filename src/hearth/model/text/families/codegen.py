"""CodeGen 1 and 2."""

from dataclasses import replace

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families import gptj
from hearth.model.text.names import fused


def configure(settings: Settings) -> DecoderConfig:
    return gptj.gptj_config(settings, "codegen")


FAMILY = replace(
    gptj.FAMILY,
    name="codegen",
    model_types=("codegen",),
    configure=configure,
    # q, v and k take turns in four groups, for the four machines that it was trained on.
    hf_tensors={**gptj.GPTJ_HF, **fused("model.h.N.attn.qkv_proj", ("q", "v", "k"), groups=4)},
)
