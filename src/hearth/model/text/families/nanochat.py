"""nanochat."""

from dataclasses import replace

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig, RopeConfig
from hearth.model.text.families.base import Family, head_dim, llama_config
from hearth.model.text.names import HF_LAYER, LLAMA_HF
from hearth.model.text.rope import flat_rope_parameters, longest_context, make_rope


def configure(settings: Settings) -> DecoderConfig:
    # Norms without weights, also of the embedding, and of each head of q and k after it is rotated, which it is the
    # other way round; an MLP of squared ReLUs without a gate; soft-capping of the logits.
    parameters = flat_rope_parameters(settings)
    return llama_config(
        settings,
        "nanochat",
        norm_weight=False,
        embedding_norm=True,
        qk_norm="rotated_bare",
        ropes=(_backwards(make_rope(parameters, head_dim=head_dim(settings))),),
        max_position=longest_context(parameters),
        mlp="plain",
        mlp_bias=False,
        logit_softcap=settings.optional_number("final_logit_softcapping"),
    )


def _backwards(rope: RopeConfig) -> RopeConfig:
    return replace(rope, inv_freq=tuple(-frequency for frequency in rope.inv_freq))


FAMILY = Family(
    name="nanochat",
    model_types=("nanochat",),
    architectures=(),
    configure=configure,
    defaults={"hidden_act": "relu2", "final_logit_softcapping": 15.0},
    honours=frozenset({"final_logit_softcapping"}),
    hf_tensors={
        **LLAMA_HF,
        "layers.N.up": HF_LAYER + "mlp.fc1.weight",
        "layers.N.down": HF_LAYER + "mlp.fc2.weight",
    },
)
