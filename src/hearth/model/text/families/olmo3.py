"""OLMo 3. Its GGUF files say `olmo2`, with a window."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig, LayerConfig
from hearth.model.text.families.base import Family, head_dim, layer_kinds, num_layers, window
from hearth.model.text.families.olmo_common import OLMO_HF, olmo_config
from hearth.model.text.rope import rope_of_kind


def configure(settings: Settings) -> DecoderConfig:
    # Three layers slide and the fourth attends to everything; what scales rotations does so in the fourth alone.
    kinds = ["full_attention" if i % 4 == 3 else "sliding_attention" for i in range(num_layers(settings))]
    kinds = layer_kinds(settings, default=kinds)
    size = window(settings)
    if size is None and "sliding_attention" in kinds:
        raise settings.corrupt("sliding_window", "the window of the layers that slide")
    ropes = [rope_of_kind(settings, kind, head_dim(settings)) for kind in ("full_attention", "sliding_attention")]
    layers = [LayerConfig(1, size) if kind == "sliding_attention" else LayerConfig(0) for kind in kinds]
    return olmo_config(settings, "olmo3", layers=tuple(layers), ropes=tuple(ropes))


FAMILY = Family(
    name="olmo3",
    model_types=("olmo3",),
    architectures=(),
    configure=configure,
    defaults={"rms_norm_eps": 1e-5, "rope_theta": 500000.0, "sliding_window": 4096},
    hf_tensors=OLMO_HF,
)
