"""OLMo 2."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families import olmo3
from hearth.model.text.families.base import Family, window
from hearth.model.text.families.olmo_common import OLMO_HF, olmo_config


def configure(settings: Settings) -> DecoderConfig:
    if settings.kind == "gguf" and window(settings) is not None:
        return olmo3.configure(settings)
    return olmo_config(settings, "olmo2")


FAMILY = Family(
    name="olmo2",
    model_types=("olmo2",),
    architectures=("olmo2",),
    configure=configure,
    defaults={"rms_norm_eps": 1e-5},
    hf_tensors=OLMO_HF,
)
