"""OLMo 3. Its GGUF files say `olmo2`, with a window."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, full_every, layer_kinds, ropes_by_kind, windowed_layers
from hearth.model.text.families.olmo_common import OLMO_HF, olmo_config


def configure(settings: Settings) -> DecoderConfig:
    # Three layers slide and the fourth attends to everything; what scales rotations does so in the fourth alone.
    layers = windowed_layers(settings, layer_kinds(settings, default=full_every(settings, 4)), sliding_rope=1)
    return olmo_config(settings, "olmo3", layers=layers, ropes=ropes_by_kind(settings))


FAMILY = Family(
    name="olmo3",
    model_types=("olmo3",),
    architectures=(),
    configure=configure,
    defaults={"rms_norm_eps": 1e-5, "rope_theta": 500000.0, "sliding_window": 4096},
    hf_tensors=OLMO_HF,
)
