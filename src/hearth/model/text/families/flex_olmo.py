"""FlexOlmo 7x7B."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, full_layers
from hearth.model.text.families.mixture import EXPERTS, EXPERTS_HF, experts_config, with_experts
from hearth.model.text.families.olmo_common import OLMO_HF, olmo_config


def configure(settings: Settings) -> DecoderConfig:
    # As OLMo 2 where it attends, with experts where it does not.
    layers = with_experts(full_layers(settings))
    return olmo_config(settings, "flex_olmo", layers=layers, experts=experts_config(settings))


FAMILY = Family(
    name="flex_olmo",
    model_types=("flex_olmo",),
    architectures=(),
    configure=configure,
    defaults={
        "num_experts": 7,
        "num_experts_per_tok": 5,
        "rope_theta": 500000.0,
        "max_position_embeddings": 4096,
    },
    honours=EXPERTS,
    hf_tensors={**EXPERTS_HF, **OLMO_HF},
)
